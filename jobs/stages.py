"""A stage: read at one snapshot, compute, write its partitions and its `ops.runs` row in one transaction.

A `run_id` is the digest of all that a stage's result depends on: its inputs (the `run_id` upstream), the point in time,
its configuration and the code. So equal runs have equal ids, lineage is a chain of ids, and a stage whose id is already
in `ops.runs` has nothing to do: a second run changes no table.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import duckdb
import polars as pl

from jobs.keys import check_not_rotated, find_ring
from jobs.lake import TABLES, append_rows, connect, create_tables, replace_partition, transact
from jobs.settings import PROJECT_ROOT, Settings

logger = logging.getLogger(__name__)

Frames = dict[str, pl.DataFrame]
_CODE_PATTERNS = (
    "jobs/**/*.py",
    "jobs/**/*.j2",
    "jobs/**/*.css",
    "dbt_project/**/*.sql",
    "dbt_project/**/*.yml",
    "dbt_project/**/*.csv",
)
_RUN_ID_LENGTH = 16  # 64 bits: no two runs of one lake meet


def last_day_of(as_of: datetime) -> date:
    """The last day (UTC) that a point in time, which is exclusive, has seen any of."""
    return (as_of.astimezone(UTC) - timedelta(microseconds=1)).date()


@dataclass(frozen=True)
class StageRequest:
    """What a stage is asked to compute.

    Attributes:
        as_of: the instant up to which (exclusive) the world is known, UTC.
        upstream_run_id: the run that made the tables which this stage reads.
        started_at: when the run was started, by the clock of whoever starts it; recorded, never computed with.
        pipeline: the name of the run configuration.
        allow_shrink: replace a partition even by one with far fewer rows.
        force: compute even though an equal run is on record.
    """

    as_of: datetime
    upstream_run_id: str
    started_at: datetime
    pipeline: str = ""
    allow_shrink: bool = False
    force: bool = False

    @property
    def as_of_date(self) -> date:
        """The last day that `as_of` has seen any of: the key of partitions."""
        return last_day_of(self.as_of)


@dataclass(frozen=True)
class StageResult:
    """What a stage did: its id, the rows a table, and whether an equal run had already done it."""

    run_id: str
    count_rows: dict[str, int]
    is_skipped: bool = False


@dataclass(frozen=True)
class RunRecord:
    """A row of `ops.runs`."""

    run_id: str
    as_of: datetime
    count_rows: dict[str, int]


@cache
def code_digest() -> str:
    """Digest of the code that computes: jobs and dbt models (not the DAGs, which only wire)."""
    digest = hashlib.sha256()
    files = {
        file
        for pattern in _CODE_PATTERNS
        for file in PROJECT_ROOT.glob(pattern)
        if "target" not in file.parts and "dbt_packages" not in file.parts
    }
    for file in sorted(files):
        digest.update(file.relative_to(PROJECT_ROOT).as_posix().encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:_RUN_ID_LENGTH]


def digest_of(*parts: Any) -> str:
    """Digest of values that JSON can hold (others by their text), the same on every machine."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_RUN_ID_LENGTH]


def make_run_id(stage: str, request: StageRequest, config_digest: str) -> str:
    """The id of a stage's run: equal inputs, configuration and code give an equal id."""
    return digest_of(
        stage, request.as_of.isoformat(), request.upstream_run_id, config_digest, code_digest()
    )


def find_latest_run(
    con: duckdb.DuckDBPyConnection, stage: str, as_of_date: date | None = None
) -> RunRecord | None:
    """The run that wrote a stage's tables last, or None.

    Args:
        con: the lake.
        stage: its name.
        as_of_date: the partition asked for; None for a stage that writes whole tables.
    """
    # Row ids grow with each commit, unlike `started_at`: a cleared task of an older run may be the last to write.
    row = con.execute(
        """
        SELECT run_id, as_of, count_rows FROM lake.ops.runs
        WHERE stage = $stage
            AND coalesce(((as_of - INTERVAL 1 MICROSECOND) AT TIME ZONE 'UTC')::DATE = $as_of_date::DATE, true)
        ORDER BY rowid DESC LIMIT 1
        """,
        {"stage": stage, "as_of_date": as_of_date},
    ).fetchone()
    return None if row is None else RunRecord(row[0], row[1], json.loads(row[2]))


def record_run(
    con: duckdb.DuckDBPyConnection,
    *,
    run_id: str,
    stage: str,
    request: StageRequest,
    config_digest: str,
    seconds: float,
    count_rows: dict[str, int],
) -> None:
    """Write the `ops.runs` row of a run, replacing an equal one (which makes it the latest again)."""
    con.execute("DELETE FROM lake.ops.runs WHERE run_id = ?", [run_id])
    row = {
        "run_id": [run_id],
        "stage": [stage],
        "pipeline": [request.pipeline],
        "as_of": [request.as_of],
        "upstream_run_id": [request.upstream_run_id],
        "config_digest": [config_digest],
        "code_digest": [code_digest()],
        "started_at": [request.started_at],
        "seconds": [round(seconds, 3)],
        "count_rows": [json.dumps(count_rows, sort_keys=True)],
    }
    append_rows(con, "ops.runs", pl.DataFrame(row))


def run_stage(
    settings: Settings,
    stage: str,
    request: StageRequest,
    config_digest: str,
    compute: Callable[[duckdb.DuckDBPyConnection, str], Frames],
) -> StageResult:
    """Compute a stage once and write what it returns.

    Args:
        settings: where the lake is.
        stage: its name in `ops.runs`.
        request: the point in time and the input.
        config_digest: digest of the configuration that `compute` closes over.
        compute: takes a read-only connection and the run_id, and returns a frame for each `ml` table that it
            makes, without the columns `as_of_date`, `run_id` and `job`, which are added here.

    Returns:
        The run's id and row counts; `is_skipped` when an equal run was on record.

    Raises:
        TransientError: the keys were rotated while it computed.
    """
    started = time.perf_counter()
    run_id = make_run_id(stage, request, config_digest)
    con = connect(settings)
    try:
        latest = find_latest_run(con, stage, request.as_of_date)
        if latest is not None and latest.run_id == run_id and not request.force:
            logger.info("%s: an equal run is on record, nothing to do", stage)
            return StageResult(run_id, latest.count_rows, is_skipped=True)
        ring = find_ring(con)
        frames = compute(con, run_id)
    finally:
        con.close()

    def write(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
        create_tables(con)
        check_not_rotated(con, ring)
        counts = {}
        for table, frame in frames.items():
            # Tables that several jobs share (models and their runs) are partitioned by job as well.
            partition: dict[str, Any] = {"as_of_date": request.as_of_date}
            if "job" in TABLES[table].columns:
                partition["job"] = stage
            constants = {**partition, "run_id": run_id}
            rows = frame.with_columns(
                pl.lit(value).alias(name) for name, value in constants.items()
            )
            counts[table] = replace_partition(
                con, table, rows, partition, allow_shrink=request.allow_shrink
            )
        seconds = time.perf_counter() - started
        record_run(
            con,
            run_id=run_id,
            stage=stage,
            request=request,
            config_digest=config_digest,
            seconds=seconds,
            count_rows=counts,
        )
        return counts

    return StageResult(run_id, transact(settings, write, message=f"{stage} {run_id}"))
