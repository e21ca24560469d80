"""What a run found, in a few plain sentences that are computed from its data."""

from typing import Any

import polars as pl

from jobs.report.behaviour import logged_steps, strongest
from jobs.report.data import ReportData
from jobs.report.model_quality import ModelView
from jobs.report.numbers import change, count, decimal, is_number, money, percent, phrase
from jobs.report.shop import compare_windows, relative_change

MIN_NOTABLE_CONCENTRATION = (
    1.2  # below that a segment's share of value is much as its share of heads
)


def find_facts(data: ReportData, models: list[ModelView]) -> list[str]:
    """Sentences for the top of the page, the most general first; those without data are left out."""
    found = [
        _trend(data),
        _most_valuable_segment(data),
        _largest_drop(data),
        _strongest_journey(data),
        *(_model(model) for model in models),
        _recommendations(data),
        _rejects(data),
        _gates(data),
    ]
    return [sentence for sentence in found if sentence]


def _trend(data: ReportData) -> str:
    windows = compare_windows(data.kpis_daily, data.as_of_date)
    if windows is None:
        return ""
    n_days, now, before = windows
    ratio = relative_change(now["net_value"], before["net_value"])
    if ratio is None:
        return ""
    return (
        f"The last {n_days} days brought {money(now['net_value'], data.currency)} net from "
        f"{count(now['n_orders'])} orders, {change(ratio)} against the {n_days} days before."
    )


def _most_valuable_segment(data: ReportData) -> str:
    total = data.totals["net_value"][0] if data.totals.height else None
    if not total or total <= 0:
        return ""
    known = data.segment_kpis.filter(
        pl.col("net_value").is_not_null() & (pl.col("share") > 0) & (pl.col("net_value") > 0)
    ).filter(pl.col("net_value") / total >= pl.col("share") * MIN_NOTABLE_CONCENTRATION)
    for kind in ("rfm", "cluster", "rule"):
        rows = (
            known.filter(pl.col("kind") == kind)
            .sort("net_value", "segment_id", descending=[True, False])
            .head(1)
            .to_dicts()
        )
        if rows:
            row = rows[0]
            return (
                f"“{phrase(row['segment_name'])}” holds {percent(row['share'])} of customers and "
                f"{percent(row['net_value'] / total)} of net revenue."
            )
    return ""


def _largest_drop(data: ReportData) -> str:
    rows = logged_steps(data.funnel)
    drops: list[tuple[float, int, dict[str, Any]]] = [
        (row["rate_of_previous"], position, row)
        for position, row in enumerate(rows)
        if position and is_number(row["rate_of_previous"])
    ]
    if not drops:
        return ""
    rate, position, row = min(drops, key=lambda drop: drop[:2])
    return (
        f"The funnel narrows most between “{phrase(rows[position - 1]['step']).lower()}” and "
        f"“{phrase(row['step']).lower()}”: {percent(rate)} of sessions go on."
    )


def _strongest_journey(data: ReportData) -> str:
    rows = strongest(data.journey_patterns).head(1).to_dicts()
    if not rows:
        return ""
    row = rows[0]
    steps = " → ".join(phrase(step).lower() for step in row["steps"])
    return (
        f"After {steps}, visitors go on to {phrase(row['next_step']).lower()} "
        f"{decimal(row['lift'], 1)} times as often as on average "
        f"({count(row['n_sessions'])} sessions)."
    )


def _model(model: ModelView) -> str:
    if model.is_trained:
        return model.headline
    reason = f": {model.message.rstrip('.')}" if model.message else ""
    return f"The {model.name.lower()} model was not trained{reason}."


def _recommendations(data: ReportData) -> str:
    if data.recommendation_totals.is_empty():
        return ""
    row = data.recommendation_totals.row(0, named=True)
    if not row["n_recommendations"]:
        return ""
    return (
        f"{count(row['n_customers'])} customers have recommendations, drawn from "
        f"{count(row['n_items'])} different items."
    )


def _rejects(data: ReportData) -> str:
    rows = int(data.files["count_rows"].sum() or 0)
    if not rows:
        return ""
    rejected = int(data.files["count_rejected"].sum() or 0)
    duplicates = int(data.files["count_duplicates"].sum() or 0)
    if not rejected and not duplicates:
        return f"All {count(rows)} lines read were accepted; none was a duplicate."
    reasons = (
        data.rejects.group_by("reason_code")
        .agg(pl.col("n_rows").sum())
        .sort("n_rows", "reason_code", descending=[True, False])
    )
    most = f", mostly for “{phrase(reasons['reason_code'][0]).lower()}”" if reasons.height else ""
    return (
        f"Of {count(rows)} lines read, {count(rejected)} ({percent(rejected / rows)}) were rejected{most}; "
        f"{count(duplicates)} duplicates were dropped."
    )


def _gates(data: ReportData) -> str:
    if data.gates.is_empty():
        return ""
    failed = data.gates.filter(~pl.col("is_success"))
    if failed.is_empty():
        return f"All {count(data.gates.height)} data quality checks passed."
    critical = failed.filter(pl.col("severity").str.to_lowercase() == "critical").height
    grave = f", {count(critical)} of them critical" if critical else ", none of them critical"
    return (
        f"{count(failed.height)} of {count(data.gates.height)} data quality checks failed{grave}."
    )
