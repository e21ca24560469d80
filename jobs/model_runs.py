"""What every model tells about itself: rows of `ml.model_runs` and `ml.models`.

A payload is JSON, never a pickle: reading one back runs no code, and a person can read it.
"""

import json
from datetime import date
from typing import Any, Literal

import duckdb
import polars as pl
from pydantic import BaseModel

from jobs.stages import digest_of

Status = Literal["ok", "not_enough_data"]
_METRIC_DIGITS = 6  # beyond that a metric is noise, and summation order could show

_RUN_SCHEMA = {
    "model_name": pl.String,
    "algorithm": pl.String,
    "status": pl.String,
    "n_train": pl.Int64,
    "n_test": pl.Int64,
    "metrics": pl.String,
    "baseline_metrics": pl.String,
    "parameters": pl.String,
    "message": pl.String,
    "model_version": pl.String,
}
_MODEL_SCHEMA = {"model_name": pl.String, "payload": pl.Binary, "model_version": pl.String}


class ModelRun(BaseModel, frozen=True, extra="forbid"):
    """One training or evaluation: how it was done, on how much data, and how good the result is.

    Attributes:
        status: `not_enough_data` when there is too little to learn from; `message` then says what is missing.
        metrics: of the model, by name; lists and tables are allowed.
        baseline_metrics: the same metrics of simpler methods on the same rows, by method.
    """

    model_name: str
    algorithm: str
    status: Status = "ok"
    n_train: int = 0
    n_test: int = 0
    metrics: dict[str, Any] = {}
    baseline_metrics: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    message: str = ""
    model_version: str


def make_model_version(algorithm: str, config: BaseModel, run_id: str) -> str:
    """Digest of what a model depends on: its algorithm, its configuration and the run that fed it."""
    return digest_of(algorithm, config.model_dump(mode="json"), run_id)


def tabulate_model_run(run: ModelRun) -> pl.DataFrame:
    """One row of `ml.model_runs`."""
    row = run.model_dump()
    for column in ("metrics", "baseline_metrics", "parameters"):
        row[column] = json.dumps(round_numbers(row[column]), sort_keys=True)
    return pl.DataFrame([row], schema=_RUN_SCHEMA)


def tabulate_model(model_name: str, payload: dict[str, Any], model_version: str) -> pl.DataFrame:
    """One row of `ml.models`; floats in the payload keep every digit."""
    text = json.dumps(payload, sort_keys=True)
    row = {"model_name": model_name, "payload": text.encode(), "model_version": model_version}
    return pl.DataFrame([row], schema=_MODEL_SCHEMA)


def tabulate_no_model() -> pl.DataFrame:
    """`ml.models` without a row: there was too little data to train one."""
    return pl.DataFrame(schema=_MODEL_SCHEMA)


def read_model(
    con: duckdb.DuckDBPyConnection, model_name: str, as_of_date: date
) -> tuple[dict[str, Any], str] | None:
    """The payload and model_version of the newest model of that name that was trained up to `as_of_date`."""
    row = con.execute(
        "SELECT payload, model_version FROM ml.models WHERE model_name = ? AND as_of_date <= ? "
        "ORDER BY as_of_date DESC LIMIT 1",
        [model_name, as_of_date],
    ).fetchone()
    return None if row is None else (json.loads(row[0]), row[1])


def round_numbers(value: Any) -> Any:
    """Round every float in nested dicts and lists; numbers that JSON cannot hold become null."""
    if isinstance(value, dict):
        return {key: round_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [round_numbers(inner) for inner in value]
    if isinstance(value, float):
        is_finite = abs(value) != float("inf") and value == value
        return round(value, _METRIC_DIGITS) if is_finite else None
    return value
