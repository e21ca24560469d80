"""The shop as a whole: the tiles of the header and the KPIs over time."""

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from jobs.report.charts import Chart, sparkline, time_chart
from jobs.report.data import ReportData
from jobs.report.figures import Tile, ratio
from jobs.report.metrics import Metric, find_metric
from jobs.report.numbers import change, count, day, money, percent

DAYS_SHOWN_DAILY = 190  # above half a year single days are noise, so points become weeks
_LAST_DAY_OF_WEEK = 6  # counted from its Monday
TREND_DAYS = 7  # a week, so that weekends do not show as waves
_COMPARED_DAYS = (30, 7)  # a month where the history allows it, else a week
_SPARK_DAYS = 60  # both halves of the comparison that stands above the line
# In the order of the page; what they are called and how they are written is told by marts.metrics.
CHARTED = (
    "n_sessions",
    "n_orders",
    "net_value",
    "conversion_rate",
    "average_order_value",
    "bounce_rate",
    "engagement_rate",
    "n_new_customers",
)
N_ANOMALIES = 12  # the newest; older ones are read in SQL


@dataclass(frozen=True)
class AnomalyRow:
    """A day on which a KPI was not what its weekday had led to expect."""

    day: str
    label: str
    value: str
    expected: str
    span: str
    direction: str
    is_bad: bool
    severity: str


def compare_windows(
    daily: pl.DataFrame, as_of_date: date
) -> tuple[int, dict[str, float], dict[str, float]] | None:
    """Sums of the last days and of as many before.

    Returns:
        The number of days (30, else 7) and both sums by column, or None where the history is too short for either.
    """
    if daily.is_empty():
        return None
    first: date = daily["day"].min()  # type: ignore[assignment]
    history = (as_of_date - first).days + 1
    n_days = next((days for days in _COMPARED_DAYS if history >= 2 * days), 0)
    if not n_days:
        return None
    start, middle = as_of_date - timedelta(days=2 * n_days), as_of_date - timedelta(days=n_days)
    columns = ["n_sessions", "n_orders", "net_value"]
    now = daily.filter(pl.col("day") > middle)
    before = daily.filter((pl.col("day") > start) & (pl.col("day") <= middle))
    sums = [
        {column: math.fsum(part[column].drop_nulls().to_list()) for column in columns}
        for part in (now, before)
    ]
    return n_days, sums[0], sums[1]


def relative_change(now: float, before: float) -> float | None:
    """Change against `before`; None where there was nothing before."""
    return None if before <= 0 else now / before - 1


def header_tiles(data: ReportData) -> list[Tile]:
    """The shop's figures; empty without any customer or session."""
    if data.totals.is_empty():
        return []
    totals = data.totals.row(0, named=True)
    if not totals["n_customers"] and not totals["n_sessions"]:
        return []
    windows = compare_windows(data.kpis_daily, data.as_of_date)
    recent = data.kpis_daily.tail(_SPARK_DAYS)

    def moved(column: str) -> dict[str, Any]:
        spark = sparkline(recent[column].to_list()) if column in recent.columns else ""
        if windows is None:
            return {"spark": spark}
        n_days, now, before = windows
        ratio = relative_change(now[column], before[column])
        if ratio is None:
            return {"spark": spark}
        text = f"{change(ratio)} on the {n_days} days before"
        return {"change": text, "is_up": ratio >= 0, "spark": spark}

    conversion = ratio(totals["n_sessions_with_order"], totals["n_sessions"])
    returning = ratio(totals["n_returning_buyers"], totals["n_buyers"])
    order_value = ratio(totals["net_value"], totals["n_orders"])
    return [
        Tile(
            find_metric(data, "net_value").label,
            money(totals["net_value"] or 0, data.currency),
            **moved("net_value"),
        ),
        Tile(find_metric(data, "n_orders").label, count(totals["n_orders"]), **moved("n_orders")),
        Tile(
            find_metric(data, "n_sessions").label,
            count(totals["n_sessions"]),
            **moved("n_sessions"),
        ),
        Tile(
            "Customers",
            count(totals["n_customers"]),
            f"{count(totals['n_registered'])} registered, {count(totals['n_buyers'])} have bought",
        ),
        Tile(
            find_metric(data, "conversion_rate").label,
            percent(conversion),
            "of sessions hold an order",
        ),
        Tile("Returning buyers", percent(returning), "of buyers ordered again"),
        Tile(
            find_metric(data, "average_order_value").label,
            money(order_value, data.currency),
            "net of discounts and refunds",
        ),
        Tile(
            "May be contacted",
            count(totals["n_contactable"]),
            f"{percent(ratio(totals['n_contactable'], totals['n_customers']))} gave marketing consent",
        ),
    ]


