import numpy as np
import pytest

from jobs.predictions.quality_of_scores import (
    measure_constant,
    measure_probabilities,
    measure_ranking,
    rank_into_deciles,
)


def test_rank_into_deciles_gives_each_decile_a_tenth_even_with_ties() -> None:
    assert rank_into_deciles(np.array([0.5] * 19 + [0.9])).tolist() == [
        1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 1,
    ]  # fmt: skip


def test_rank_into_deciles_of_few_stays_within_ten() -> None:
    assert rank_into_deciles(np.array([0.1, 0.9, 0.5])).tolist() == [7, 1, 4]


def test_measure_ranking_compares_the_top_tenth_with_the_average() -> None:
    outcomes = np.array([True] * 2 + [False] * 18)
    values = np.arange(20, 0, -1).astype(float)

    assert measure_ranking(outcomes, values) == {
        "auc": 1.0,
        "average_precision": 1.0,
        "lift_top_decile": 10.0,
    }


def test_measure_probabilities_lists_predicted_against_observed() -> None:
    outcomes = np.array([True, False] * 10)
    probabilities = np.array([0.8] * 10 + [0.2] * 10)

    measured = measure_probabilities(outcomes, probabilities)

    assert measured["brier"] == pytest.approx(0.34)  # half at 0.8 ** 2, half at 0.2 ** 2
    assert len(measured["calibration"]) == 10
    assert measured["calibration"][0] == pytest.approx(
        {"decile": 1, "n_customers": 2, "predicted": 0.8, "observed": 0.5}
    )


def test_measure_constant_scores_the_base_rate() -> None:
    measured = measure_constant(np.array([True, False, False, False]), 0.25)

    assert measured["brier"] == pytest.approx(0.1875)
    assert measured["average_precision"] == 0.25
