"""Purchase propensity: learn from past cut-offs, test on the newest labelled one, score today's customers.

Reads `features.customer_features` and `core.orders`; writes `ml.models`, `ml.model_runs` (`train`) and `ml.scores`
(`score`). With too little data there is a `not_enough_data` row that says what is missing, no model and no score.
"""

import duckdb
import numpy as np
import polars as pl

from jobs.model_runs import (
    ModelRun,
    make_model_version,
    read_model,
    tabulate_model,
    tabulate_model_run,
    tabulate_no_model,
)
from jobs.predictions.config import PropensityConfig, find_labelled_cutoffs
from jobs.predictions.examples import FEATURES, read_examples
from jobs.predictions.propensity_model import PropensityModel, fit_propensity
from jobs.predictions.quality_of_scores import (
    FloatArray,
    measure_constant,
    measure_probabilities,
    measure_ranking,
    rank_into_deciles,
)
from jobs.stages import Frames, StageRequest

MODEL_NAME = "purchase_propensity"
ALGORITHM = "logistic regression with linear splines"

_SCORE_SCHEMA = {
    "customer_id": pl.String,
    "score_name": pl.String,
    "probability": pl.Float64,
    "decile": pl.Int32,
    "model_version": pl.String,
}


def train(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, config: PropensityConfig
) -> Frames:
    """Train, and test on the newest labelled cut-off, which training has not seen.

    The stored model is fitted once more on all labelled cut-offs, the newest included.

    Returns:
        `ml.models` (empty without enough data) and `ml.model_runs`.
    """
    version = make_model_version(ALGORITHM, config, run_id)
    test_cutoff, *training_cutoffs = find_labelled_cutoffs(request.as_of, config)
    examples = read_examples(con, [test_cutoff, *training_cutoffs], config.horizon_days)
    is_test = pl.col("as_of_date") == test_cutoff
    training, test = examples.filter(~is_test), examples.filter(is_test)
    run = ModelRun(
        model_name=MODEL_NAME,
        algorithm=ALGORITHM,
        n_train=training.height,
        n_test=test.height,
        parameters=config.model_dump(mode="json")
        | {
            "test_cutoff": test_cutoff.isoformat(),
            "training_cutoffs": [cutoff.isoformat() for cutoff in training_cutoffs],
        },
        model_version=version,
    )
    lack = find_lack(training, test, config)
    if lack:
        run = run.model_copy(update={"status": "not_enough_data", "message": lack})
        return {"ml.models": tabulate_no_model(), "ml.model_runs": tabulate_model_run(run)}
    outcomes = test["is_buyer"].to_numpy()
    probabilities = _fit(training, config).predict(test)
    run = run.model_copy(
        update={
            "metrics": measure_probabilities(outcomes, probabilities),
            "baseline_metrics": {
                "recency": measure_ranking(outcomes, _rank_by_recency(test)),
                "base_rate": measure_constant(
                    outcomes, float(training["is_buyer"].to_numpy().mean())
                ),
            },
        }
    )
    payload = {
        "model": _fit(examples, config).model_dump(mode="json"),
        "score_name": config.score_name,
    }
    return {
        "ml.models": tabulate_model(MODEL_NAME, payload, version),
        "ml.model_runs": tabulate_model_run(run),
    }


def score(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, config: PropensityConfig
) -> Frames:
    """Score the customers of `as_of_date` by the newest stored model of this horizon.

    Returns:
        `ml.scores`, empty when no model has been trained.
    """
    del run_id  # the score carries the version of the model that made it
    stored = read_model(con, MODEL_NAME, request.as_of_date)
    if stored is None or stored[0]["score_name"] != config.score_name:
        return {"ml.scores": pl.DataFrame(schema=_SCORE_SCHEMA)}
    payload, version = stored
    model = PropensityModel.model_validate(payload["model"])
    columns = ", ".join(["customer_id", *model.features])
    customers = con.execute(
        f"SELECT {columns} FROM features.customer_features WHERE as_of_date = ? ORDER BY customer_id",
        [request.as_of_date],
    ).pl()
    probabilities = model.predict(customers)
    frame = pl.DataFrame(
        {
            "customer_id": customers["customer_id"],
            "score_name": [payload["score_name"]] * customers.height,
            "probability": probabilities,
            "decile": rank_into_deciles(probabilities),
            "model_version": [version] * customers.height,
        },
        schema=_SCORE_SCHEMA,
    )
    return {"ml.scores": frame}


def find_lack(training: pl.DataFrame, test: pl.DataFrame, config: PropensityConfig) -> str:
    """What is missing to train and to test, or an empty text."""
    lacks = []
    for name, rows in (("training", training), ("test", test)):
        buyers = int(rows["is_buyer"].sum())
        others = rows.height - buyers
        if rows.height < config.min_rows:
            lacks.append(f"{rows.height} {name} rows, at least {config.min_rows} needed")
        elif min(buyers, others) < config.min_buyers:
            lacks.append(
                f"{buyers} buyers and {others} others among {name} rows, "
                f"at least {config.min_buyers} of each needed"
            )
    if not lacks:
        return ""
    days = config.horizon_days
    advice = f"history must reach over {2 * days} days back: {days} to learn from, {days} to test"
    return "; ".join([*lacks, advice])


def _fit(examples: pl.DataFrame, config: PropensityConfig) -> PropensityModel:
    if examples.height > config.max_training_rows:
        rng = np.random.default_rng(config.seed)
        rows = rng.choice(examples.height, config.max_training_rows, replace=False)
        examples = examples[np.sort(rows)]
    return fit_propensity(examples, FEATURES, config.n_hinges, config.regularisation)


def _rank_by_recency(rows: pl.DataFrame) -> FloatArray:
    """Who ordered last comes first; those without an order follow by when they were last seen."""
    never = 1e6  # days: after everybody with an order
    days = rows.select(
        pl.col("days_since_last_order").fill_null(never)
        + pl.col("days_since_last_seen").fill_null(never) / 1e7
    )
    return -np.asarray(days.to_numpy()[:, 0], dtype=np.float64)
