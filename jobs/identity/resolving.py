"""Who is who: from what the records tell to the persons, as known at `as_of`.

Reads: `raw`, `identity.decisions`. Writes, in one transaction: `identity.identifiers` and `identity.links` (whole tables), new rows
of `identity.changes`, `ml.model_runs` where the configuration names a file with the truth, `ops.runs`. A rerun changes nothing.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
import polars as pl

from jobs.identity.config import IdentityConfig
from jobs.identity.evidence import Decision, Evidences, read_decisions, read_evidence
from jobs.identity.graph import Cut, Evidence, Kind, Resolution, resolve
from jobs.identity.judging import judge_links
from jobs.keys import KeyRing, check_not_rotated, find_ring
from jobs.lake import connect, create_tables, transact
from jobs.lake.writing import append_rows, replace_partition
from jobs.settings import Settings
from jobs.sources.pseudonyms import find_pseudonyms
from jobs.stages import StageRequest, record_run

logger = logging.getLogger(__name__)

STAGE = "resolve_identities"
_EMPTY: dict[str, pl.DataType | type[pl.DataType]] = {
    "change": pl.String,
    "customer_id": pl.String,
    "new_customer_id": pl.String,
    "count_identifiers": pl.Int64,
    "cause": pl.String,
    "caused_at": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True)
class Identities:
    """Persons, as frames.

    Attributes:
        identifiers: columns of `identity.identifiers` but `run_id`.
        links: columns of `identity.links` but `run_id`.
        changes: against what stands in the lake: columns of `identity.changes` from `change` to `caused_at`.
    """

    identifiers: pl.DataFrame
    links: pl.DataFrame
    changes: pl.DataFrame

    @property
    def count_customers(self) -> int:
        """How many persons there are."""
        return self.identifiers["customer_id"].n_unique()


def pseudonyms_of_shared(config: IdentityConfig, keys: KeyRing) -> list[str]:
    """The pseudonyms of what the configuration calls shared, whatever kind of identifier each is."""
    return sorted({name for text in config.shared for name in find_pseudonyms(keys, text)})


def find_identities(
    con: duckdb.DuckDBPyConnection,
    as_of: datetime,
    config: IdentityConfig,
    *,
    shared: list[str],
    decisions: list[Decision],
) -> Identities:
    """Resolve identities and compare them with those in the lake; writes nothing.

    Args:
        con: the lake.
        as_of: what came later is not known.
        config: brakes and thresholds.
        shared: what `pseudonyms_of_shared` gave.
        decisions: of people; for a dry run, with the one that is considered.
    """
    evidences = read_evidence(con, as_of, config, shared=shared, decisions=decisions)
    resolution = resolve(evidences.nodes, evidences.links, config.brakes)
    identifiers, links = _to_frames(evidences, resolution)
    con.register("new_identifiers", identifiers.to_arrow())
    con.register("new_links", links.to_arrow())
    try:
        changes = (
            con.execute(_CHANGES).pl() if _has_identities(con) else pl.DataFrame(schema=_EMPTY)
        )
    finally:
        con.unregister("new_identifiers")
        con.unregister("new_links")
    return Identities(identifiers, links, changes)


def _has_identities(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute("SELECT 1 FROM lake.identity.identifiers LIMIT 1").fetchone() is not None


def _to_frames(evidences: Evidences, resolution: Resolution) -> tuple[pl.DataFrame, pl.DataFrame]:
    texts = evidences.identifiers
    nodes, links = evidences.nodes, evidences.links
    kinds = pl.Series([kind.name.lower() for kind in Kind])
    reasons = pl.Series([None, *(cut.name.lower() for cut in Cut if cut)], dtype=pl.String)
    names = pl.Series([evidence.name.lower() for evidence in Evidence])
    last = resolution.last_link
    by_link = names.gather(links.evidence[np.maximum(last, 0)]) if len(links.left) else None
    identifiers = pl.DataFrame(
        {
            "identifier": texts,
            "kind": kinds.gather(nodes.kinds),
            "customer_id": texts.gather(resolution.roots),
            "first_known_at": _instants(nodes.first_known),
            "linked_at": _instants(resolution.linked_at),
            "link_kind": by_link
            if by_link is not None
            else pl.Series([None] * len(texts), dtype=pl.String),
        }
    ).with_columns(pl.when(pl.Series(last >= 0)).then(pl.col("link_kind")).alias("link_kind"))
    linked = pl.DataFrame(
        {
            "identifier": texts.gather(links.left),
            "other_identifier": texts.gather(links.right),
            "link_kind": names.gather(links.evidence),
            "first_known_at": _instants(links.known_at),
            "count_told": pl.Series(evidences.counts),
            "cut_reason": reasons.gather(resolution.cut),
        }
    )
    # What many share is nobody: it stands among the links that were cut, and is no customer.
    return identifiers.filter(~pl.col("identifier").str.starts_with("g_")), linked


def _instants(microseconds: np.ndarray) -> pl.Series:
    return pl.Series(microseconds).cast(pl.Datetime("us", "UTC"))


# Identifiers that were one customer's and are another's now, and why. A customer whose own identifier went has been merged;
# one that kept it has lost the others.
_CHANGES = """
    WITH moved AS (
        SELECT old.identifier, old.customer_id, new.customer_id AS new_customer_id
        FROM lake.identity.identifiers AS old JOIN new_identifiers AS new USING (identifier)
        WHERE old.customer_id <> new.customer_id
    ),
    changed AS (
        SELECT moved.customer_id, moved.new_customer_id, count(*) AS count_identifiers,
            CASE WHEN any_value(own.customer_id) = moved.new_customer_id THEN 'merged' ELSE 'split' END AS change
        FROM moved LEFT JOIN new_identifiers AS own ON moved.customer_id = own.identifier
        GROUP BY moved.customer_id, moved.new_customer_id
    ),
    -- Links between what was one customer's and what is the other's.
    between_customers AS (
        SELECT former.customer_id, new.customer_id AS new_customer_id, links.link_kind, links.cut_reason, links.first_known_at
        FROM (
            SELECT identifier AS a, other_identifier AS b, * FROM new_links
            UNION ALL
            SELECT other_identifier, identifier, * FROM new_links
        ) AS links
        JOIN lake.identity.identifiers AS former ON links.a = former.identifier
        JOIN new_identifiers AS new ON links.b = new.identifier
        LEFT JOIN lake.identity.identifiers AS former_other ON links.b = former_other.identifier
        WHERE former.customer_id <> new.customer_id
            AND (links.cut_reason IS NOT NULL OR former_other.customer_id IS DISTINCT FROM former.customer_id)
    ),
    causes AS (
        SELECT changed.change, between_customers.customer_id, between_customers.new_customer_id,
            arg_min({'name': coalesce(cut_reason, link_kind), 'at': first_known_at}, row(first_known_at, link_kind)) AS cause
        FROM between_customers JOIN changed USING (customer_id, new_customer_id)
        WHERE (changed.change = 'split') = (cut_reason IS NOT NULL)
        GROUP BY ALL
    )
    SELECT changed.change, changed.customer_id, changed.new_customer_id, changed.count_identifiers,
        coalesce(causes.cause.name, CASE changed.change WHEN 'split' THEN 'link_withdrawn' ELSE 'older_identifier' END) AS cause,
        causes.cause.at AS caused_at
    FROM changed LEFT JOIN causes USING (change, customer_id, new_customer_id)
    ORDER BY ALL
