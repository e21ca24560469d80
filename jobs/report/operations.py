"""How the pipeline did: recommendations handed out, data quality, gates and runs."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from jobs.report.charts import Chart, time_chart
from jobs.report.data import ReportData
from jobs.report.figures import Bar, Tile, bar_width, largest, ratio
from jobs.report.model_quality import parse_json
from jobs.report.numbers import count, decimal, percent, phrase
from jobs.report.shop import DAYS_SHOWN_DAILY

# The order of the pipeline, for reading; a stage that it does not know comes last.
_STAGE_ORDER = (
    "extract_logs",
    "check_raw",
    "resolve_identities",
    "build_features",
    "train_clusters",
    "train_propensity",
    "mine_journeys",
    "evaluate_recommendations",
    "assign_clusters",
    "score_propensity",
    "find_stages",
    "recommend_items",
    "evaluate_segments",
    "check_ml",
    "build_marts",
    "check_exports",
    "write_exports",
)


@dataclass(frozen=True)
class RunRow:
    """A stage's run."""

    stage: str
    run_id: str
    upstream_run_id: str
    seconds: str
    seconds_width: float
    rows: str


def recommendation_facts(data: ReportData) -> list[Tile]:
    """Coverage of customers and of the catalogue; empty without a recommendation."""
    if data.recommendation_totals.is_empty():
        return []
    row = data.recommendation_totals.row(0, named=True)
    if not row["n_recommendations"]:
        return []
    totals = data.totals.row(0, named=True) if data.totals.height else {}
    n_customers, n_items = totals.get("n_customers"), totals.get("n_items")
    return [
        Tile(
            "Customers with a list",
            count(row["n_customers"]),
            f"{percent(ratio(row['n_customers'], n_customers))} of all customers"
            if n_customers
            else "",
        ),
        Tile(
            "Items a list",
            decimal(ratio(row["n_recommendations"], row["n_customers"])),
            "on average",
        ),
        Tile(
            "Items recommended",
            count(row["n_items"]),
            f"{percent(ratio(row['n_items'], n_items))} of the catalogue" if n_items else "",
        ),
        Tile(
            "Commonest item",
            percent(
                ratio(largest(data.recommended_items.to_dicts(), "n_customers"), row["n_customers"])
            ),
            "of lists hold it",
        ),
    ]


def share_bars(data: ReportData, column: str) -> list[Bar]:
    """Recommendations by `source` or `reason_code`, the largest share first."""
    grouped = (
        data.recommendation_sources.group_by(column)
        .agg(pl.col("n_recommendations").sum())
        .sort("n_recommendations", column, descending=[True, False], nulls_last=True)
        .to_dicts()
    )
    total = sum(row["n_recommendations"] for row in grouped)
    most = largest(grouped, "n_recommendations")
    return [
        Bar(
            phrase(row[column]),
            percent(ratio(row["n_recommendations"], total)),
            bar_width(row["n_recommendations"], most),
            count(row["n_recommendations"]),
        )
        for row in grouped
    ]


def recommended_items(data: ReportData) -> list[dict[str, Any]]:
    """The items on most lists."""
    rows = data.recommended_items.to_dicts()
    most = largest(rows, "n_customers")
    return [
        {
            "title": row["title"],
            "category": row["category"] or "–",
            "brand": row["brand"] or "–",
            "n_customers": count(row["n_customers"]),
            "n_first": count(row["n_first"]),
            "width": bar_width(row["n_customers"], most),
        }
        for row in rows
    ]


def quality_charts(data: ReportData) -> list[Chart]:
    """Events, bots, rejects and events without a customer over time; empty below two days."""
    daily = data.quality_daily
    if daily.height < 2:
        return []
    is_weekly = daily.height > DAYS_SHOWN_DAILY
    columns = ["n_events", "n_bot_events", "n_rejects", "n_without_customer"]
    shown = (
        daily.group_by(pl.col("day").dt.truncate("1w")).agg(pl.col(columns).sum()).sort("day")
        if is_weekly
        else daily
    )
    titles = ("Events", "Events of bots", "Rejected lines", "Events without a customer")
    return [
        time_chart(
            title,
            shown["day"].to_list(),
            shown[column].to_list(),
            format_value=count,
            headline=f"{count(daily[column].sum())} in all",
            period="week of " if is_weekly else "",
        )
        for title, column in zip(titles, columns, strict=True)
    ]


def file_rows(data: ReportData) -> list[dict[str, str]]:
    """What was read, by source and entity, and a last row for all."""
    columns = ["n_files", "count_rows", "count_loaded", "count_duplicates", "count_rejected"]
    rows = [
        {
            "source": row["source"],
            "entity": row["entity"],
            **{column: count(row[column]) for column in columns},
            "rejected_rate": percent(ratio(row["count_rejected"], row["count_rows"])),
        }
        for row in data.files.to_dicts()
    ]
    if len(rows) > 1:
        sums = {column: int(data.files[column].sum()) for column in columns}
        rows.append(
            {
                "source": "All",
                "entity": "",
                **{column: count(sums[column]) for column in columns},
                "rejected_rate": percent(ratio(sums["count_rejected"], sums["count_rows"])),
            }
        )
    return rows


def reject_bars(data: ReportData) -> list[Bar]:
    """Rejected lines by reason."""
    grouped = (
        data.rejects.group_by("reason_code")
        .agg(pl.col("n_rows").sum(), pl.col("source", "entity").unique().sort())
        .sort("n_rows", "reason_code", descending=[True, False])
        .to_dicts()
    )
    most = largest(grouped, "n_rows")
    return [
        Bar(
            phrase(row["reason_code"]),
            count(row["n_rows"]),
            bar_width(row["n_rows"], most),
            ", ".join(row["entity"]),
        )
        for row in grouped
    ]


def gate_tables(data: ReportData) -> list[dict[str, Any]]:
    """Checks by table: how many passed, and each with its outcome (failures first)."""
    by_table: dict[str, list[dict[str, Any]]] = {}
    for row in data.gates.to_dicts():
        by_table.setdefault(row["table_name"], []).append(
            {
                "expectation": row["expectation"],
                "severity": row["severity"],
                "is_success": row["is_success"],
                "observed": row["observed_value"] or "–",
            }
        )
    tables = [
        {
            "name": name,
            "checks": checks,
            "n_checks": len(checks),
            "n_failed": sum(not check["is_success"] for check in checks),
        }
        for name, checks in by_table.items()
    ]
    return sorted(tables, key=lambda table: (-table["n_failed"], table["name"]))


def run_rows(data: ReportData) -> list[RunRow]:
    """Stages in the order of the pipeline."""
    places = {stage: place for place, stage in enumerate(_STAGE_ORDER)}
    rows = sorted(
        data.runs.to_dicts(),
        key=lambda row: (places.get(row["stage"], len(places)), row["stage"], row["run_id"]),
    )
    slowest = largest(rows, "seconds")
    return [
        RunRow(
            stage=row["stage"].replace("_", " "),
            run_id=row["run_id"],
            upstream_run_id=row["upstream_run_id"] or "–",
            seconds=decimal(row["seconds"]),
            seconds_width=bar_width(row["seconds"], slowest),
            rows=", ".join(
                f"{table} {count(number)}"
                for table, number in sorted(parse_json(row["count_rows"]).items())
            )
            or "–",
        )
        for row in rows
    ]
