"""Who is in which segment at an instant, and why.

Reads core.customers, features.customer_events and features.customer_features (the partition of the day); returns
ml.segments (one row per active segment) and ml.segment_memberships (one row per customer and active segment). The lake is
read once: rules run over temporary tables that hold the events, customers and columns that any rule needs.
"""

import logging
import time
from datetime import UTC, date, datetime

import duckdb
import polars as pl

from jobs.errors import InputDataError
from jobs.segments.compilation import (
    CUSTOMERS_TABLE,
    EVENTS_TABLE,
    MATCHES_TABLE,
    attribute_column,
    compile_segment,
    feature_column,
)
from jobs.segments.definition import (
    AbsentCondition,
    AttributeCondition,
    CountCondition,
    Events,
    FeatureCondition,
    Segment,
    SequenceCondition,
    SequenceOf,
    SumCondition,
    parse_duration,
)
from jobs.segments.loading import order_segments
from jobs.stages import Frames, StageRequest, digest_of

logger = logging.getLogger(__name__)

SEGMENTS_SCHEMA: dict[str, pl.DataType] = {
    "segment_id": pl.String(),
    "segment_name": pl.String(),
    "rule_version": pl.String(),
    "description": pl.String(),
    "owner": pl.String(),
    "purpose": pl.String(),
    "definition": pl.String(),
    "n_customers": pl.Int64(),
    "model_version": pl.String(),
}
MEMBERSHIPS_SCHEMA: dict[str, pl.DataType] = {
    "customer_id": pl.String(),
    "segment_id": pl.String(),
    "rule_version": pl.String(),
    "reason": pl.String(),
    "observed_value": pl.Float64(),
    "threshold": pl.Float64(),
    "event_ids": pl.List(pl.String()),
    "model_version": pl.String(),
}
_EVENT_COLUMNS = (
    "customer_id, event_id, event_type, occurred_at, session_id, item_id, category, brand, price, "
    "quantity, value, order_id, channel, campaign, device, country, region"
)


def digest_segments(segments: tuple[Segment, ...]) -> str:
    """Digest of all definitions, whatever their order: the configuration of the stage and its model_version."""
    return digest_of(sorted((s.definition() for s in segments), key=lambda rule: str(rule["id"])))


def evaluate(
    con: duckdb.DuckDBPyConnection,
    request: StageRequest,
    run_id: str,
    segments: tuple[Segment, ...],
) -> Frames:
    """Evaluate every rule at `request.as_of`.

    Args:
        con: a connection with the lake attached as `lake`; read-only will do (temporary tables are made beside it).
        request: the point in time; a rule is active when its validity holds the request's `as_of_date`.
        run_id: the stage's run, for the log.
        segments: rules, disabled ones among them where others build on them.

    Returns:
        `ml.segments` by segment_id and `ml.segment_memberships` by customer_id, segment_id; without as_of_date and
        run_id, which `jobs.stages.run_stage` adds.

    Raises:
        ConfigError: rules refer to each other in a circle or to an unknown one.
        InputDataError: a rule needs features, and there are none of that day.
    """
    started = time.perf_counter()
    ordered = order_segments(segments)
    version = digest_segments(segments)
    active = sorted(s.id for s in ordered if s.is_active(request.as_of_date))
    try:
        prepare(con, ordered, request.as_of, request.as_of_date)
        for segment in ordered:
            compiled = compile_segment(segment, request.as_of)
            con.execute(f"INSERT INTO {MATCHES_TABLE} BY NAME {compiled.sql}", compiled.parameters)
        members = con.execute(
            f"SELECT * FROM {MATCHES_TABLE} WHERE list_contains($active, segment_id) "
            "ORDER BY customer_id, segment_id",
            {"active": active},
        ).pl()
    finally:
        for table in (EVENTS_TABLE, CUSTOMERS_TABLE, MATCHES_TABLE):
            con.execute(f"DROP TABLE IF EXISTS {table}")
    memberships = members.with_columns(pl.lit(version).alias("model_version"))
    logger.info(
        "segments %s: %d rules, %d memberships in %.2f s",
        run_id,
        len(active),
        memberships.height,
        time.perf_counter() - started,
    )
    by_id = {segment.id: segment for segment in segments}
    counts = dict(memberships.group_by("segment_id").len().iter_rows())
    return {
        "ml.segments": pl.DataFrame(
            [_describe(by_id[i], counts.get(i, 0), version) for i in active],
            schema=SEGMENTS_SCHEMA,
        ),
        "ml.segment_memberships": memberships.select(
            pl.col(name).cast(dtype) for name, dtype in MEMBERSHIPS_SCHEMA.items()
        ),
    }