def weekly(daily: pl.DataFrame, metrics: list[Metric]) -> pl.DataFrame:
    """KPIs by whole week (its Monday), as their definitions add them up.

    A week of which days are missing at either end is left out: its sums would look like a fall.
    """
    return (
        daily.group_by(pl.col("day").dt.truncate("1w"))
        .agg(
            *(metric.per_group() for metric in metrics),
            (pl.col("day").max() - pl.col("day").min()).dt.total_days().alias("days_spanned"),
        )
        .filter(pl.col("days_spanned") == _LAST_DAY_OF_WEEK)
        .drop("days_spanned")
        .sort("day")
    )


def kpi_charts(data: ReportData) -> list[Chart]:
    """A chart over time of each charted KPI; empty below two days."""
    daily = data.kpis_daily
    if daily.height < 2:
        return []
    metrics = [find_metric(data, name) for name in CHARTED]
    is_weekly = daily.height > DAYS_SHOWN_DAILY
    shown = weekly(daily, metrics) if is_weekly else daily

    def chart(metric: Metric) -> Chart:
        format_value = metric.format_in(data.currency)
        kind = "in all" if metric.aggregation == "sum" else "on average"
        odd = data.kpi_anomalies.filter(pl.col("metric") == metric.name)["day"]
        return time_chart(
            metric.label,
            shown["day"].to_list(),
            shown[metric.name].to_list(),
            format_value=format_value,
            headline=f"{format_value(metric.total(daily))} {kind}",
            is_percent=metric.unit == "share",
            trend_window=0 if is_weekly or daily.height < 2 * TREND_DAYS else TREND_DAYS,
            period="week of " if is_weekly else "",
            highlighted=(odd.dt.truncate("1w") if is_weekly else odd).to_list(),
            note=metric.description,
        )

    return [chart(metric) for metric in metrics]


def anomaly_rows(data: ReportData) -> list[AnomalyRow]:
    """The newest anomalies, of one day the largest first."""

    def row(found: dict[str, Any]) -> AnomalyRow:
        metric = find_metric(data, found["metric"])
        write = metric.format_in(data.currency)
        is_above = found["direction"] == "above"
        return AnomalyRow(
            day=day(found["day"]),
            label=metric.label,
            value=write(found["value"]),
            expected=write(found["expected"]),
            span=f"{write(found['lower'])} to {write(found['upper'])}",
            direction=f"{'▲' if is_above else '▼'} {found['direction']}",
            is_bad=is_above != (metric.good_direction == "up"),
            severity=found["severity"],
        )

    return [row(found) for found in data.kpi_anomalies.head(N_ANOMALIES).to_dicts()]


def single_day(data: ReportData) -> dict[str, str]:
    """The figures of the only day that there is; empty for none or several."""
    if data.kpis_daily.height != 1:
        return {}
    row = data.kpis_daily.row(0, named=True)
    metrics = [find_metric(data, name) for name in ("n_events", *CHARTED)]
    return {"day": day(row["day"])} | {
        metric.label: metric.format_in(data.currency)(row[metric.name]) for metric in metrics
    }