"""


def run(
    settings: Settings,
    request: StageRequest,
    run_id: str,
    config_digest: str,
    config: IdentityConfig,
    keys: KeyRing,
) -> dict[str, int]:
    """Resolve the identities of a run's point in time, and write them.

    Returns:
        Rows a table.
    """
    started = time.perf_counter()
    con = connect(settings)
    try:
        ring = find_ring(con)
        found = find_identities(
            con,
            request.as_of,
            config,
            shared=pseudonyms_of_shared(config, keys),
            decisions=read_decisions(con),
        )
        judged = judge_links(con, found.identifiers, found.links, config, keys)
    finally:
        con.close()

    def write(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
        create_tables(con)
        check_not_rotated(con, ring)
        _replace_changed(con, "identifiers", ["identifier"], found.identifiers, run_id)
        _replace_changed(
            con, "links", ["identifier", "other_identifier", "link_kind"], found.links, run_id
        )
        _append_changes(con, found.changes, request, run_id)
        counts = {
            "identifiers": found.identifiers.height,
            "links": found.links.height,
            "cut_links": found.links["cut_reason"].count(),
            "customers": found.count_customers,
            "changes": found.changes.height,
        }
        if judged is not None:
            constants = {"as_of_date": request.as_of_date, "job": STAGE}
            rows = judged.with_columns(
                pl.lit(run_id).alias("run_id"),
                *(pl.lit(value).alias(name) for name, value in constants.items()),
            )
            replace_partition(con, "ml.model_runs", rows, constants)
        record_run(
            con,
            run_id=run_id,
            stage=STAGE,
            request=request,
            config_digest=config_digest,
            seconds=time.perf_counter() - started,
            count_rows=counts,
        )
        return counts

    counts = transact(settings, write, message=f"{STAGE} {run_id}")
    logger.info(
        "%d identifiers are %d customers; %d of %d links cut; %d customers changed, in %.1f s",
        counts["identifiers"],
        counts["customers"],
        counts["cut_links"],
        counts["links"],
        counts["changes"],
        time.perf_counter() - started,
    )
    return counts


def _replace_changed(
    con: duckdb.DuckDBPyConnection, table: str, keys: list[str], frame: pl.DataFrame, run_id: str
) -> None:
    """Make a table hold a frame; rows that are there already stay as they are, so that its changes are those of the world."""
    if con.execute(f"SELECT 1 FROM lake.identity.{table} LIMIT 1").fetchone() is None:
        append_rows(con, f"identity.{table}", frame.with_columns(run_id=pl.lit(run_id)))
        return
    columns = ", ".join(frame.columns)
    matched = " AND ".join(f"old.{key} = changed.{key}" for key in keys)
    con.register("new_rows", frame.to_arrow())
    try:
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE changed_rows AS
            SELECT {columns} FROM new_rows EXCEPT SELECT {columns} FROM lake.identity.{table}
            """
        )
        con.execute(
            f"""
            DELETE FROM lake.identity.{table} AS old
            WHERE EXISTS (SELECT 1 FROM temp.changed_rows AS changed WHERE {matched})
                OR NOT EXISTS (SELECT 1 FROM new_rows AS changed WHERE {matched})
            """
        )
        changed = con.execute(f"SELECT {columns} FROM temp.changed_rows ORDER BY ALL").pl()
        append_rows(con, f"identity.{table}", changed.with_columns(run_id=pl.lit(run_id)))
        con.execute("DROP TABLE temp.changed_rows")
    finally:
        con.unregister("new_rows")


def _append_changes(
    con: duckdb.DuckDBPyConnection, changes: pl.DataFrame, request: StageRequest, run_id: str
) -> None:
    """Write down what changed; a run for an earlier point in time takes nothing back, and tells nothing twice."""
    if changes.is_empty():
        return
    latest = con.execute("SELECT max(as_of) FROM lake.ops.runs WHERE stage = ?", [STAGE]).fetchone()
    if latest is not None and latest[0] is not None and latest[0] > request.as_of:
        return
    # After a run for an earlier day the same merges are found once more.
    told = con.execute(
        """
        SELECT change, customer_id, new_customer_id FROM lake.identity.changes
        QUALIFY row_number() OVER (
            PARTITION BY least(customer_id, new_customer_id), greatest(customer_id, new_customer_id)
            ORDER BY changed_at DESC, rowid DESC
        ) = 1
        """
    ).pl()
    rows = changes.join(told, on=told.columns, how="anti").with_columns(
        as_of=pl.lit(request.as_of), changed_at=pl.lit(request.started_at), run_id=pl.lit(run_id)
    )
    append_rows(con, "identity.changes", rows)