def prepare(
    con: duckdb.DuckDBPyConnection,
    segments: tuple[Segment, ...],
    as_of: datetime,
    as_of_date: date,
) -> None:
    """Make the temporary tables that compiled rules read (see `jobs.segments.compilation`).

    Raises:
        InputDataError: a rule needs features, and there are none of `as_of_date`.
    """
    conditions = [condition for segment in segments for condition in segment.conditions()]
    blocks = [block for block in map(_events_of, conditions) if block is not None]
    longest = max((parse_duration(block.within) for block in blocks), default=None)
    as_of = as_of.astimezone(UTC)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {EVENTS_TABLE} AS SELECT {_EVENT_COLUMNS} "
        "FROM lake.features.customer_events WHERE occurred_at >= $since AND occurred_at < $as_of "
        "AND known_at <= $as_of AND list_contains($event_types, event_type)",
        {
            "since": as_of if longest is None else as_of - longest,
            "as_of": as_of,
            "event_types": sorted({name for block in blocks for name in block.event_types}),
        },
    )
    features = sorted({c.feature for c in conditions if isinstance(c, FeatureCondition)})
    attributes = sorted({c.attribute for c in conditions if isinstance(c, AttributeCondition)})
    columns = [f"customers.{name} AS {attribute_column(name)}" for name in attributes]
    columns += [f"features.{name} AS {feature_column(name)}" for name in features]
    join = (
        "LEFT JOIN lake.features.customer_features AS features "
        "ON features.customer_id = customers.customer_id AND features.as_of_date = $as_of_date"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {CUSTOMERS_TABLE} AS "
        f"SELECT {', '.join(['customers.customer_id', *columns])} "
        f"FROM lake.core.customers AS customers {join if features else ''}",
        {"as_of_date": as_of_date} if features else {},
    )
    if features:
        _check_features(con, as_of_date)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {MATCHES_TABLE} (customer_id VARCHAR, segment_id VARCHAR, "
        "rule_version VARCHAR, reason VARCHAR, observed_value DOUBLE, threshold DOUBLE, "
        "event_ids VARCHAR[])"
    )


def _check_features(con: duckdb.DuckDBPyConnection, as_of_date: date) -> None:
    """Refuse a day without features: rules on them would find nobody, and nobody would notice."""
    row = con.execute(
        f"SELECT (SELECT count(*) FROM {CUSTOMERS_TABLE}), count(*) "
        "FROM lake.features.customer_features WHERE as_of_date = ?",
        [as_of_date],
    ).fetchone()
    n_customers, n_features = row or (0, 0)
    if n_customers and not n_features:
        raise InputDataError(
            f"reading features.customer_features {as_of_date}: expected a row a customer "
            f"({n_customers} in core.customers), found none; build the features of that day first"
        )


def _events_of(condition: object) -> Events | SequenceOf | None:
    match condition:
        case CountCondition(count=block) | SumCondition(sum=block):
            return block
        case AbsentCondition(absent=absent):
            return absent
        case SequenceCondition(sequence=sequence):
            return sequence
        case _:
            return None


def _describe(segment: Segment, n_customers: int, version: str) -> dict[str, object]:
    return {
        "segment_id": segment.id,
        "segment_name": segment.name,
        "rule_version": segment.rule_version,
        "description": segment.description,
        "owner": segment.owner,
        "purpose": segment.purpose,
        "definition": segment.definition_json(),
        "n_customers": n_customers,
        "model_version": version,
    }
