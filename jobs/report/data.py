"""What the report shows, read from the lake: aggregates only, never a row of a customer.

Inputs: `identity`, `core`, `features`, `marts` (dbt), `ml`, `raw.files`, `raw.rejects`, `ops`. A table that does not exist yet gives an
empty frame, and the page says so in a sentence.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

import duckdb
import polars as pl

from jobs.lake import find_tables
from jobs.stages import StageRequest

logger = logging.getLogger(__name__)

STAGE = "write_report"  # its own row in ops.runs would differ between a run and its rerun

Schema = dict[str, type[pl.DataType]]

_SEGMENT_KPIS: Schema = {
    "segment_id": pl.String,
    "segment_name": pl.String,
    "kind": pl.String,
    "n_customers": pl.Int64,
    "share": pl.Float64,
    "net_value": pl.Float64,
    "average_order_value": pl.Float64,
    "orders_per_customer": pl.Float64,
    "purchase_probability_mean": pl.Float64,
    "n_entered": pl.Int64,
    "n_left": pl.Int64,
}
_KPIS_DAILY: Schema = {
    "day": pl.Date,
    "n_events": pl.Int64,
    "n_sessions": pl.Int64,
    "n_customers": pl.Int64,
    "n_orders": pl.Int64,
    "net_value": pl.Float64,
    "conversion_rate": pl.Float64,
    "bounce_rate": pl.Float64,
    "average_order_value": pl.Float64,
    "n_sessions_with_order": pl.Int64,
    "n_bounces": pl.Int64,
    "n_engaged_sessions": pl.Int64,
    "engagement_rate": pl.Float64,
    "n_new_customers": pl.Int64,
}
_METRICS: Schema = {
    "metric": pl.String,
    "label": pl.String,
    "description": pl.String,
    "unit": pl.String,
    "aggregation": pl.String,
    "numerator": pl.String,
    "denominator": pl.String,
    "decimals": pl.Int64,
    "good_direction": pl.String,
}
_KPI_ANOMALIES: Schema = {
    "day": pl.Date,
    "metric": pl.String,
    "value": pl.Float64,
    "expected": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "direction": pl.String,
    "severity": pl.String,
    "n_weeks": pl.Int64,
}
SCHEMAS: dict[str, Schema] = {
    "totals": {
        "n_customers": pl.Int64,
        "n_registered": pl.Int64,
        "n_contactable": pl.Int64,
        "n_buyers": pl.Int64,
        "n_returning_buyers": pl.Int64,
        "n_sessions": pl.Int64,
        "n_sessions_with_order": pl.Int64,
        "bounce_rate": pl.Float64,
        "n_orders": pl.Int64,
        "gross_value": pl.Float64,
        "refunded_value": pl.Float64,
        "net_value": pl.Float64,
        "n_items": pl.Int64,
    },
    "metrics": _METRICS,
    "kpis_daily": _KPIS_DAILY,
    "kpi_anomalies": _KPI_ANOMALIES,
    "segment_kpis": _SEGMENT_KPIS,
    "segment_descriptions": {
        "kind": pl.String,
        "segment_id": pl.String,
        "segment_name": pl.String,
        "description": pl.String,
        "centroid": pl.String,
    },
    "rfm_cells": {
        "recency_score": pl.Int64,
        "frequency_score": pl.Int64,
        "rfm_segment": pl.String,
        "n_customers": pl.Int64,
        "total_value": pl.Float64,
    },
    "journey_patterns": {
        "steps": pl.List,
        "next_step": pl.String,
        "n_steps": pl.Int64,
        "n_sessions": pl.Int64,
        "support_rate": pl.Float64,
        "confidence": pl.Float64,
        "lift": pl.Float64,
    },
    "customer_stages": {"stage": pl.String, "n_customers": pl.Int64},
    "funnel": {
        "step_number": pl.Int64,
        "step": pl.String,
        "n_sessions": pl.Int64,
        "n_customers": pl.Int64,
        "rate_of_previous": pl.Float64,
        "rate_of_first": pl.Float64,
    },
    "cohorts": {
        "cohort_month": pl.Date,
        "months_since": pl.Int64,
        "n_customers": pl.Int64,
        "n_active": pl.Int64,
        "retention_rate": pl.Float64,
        "net_value": pl.Float64,
    },
    "model_runs": {
        "model_name": pl.String,
        "algorithm": pl.String,
        "model_version": pl.String,
        "status": pl.String,
        "n_train": pl.Int64,
        "n_test": pl.Int64,
        "metrics": pl.String,
        "baseline_metrics": pl.String,
        "parameters": pl.String,
        "message": pl.String,
    },
    "identity_totals": {
        "n_identifiers": pl.Int64,
        "n_customers": pl.Int64,
        "n_links": pl.Int64,
        "n_cut": pl.Int64,
        "n_changes": pl.Int64,
    },
    "identity_kinds": {
        "kind": pl.String,
        "n_identifiers": pl.Int64,
        "n_customers": pl.Int64,
        "n_joined": pl.Int64,
    },
    "identity_evidence": {"link_kind": pl.String, "n_links": pl.Int64},
    "identity_cuts": {"cut_reason": pl.String, "n_links": pl.Int64},
    "recommendation_sources": {
        "source": pl.String,
        "reason_code": pl.String,
        "n_recommendations": pl.Int64,
        "n_customers": pl.Int64,
    },
    "recommendation_totals": {
        "n_recommendations": pl.Int64,
        "n_customers": pl.Int64,
        "n_items": pl.Int64,
    },
    "recommended_items": {
        "title": pl.String,
        "category": pl.String,
        "brand": pl.String,
        "n_customers": pl.Int64,
        "n_first": pl.Int64,
    },
    "quality_daily": {
        "day": pl.Date,
        "n_events": pl.Int64,
        "n_bot_events": pl.Int64,
        "n_rejects": pl.Int64,
        "n_without_customer": pl.Int64,
    },
    "rejects": {
        "source": pl.String,
        "entity": pl.String,
        "reason_code": pl.String,
        "n_rows": pl.Int64,
    },
    "files": {
        "source": pl.String,
        "entity": pl.String,
        "n_files": pl.Int64,
        "count_rows": pl.Int64,
        "count_loaded": pl.Int64,
        "count_duplicates": pl.Int64,
        "count_rejected": pl.Int64,
    },
    "gates": {
        "table_name": pl.String,
        "expectation": pl.String,
        "severity": pl.String,
        "is_success": pl.Boolean,
        "observed_value": pl.String,
    },
    "runs": {
        "run_id": pl.String,
        "stage": pl.String,
        "upstream_run_id": pl.String,
        "seconds": pl.Float64,
        "count_rows": pl.String,
    },
}


def empty_frame(name: str) -> pl.DataFrame:
    """A frame of `ReportData` with its columns and no row."""
    return pl.DataFrame(
        schema={
            column: pl.List(pl.String) if dtype is pl.List else dtype
            for column, dtype in SCHEMAS[name].items()
        }
    )


def _empty(name: str) -> Callable[[], pl.DataFrame]:
    return lambda: empty_frame(name)


@dataclass(frozen=True)
class ReportData:
    """All that a page is made from; the columns of each frame stand in `SCHEMAS`.

    Attributes:
        run_name: name of the run configuration.
        run_id: the run that the page reports on.
        as_of: the instant (exclusive) up to which the run knew the world, UTC.
        as_of_date: the last day that it has seen any of.
        currency: of every amount; empty where no order says.
    """

    run_name: str
    run_id: str
    as_of: datetime
    as_of_date: date
    currency: str = ""
    totals: pl.DataFrame = field(default_factory=_empty("totals"))
    kpis_daily: pl.DataFrame = field(default_factory=_empty("kpis_daily"))
    metrics: pl.DataFrame = field(default_factory=_empty("metrics"))
    kpi_anomalies: pl.DataFrame = field(default_factory=_empty("kpi_anomalies"))
    segment_kpis: pl.DataFrame = field(default_factory=_empty("segment_kpis"))
    segment_descriptions: pl.DataFrame = field(default_factory=_empty("segment_descriptions"))
    rfm_cells: pl.DataFrame = field(default_factory=_empty("rfm_cells"))
    journey_patterns: pl.DataFrame = field(default_factory=_empty("journey_patterns"))
    customer_stages: pl.DataFrame = field(default_factory=_empty("customer_stages"))
    funnel: pl.DataFrame = field(default_factory=_empty("funnel"))
    cohorts: pl.DataFrame = field(default_factory=_empty("cohorts"))
    model_runs: pl.DataFrame = field(default_factory=_empty("model_runs"))
    identity_totals: pl.DataFrame = field(default_factory=_empty("identity_totals"))
    identity_kinds: pl.DataFrame = field(default_factory=_empty("identity_kinds"))
    identity_evidence: pl.DataFrame = field(default_factory=_empty("identity_evidence"))
    identity_cuts: pl.DataFrame = field(default_factory=_empty("identity_cuts"))
    recommendation_sources: pl.DataFrame = field(default_factory=_empty("recommendation_sources"))
    recommendation_totals: pl.DataFrame = field(default_factory=_empty("recommendation_totals"))
    recommended_items: pl.DataFrame = field(default_factory=_empty("recommended_items"))
    quality_daily: pl.DataFrame = field(default_factory=_empty("quality_daily"))
    rejects: pl.DataFrame = field(default_factory=_empty("rejects"))
    files: pl.DataFrame = field(default_factory=_empty("files"))
    gates: pl.DataFrame = field(default_factory=_empty("gates"))
    runs: pl.DataFrame = field(default_factory=_empty("runs"))


@dataclass(frozen=True)
class _Query:
    """SQL for one frame and the tables that it needs; `$as_of_date`, `$as_of` and `$stage` are parameters."""

    tables: tuple[str, ...]
    sql: str


_QUERIES = {
    "totals": _Query(
        ("core.customers", "core.sessions", "core.orders", "core.items"),
        """
        select
            customers.*,
            sessions.*,
            orders.*,
            (select count(*) from lake.core.items) as n_items
        from (
            select
                count(*) as n_customers,
                count_if(is_registered) as n_registered,
                count_if(has_marketing_consent) as n_contactable,
                count_if(count_orders > 0) as n_buyers,
                count_if(count_orders > 1) as n_returning_buyers
            from lake.core.customers
        ) as customers
        cross join (
            select
                count(*) as n_sessions,
                count_if(count_orders > 0) as n_sessions_with_order,
                count_if(is_bounce) / nullif(count(*), 0) as bounce_rate
            from lake.core.sessions
        ) as sessions
        cross join (
            select
                count(*) as n_orders,
                sum(gross_value) as gross_value,
                sum(refunded_value) as refunded_value,
                sum(net_value) as net_value
            from lake.core.orders
        ) as orders
        """,
    ),
    "metrics": _Query(
        ("marts.metrics",),
        f"select {', '.join(_METRICS)} from lake.marts.metrics order by metric",
    ),
    # Both were made by one run of dbt: without the definitions the columns are those of another version.
    "kpis_daily": _Query(
        ("marts.kpis_daily", "marts.metrics"),
        f"""
        select {", ".join(_KPIS_DAILY)}
        from lake.marts.kpis_daily
        where day <= $as_of_date
        order by day
        """,
    ),
    "kpi_anomalies": _Query(
        ("marts.kpi_anomalies",),
        f"""
        select {", ".join(_KPI_ANOMALIES)}
        from lake.marts.kpi_anomalies
        where day <= $as_of_date
        order by day desc, abs(deviation_score) desc, metric
        """,
    ),
    "segment_kpis": _Query(
        ("marts.segment_kpis", "marts.metrics"),
        f"""
        select {", ".join(_SEGMENT_KPIS)}
        from lake.marts.segment_kpis
        where as_of_date = $as_of_date and n_customers > 0
        order by kind, n_customers desc, segment_id
        """,
    ),
    "segment_descriptions": _Query(
        ("ml.segments", "ml.clusters"),
        """
        select 'rule' as kind, segment_id, segment_name, description, null::varchar as centroid
        from lake.ml.segments
        where as_of_date = $as_of_date
        union all
        select 'cluster', cluster_id, cluster_name, description, centroid::varchar
        from lake.ml.clusters
        where as_of_date = $as_of_date
        order by all
        """,
    ),
    "rfm_cells": _Query(
        ("features.customer_features",),
        """
        select
            recency_score, frequency_score, rfm_segment, count(*) as n_customers,
            sum(total_value) as total_value
        from lake.features.customer_features
        where as_of_date = $as_of_date and recency_score is not null and frequency_score is not null
        group by all
        order by all
        """,
    ),
    "journey_patterns": _Query(
        ("ml.journey_patterns",),
        """
        select steps, next_step, n_steps, n_sessions, support_rate, confidence, lift
        from lake.ml.journey_patterns
        where as_of_date = $as_of_date
        order by n_sessions desc, n_steps desc, steps, next_step
        """,
    ),
    "customer_stages": _Query(
        ("ml.customer_stages",),
        """
        select stage, count(*) as n_customers
        from lake.ml.customer_stages
        where as_of_date = $as_of_date
        group by stage
        order by n_customers desc, stage
        """,
    ),
    "funnel": _Query(
        ("marts.funnel",),
        """
        select step_number, step, n_sessions, n_customers, rate_of_previous, rate_of_first
        from lake.marts.funnel
        order by step_number
        """,
    ),
    "cohorts": _Query(
        ("marts.cohort_retention",),
        """
        select
            cohort_month::date as cohort_month, months_since, n_customers, n_active, retention_rate,
            net_value
        from lake.marts.cohort_retention
        order by cohort_month, months_since
        """,
    ),
    "model_runs": _Query(
        ("ml.model_runs",),
        """
        select
            model_name, algorithm, model_version, status, n_train, n_test, metrics::varchar as metrics,
            baseline_metrics::varchar as baseline_metrics, parameters::varchar as parameters, message
        from lake.ml.model_runs
        where as_of_date = $as_of_date
        order by model_name, algorithm
        """,
    ),
    "identity_totals": _Query(
        ("identity.identifiers", "identity.links", "identity.changes"),
        """
        select
            (select count(*) from lake.identity.identifiers) as n_identifiers,
            (select count(distinct customer_id) from lake.identity.identifiers) as n_customers,
            (select count(*) from lake.identity.links) as n_links,
            (select count(cut_reason) from lake.identity.links) as n_cut,
            (select count(*) from lake.identity.changes where as_of <= $as_of) as n_changes
        """,
    ),
    "identity_kinds": _Query(
        ("identity.identifiers",),
        """
        with sizes as (select customer_id, count(*) as n from lake.identity.identifiers group by customer_id)
        select
            kind, count(*) as n_identifiers, count(distinct customer_id) as n_customers,
            count(*) filter (sizes.n > 1) as n_joined
        from lake.identity.identifiers join sizes using (customer_id)
        group by kind
        order by list_position(['user', 'email', 'phone', 'device'], kind)
        """,
    ),
    "identity_evidence": _Query(
        ("identity.links",),
        """
        select link_kind, count(*) as n_links from lake.identity.links where cut_reason is null
        group by link_kind order by n_links desc, link_kind
        """,
    ),
    "identity_cuts": _Query(
        ("identity.links",),
        """
        select cut_reason, count(*) as n_links from lake.identity.links where cut_reason is not null
        group by cut_reason order by n_links desc, cut_reason
        """,
    ),
    "recommendation_sources": _Query(
        ("marts.recommendations",),
        """
        select
            source, reason_code, count(*) as n_recommendations,
            count(distinct customer_id) as n_customers
        from lake.marts.recommendations
        where as_of_date = $as_of_date
        group by source, reason_code
        order by n_recommendations desc, source, reason_code
        """,
    ),
    "recommendation_totals": _Query(
        ("marts.recommendations",),
        """
        select
            count(*) as n_recommendations, count(distinct customer_id) as n_customers,
            count(distinct item_id) as n_items
        from lake.marts.recommendations
        where as_of_date = $as_of_date
        """,
    ),
    "recommended_items": _Query(
        ("marts.recommendations",),
        """
        select
            coalesce(min(title), item_id) as title, min(category) as category, min(brand) as brand,
            count(distinct customer_id) as n_customers, count_if(rank = 1) as n_first
        from lake.marts.recommendations
        where as_of_date = $as_of_date
        group by item_id
        order by n_customers desc, n_first desc, item_id
        limit 15
        """,
    ),
    "quality_daily": _Query(
        ("marts.data_quality_daily",),
        """
        select
            day, sum(n_events)::bigint as n_events, sum(n_bot_events)::bigint as n_bot_events,
            sum(n_rejects)::bigint as n_rejects, sum(n_without_customer)::bigint as n_without_customer
        from lake.marts.data_quality_daily
        where day <= $as_of_date
        group by day
        order by day
        """,
    ),
    "rejects": _Query(
        ("raw.rejects",),
        """
        select source, entity, reason_code, count(*) as n_rows
        from lake.raw.rejects
        group by all
        order by n_rows desc, source, entity, reason_code
        """,
    ),
    "files": _Query(
        ("raw.files",),
        """
        select
            source, entity, count(*) as n_files, sum(count_rows)::bigint as count_rows,
            sum(count_loaded)::bigint as count_loaded,
            sum(count_duplicates)::bigint as count_duplicates,
            sum(count_rejected)::bigint as count_rejected
        from lake.raw.files
        group by source, entity
        order by source, entity
        """,
    ),
    # The newest check of each table, of this point in time: a gate that failed has no row in ops.runs.
    "gates": _Query(
        ("ops.quality_results", "ops.runs"),
        """
        with gate_runs as (
            select table_name, run_id, max(checked_at) as checked_at
            from lake.ops.quality_results
            where run_id not in (select run_id from lake.ops.runs where as_of <> $as_of)
            group by table_name, run_id
        ),
        latest as (
            select table_name, run_id
            from gate_runs
            qualify row_number() over (
                partition by table_name order by checked_at desc nulls last, run_id
            ) = 1
        )
        select table_name, expectation, severity, is_success, left(observed_value, 120) as observed_value
        from lake.ops.quality_results
        inner join latest using (table_name, run_id)
        order by is_success, table_name, severity, expectation, observed_value
        """,
    ),
    # The newest run of each stage for this point in time.
    "runs": _Query(
        ("ops.runs",),
        """
        select run_id, stage, upstream_run_id, seconds, count_rows::varchar as count_rows
        from lake.ops.runs
        where as_of = $as_of and stage <> $stage
        qualify row_number() over (partition by stage order by started_at desc, run_id) = 1
        order by stage
        """,
    ),
}


def _find_currency(con: duckdb.DuckDBPyConnection, existing: set[str]) -> str:
    """The currency of most orders (dbt has brought all of them to one)."""
    if "core.orders" not in existing:
        return ""
    row = con.execute(
        """
        select currency from lake.core.orders where currency is not null
        group by currency order by count(*) desc, currency limit 1
        """
    ).fetchone()
    return row[0] if row else ""


def read_report_data(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, run_name: str
) -> ReportData:
    """Read one snapshot of the lake into the frames of a page.

    Args:
        con: a read-only connection; all queries see one snapshot.
        request: the point in time.
        run_id: the run that the page reports on.
        run_name: name of the run configuration.
    """
    con.execute("BEGIN")  # one transaction, so that a writer in between cannot mix two states
    try:
        existing = set(find_tables(con))
        frames = {
            name: _read_frame(con, name, query, existing, request)
            for name, query in _QUERIES.items()
        }
        currency = _find_currency(con, existing)
    finally:
        con.execute("ROLLBACK")
    return ReportData(
        run_name=run_name,
        run_id=run_id,
        as_of=request.as_of,
        as_of_date=request.as_of_date,
        currency=currency,
        **frames,
    )


def _read_frame(
    con: duckdb.DuckDBPyConnection,
    name: str,
    query: _Query,
    existing: set[str],
    request: StageRequest,
) -> pl.DataFrame:
    missing = sorted(set(query.tables) - existing)
    if missing:
        logger.info("report: %s is left empty, as %s does not exist yet", name, ", ".join(missing))
        return empty_frame(name)
    known = {"as_of_date": request.as_of_date, "as_of": request.as_of, "stage": STAGE}
    wanted = set(re.findall(r"\$(\w+)", query.sql))  # DuckDB refuses a parameter that is not used
    parameters = {key: value for key, value in known.items() if key in wanted}
    frame = con.execute(query.sql, parameters or None).pl()
    # Sums and counts may come as decimals; the page wants plain integers and floats.
    return frame.cast(empty_frame(name).schema)
