import json

import numpy as np
import polars as pl
import pytest

from jobs.predictions.propensity_model import PropensityModel, fit_propensity


@pytest.fixture
def examples() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    days = rng.integers(0, 90, 400).astype(float)
    is_buyer = rng.random(400) < np.where(days < 30, 0.7, 0.1)
    gaps = pl.Series(np.where(rng.random(400) < 0.2, np.nan, days)).fill_nan(None)
    return pl.DataFrame({"days": days, "gaps": gaps, "same": np.ones(400), "is_buyer": is_buyer})


def test_fit_propensity_learns_a_bend_and_is_calibrated(examples: pl.DataFrame) -> None:
    model = fit_propensity(examples, ("days", "gaps", "same"), 5, 1.0)

    probabilities = model.predict(examples)

    is_recent = examples["days"].to_numpy() < 30
    assert model.features == ("days", "gaps")  # without spread there is nothing to learn
    assert probabilities[is_recent].mean() == pytest.approx(0.7, abs=0.08)
    assert probabilities[~is_recent].mean() == pytest.approx(0.1, abs=0.08)
    assert probabilities.mean() == pytest.approx(examples["is_buyer"].mean(), abs=0.01)


def test_predict_after_a_round_trip_through_json_is_equal(examples: pl.DataFrame) -> None:
    model = fit_propensity(examples, ("days", "gaps"), 3, 0.1)

    again = PropensityModel.model_validate(json.loads(json.dumps(model.model_dump(mode="json"))))

    assert again.predict(examples).tolist() == model.predict(examples).tolist()


def test_predict_without_rows_is_empty(examples: pl.DataFrame) -> None:
    model = fit_propensity(examples, ("days",), 3, 0.1)

    assert model.predict(examples.clear()).tolist() == []


def test_encode_fills_what_is_missing_and_flags_it(examples: pl.DataFrame) -> None:
    model = fit_propensity(examples, ("gaps",), 1, 0.1)
    row = pl.DataFrame({"gaps": [None]}, schema={"gaps": pl.Float64})

    encoded = model.encode(row)

    assert encoded[0, 0] == pytest.approx((model.fills[0] - model.means[0]) / model.deviations[0])
    assert encoded[0, 1] == 1.0
