"""What dbt's features were last built from, so that the next build computes only what has changed since.

DuckLake knows which rows came and went between two of its snapshots. A build is an increment when the last one ended well, of
the same code, settings and keys, for an earlier or equal point in time, and nobody else has written its tables since; else
every table is replaced. `ops.builds` is the record; dbt writes the id of a build into `intermediate.begun_build` as it begins.
"""

import json
import logging
from datetime import datetime
from typing import Any

import duckdb
import polars as pl

from jobs.keys import find_ring
from jobs.lake import append_rows, connect, create_tables, transact
from jobs.settings import Settings
from jobs.stages import code_digest, digest_of, last_day_of

logger = logging.getLogger(__name__)

BEGUN = "intermediate.begun_build"
# What moves from run to run; any other setting changes what every row means.
_MOVING = {
    "as_of", "as_of_date", "cutoff_dates", "build_id", "since_as_of", "built_dates", "is_same_day",
    "since_snapshot", "until_snapshot", "built_snapshot", "basis_digest",
}  # fmt: skip


def plan_build(
    settings: Settings, run_id: str, variables: dict[str, Any], *, is_full: bool = False
) -> dict[str, Any]:
    """The variables that tell dbt what the last build has seen (none of them `since_snapshot`: replace every table).

    Args:
        settings: where the lake is.
        run_id: of the build that is planned.
        variables: dbt's others.
        is_full: replace every table, whatever is known.
    """
    con = connect(settings)
    try:
        latest = _find_latest_snapshot(con)
        # Of the code that the build begins with: by its end another may have been installed.
        basis = _basis(con, variables)
        planned: dict[str, Any] = {
            "build_id": run_id,
            "until_snapshot": latest,
            "basis_digest": basis,
        }
        last = _find_last_build(con)
        why_not = _why_not(con, last, basis, variables)
        reason = "a full build was asked for" if is_full else why_not
        if last is None or reason:
            logger.info("every table is built anew: %s", reason)
            return planned
    finally:
        con.close()
    # A date stays built while only touched customers' rows of it can have changed.
    built = sorted(set(json.loads(last["cutoff_dates"])) & set(variables["cutoff_dates"]))
    as_of = datetime.fromisoformat(variables["as_of"])
    return {
        **planned,
        "since_snapshot": min(last["source_snapshot"] + 1, latest),
        "built_snapshot": last["built_snapshot"],
        "since_as_of": last["as_of"].isoformat(),
        "is_same_day": last_day_of(last["as_of"]) == last_day_of(as_of),
        "built_dates": built,
    }


def record_build(settings: Settings, run_id: str, variables: dict[str, Any]) -> None:
    """Write down that the planned build of these variables has just ended well."""

    def write(con: duckdb.DuckDBPyConnection) -> None:
        create_tables(con)
        con.execute("DELETE FROM lake.ops.builds")  # only the last one counts
        row = {
            "run_id": [run_id],
            "as_of": [datetime.fromisoformat(variables["as_of"])],
            "basis_digest": [variables["basis_digest"]],
            "cutoff_dates": [json.dumps(variables["cutoff_dates"])],
            "source_snapshot": [variables["until_snapshot"]],
            "built_snapshot": [_find_latest_snapshot(con)],
            "is_increment": ["since_snapshot" in variables],
        }
        append_rows(con, "ops.builds", pl.DataFrame(row))

    transact(settings, write, message=f"build {run_id}")


def _basis(con: duckdb.DuckDBPyConnection, variables: dict[str, Any]) -> str:
    """Digest of what every row of a build depends on beside the records and the point in time."""
    settled = {name: value for name, value in variables.items() if name not in _MOVING}
    return digest_of(settled, code_digest(), find_ring(con))


def _find_latest_snapshot(con: duckdb.DuckDBPyConnection) -> int:
    row = con.execute("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')").fetchone()
    return int(row[0]) if row else 0


def _find_last_build(con: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    if not _has_table(con, "ops.builds"):
        return None
    rows = con.execute("SELECT * FROM lake.ops.builds ORDER BY rowid DESC LIMIT 1").pl()
    return None if rows.is_empty() else rows.row(0, named=True)


def _has_table(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    schema, table = name.split(".")
    found = con.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = ? AND table_name = ?",
        [schema, table],
    ).fetchone()
    return found is not None


def _why_not(
    con: duckdb.DuckDBPyConnection,
    last: dict[str, Any] | None,
    basis: str,
    variables: dict[str, Any],
) -> str:
    """Why a build cannot be an increment; empty when it can."""
    if last is None:
        return "no build has ended yet"
    if last["basis_digest"] != basis:
        return "the code, a setting or the keys are others than those of the last build"
    if last["as_of"] > datetime.fromisoformat(variables["as_of"]):
        return "the last build was for a later point in time"
    begun = (
        con.execute(f"SELECT build_id FROM lake.{BEGUN}").fetchone()
        if _has_table(con, BEGUN)
        else None
    )
    if begun is None or begun[0] != last["run_id"]:
        return "a build has begun since the last one that ended"
    needed = [last["built_snapshot"], min(last["source_snapshot"] + 1, _find_latest_snapshot(con))]
    kept = con.execute(
        "SELECT count(DISTINCT snapshot_id) FROM ducklake_snapshots('lake') WHERE list_contains(?, snapshot_id)",
        [needed],
    ).fetchone()
    if kept is None or kept[0] != len(set(needed)):
        return "the lake has forgotten the last build's snapshots"
    return ""
