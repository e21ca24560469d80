import math

import polars as pl
import pytest

from jobs.recommendations.evaluation import measure_lists


def test_measure_lists_averages_over_buyers() -> None:
    lists = pl.DataFrame({"customer": [1, 1, 2, 2], "item": [7, 8, 7, 9], "rank": [1, 2, 1, 2]})
    # Customer 1 bought 8 and something unknown at the time; customer 2 bought 5, which was not listed.
    purchases = pl.DataFrame({"customer": [1, 1, 2], "item": [8, None, 5]})

    measured = measure_lists(lists, purchases, n_sellable=6, n=2)

    ideal = 1 + 1 / math.log2(3)
    assert measured == pytest.approx(
        {
            "hit_rate_at_2": 0.5,
            "recall_at_2": 0.25,
            "ndcg_at_2": (1 / math.log2(3) / ideal) / 2,
            "map_at_2": (1 / 2 / 2) / 2,
            "coverage": 0.5,
        }
    )


def test_measure_lists_counts_a_buyer_without_a_list_as_missed() -> None:
    lists = pl.DataFrame({"customer": [1], "item": [7], "rank": [1]})
    purchases = pl.DataFrame({"customer": [1, 2], "item": [7, 7]})

    measured = measure_lists(lists, purchases, n_sellable=1, n=1)

    assert measured["hit_rate_at_1"] == 0.5
    assert measured["ndcg_at_1"] == 0.5
