"""A gate: check tables against their suites, record every result, and stop on a critical failure.

Reads the tables named, writes `ops.quality_results` (one row per expectation, `run_id` and table), which is the record of
failures too: it is written before the error is raised. A rerun that finds the same writes nothing.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from jobs.errors import ConfigError, InputDataError, QualityGateError
from jobs.lake import TABLES, append_rows, connect, create_tables, find_tables, transact
from jobs.quality.checking import Outcome, check_table, open_source
from jobs.quality.suites import SUITES_DIR, Suite, load_suite
from jobs.settings import Settings
from jobs.stages import StageRequest

logger = logging.getLogger(__name__)

RESULTS = "ops.quality_results"


@dataclass(frozen=True)
class GateResult:
    """The outcomes of a gate that let the run pass."""

    run_id: str
    outcomes: tuple[Outcome, ...]

    @property
    def warnings(self) -> tuple[Outcome, ...]:
        """Expectations that failed without stopping the run."""
        return tuple(outcome for outcome in self.outcomes if not outcome.is_success)


def run_gate(
    settings: Settings,
    tables: Sequence[str],
    request: StageRequest,
    run_id: str,
    suites_dir: Path = SUITES_DIR,
) -> GateResult:
    """Check tables, record the results under `run_id`, and stop on a critical failure.

    Args:
        settings: where the lake is.
        tables: `schema.table` names, each with an expectations file.
        request: gives `as_of` to the suites and `started_at` to the record.
        run_id: the run whose output is checked.
        suites_dir: folder of the expectation files.

    Raises:
        ConfigError: an expectations file is missing, malformed or cannot be evaluated.
        InputDataError: a table does not exist.
        QualityGateError: a critical expectation failed; the results are on record.
    """
    suites = {table: load_suite(table, suites_dir) for table in dict.fromkeys(tables)}
    _require_tables(settings, suites)
    outcomes = _check(settings, suites, request)
    _record(settings, outcomes, request, run_id)
    _raise_on_failure(outcomes, run_id)
    return GateResult(run_id, tuple(outcomes))


def outcomes_to_frame(
    outcomes: Sequence[Outcome], request: StageRequest, run_id: str
) -> pl.DataFrame:
    """One row per outcome with the columns of `ops.quality_results`."""
    rows = [
        {
            "run_id": run_id,
            "table_name": outcome.table,
            "expectation": outcome.expectation,
            "severity": outcome.severity,
            "is_success": outcome.is_success,
            "observed_value": outcome.observed_value,
            "offending_ids": "; ".join(outcome.offending_ids) or None,
            "checked_at": request.started_at,
        }
        for outcome in outcomes
    ]
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "run_id": pl.String,
        "table_name": pl.String,
        "expectation": pl.String,
        "severity": pl.String,
        "is_success": pl.Boolean,
        "observed_value": pl.String,
        "offending_ids": pl.String,
        "checked_at": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(rows, schema=schema)


def describe_failure(outcome: Outcome) -> str:
    """One failure in words: table, expectation, observed value, rows."""
    rows = f" (rows: {'; '.join(outcome.offending_ids)})" if outcome.offending_ids else ""
    return f"{outcome.table}: {outcome.expectation}: observed {outcome.observed_value}{rows}"


def _require_tables(settings: Settings, suites: dict[str, Suite]) -> None:
    con = connect(settings)
    try:
        existing = find_tables(con)
    finally:
        con.close()
    missing = [table for table in suites if table not in existing]
    if missing:
        raise InputDataError(
            f"checking {', '.join(missing)}: no such table in the lake; run the stage that makes it first"
        )


def _check(settings: Settings, suites: dict[str, Suite], request: StageRequest) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with open_source(settings, request, suites) as source:
        for table, suite in suites.items():
            started = time.perf_counter()
            found = check_table(source, table, suite)
            n_failed = sum(not outcome.is_success for outcome in found)
            seconds = time.perf_counter() - started
            logger.info(
                "checked %s: %d expectations, %d failed in %.2f s",
                table,
                len(found),
                n_failed,
                seconds,
            )
            outcomes += found
    for outcome in outcomes:
        if not outcome.is_success and outcome.severity == "warning":
            logger.warning("%s", describe_failure(outcome))
    return outcomes


def _record(
    settings: Settings, outcomes: Sequence[Outcome], request: StageRequest, run_id: str
) -> None:
    frame = outcomes_to_frame(outcomes, request, run_id)
    con = connect(settings)
    try:
        if _is_on_record(con, frame, run_id):
            return
    finally:
        con.close()

    def write(con: duckdb.DuckDBPyConnection) -> None:
        create_tables(con)
        con.execute(
            f"DELETE FROM lake.{RESULTS} WHERE run_id = ? AND list_contains(?, table_name)",
            [run_id, frame["table_name"].unique().to_list()],
        )
        append_rows(con, RESULTS, frame)

    transact(settings, write, message=f"quality {run_id}")


def _is_on_record(con: duckdb.DuckDBPyConnection, frame: pl.DataFrame, run_id: str) -> bool:
    """Whether the same results, checked at whatever time, stand there already."""
    tables = frame["table_name"].unique().to_list()
    columns = [column for column in TABLES[RESULTS].columns if column != "checked_at"]
    try:
        known = con.execute(
            f"SELECT {', '.join(columns)} FROM lake.{RESULTS} WHERE run_id = ? AND list_contains(?, table_name)",
            [run_id, tables],
        ).pl()
    except duckdb.CatalogException:
        return False
    order = ["table_name", "expectation"]
    return known.sort(order).equals(frame.select(columns).sort(order))


def _raise_on_failure(outcomes: Sequence[Outcome], run_id: str) -> None:
    faulty = [outcome for outcome in outcomes if not outcome.is_evaluated]
    if faulty:
        raise ConfigError(
            f"{'; '.join(map(describe_failure, faulty))}. Mend the expectation (expectations/<schema>/<table>.yml) "
            "or the table's columns, then clear this task"
        )
    critical = [o for o in outcomes if not o.is_success and o.severity == "critical"]
    if critical:
        raise QualityGateError(
            f"{len(critical)} critical expectation{'s' * (len(critical) > 1)} failed: "
            f"{'; '.join(map(describe_failure, critical))}. Nothing passed on. All results: SELECT * FROM "
            f"{RESULTS} WHERE run_id = '{run_id}'. Correct the rows at their source, or the expectation if it is "
            "wrong (docs/data-quality.md), then clear this task"
        )
