"""What the stages of a run know of each other: which run wrote their inputs, and whether their own work is on record."""

import time

import duckdb

from jobs.errors import InputDataError
from jobs.lake import connect, transact
from jobs.pipeline.run import PipelineRun
from jobs.stages import StageRequest, digest_of, find_latest_run, record_run

EXTRACT, FEATURES, MARTS = "extract_logs", "build_features", "build_marts"
IDENTITIES = "resolve_identities"
# These write whole tables, so only the newest point in time that they were run for stands in them.
_WHOLE_TABLES = {IDENTITIES, FEATURES, MARTS}


def find_upstream(run: PipelineRun, stages: tuple[str, ...]) -> str:
    """The id of what the named stages wrote for this run's point in time (of several: a digest of theirs).

    Raises:
        InputDataError: one has not run for it, or its tables hold another point in time by now.
    """
    con = connect(run.settings)
    try:
        found = [_find_one(con, run, stage) for stage in stages]
    finally:
        con.close()
    return found[0] if len(found) == 1 else digest_of(found)


def _find_one(con: duckdb.DuckDBPyConnection, run: PipelineRun, stage: str) -> str:
    if stage == EXTRACT:
        latest = find_latest_run(con, stage)
    else:
        latest = find_latest_run(con, stage, run.request("").as_of_date)
    if latest is None:
        raise InputDataError(
            f"there is no run of {stage} for {run.as_of}; run that stage first "
            "(`personalake run` takes them in order)"
        )
    is_other = stage != EXTRACT and latest.as_of != run.as_of
    if is_other or (stage in _WHOLE_TABLES and find_latest_run(con, stage) != latest):
        raise InputDataError(
            f"the tables of {stage} hold another point in time than {run.as_of}; run {stage} again for it"
        )
    return latest.run_id


def is_done(run: PipelineRun, stage: str, run_id: str) -> bool:
    """True when the stage's tables hold what this very run would write (and it is not forced)."""
    con = connect(run.settings)
    try:
        as_of_date = None if stage in _WHOLE_TABLES else run.request("").as_of_date
        latest = find_latest_run(con, stage, as_of_date)
    finally:
        con.close()
    return latest is not None and latest.run_id == run_id and not run.force


def record(
    run: PipelineRun,
    stage: str,
    run_id: str,
    request: StageRequest,
    config_digest: str,
    counts: dict[str, int],
    started: float,
) -> None:
    """Write the `ops.runs` row of a stage that began at `started` (of `time.perf_counter`)."""

    def write(con: duckdb.DuckDBPyConnection) -> None:
        record_run(
            con,
            run_id=run_id,
            stage=stage,
            request=request,
            config_digest=config_digest,
            seconds=time.perf_counter() - started,
            count_rows=counts,
        )

    transact(run.settings, write, message=f"{stage} {run_id}")
