"""The shop as a whole: the tiles of the header and the KPIs over time."""

import math
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any

import polars as pl

from jobs.report.charts import Chart, sparkline, time_chart
from jobs.report.data import ReportData
from jobs.report.figures import Tile, ratio
from jobs.report.numbers import change, count, day, money, percent

DAYS_SHOWN_DAILY = 190  # above half a year single days are noise, so points become weeks
_LAST_DAY_OF_WEEK = 6  # counted from its Monday
TREND_DAYS = 7  # a week, so that weekends do not show as waves
_COMPARED_DAYS = (30, 7)  # a month where the history allows it, else a week
_SPARK_DAYS = 60  # both halves of the comparison that stands above the line


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
        Tile("Net revenue", money(totals["net_value"] or 0, data.currency), **moved("net_value")),
        Tile("Orders", count(totals["n_orders"]), **moved("n_orders")),
        Tile("Sessions", count(totals["n_sessions"]), **moved("n_sessions")),
        Tile(
            "Customers",
            count(totals["n_customers"]),
            f"{count(totals['n_registered'])} registered, {count(totals['n_buyers'])} have bought",
        ),
        Tile("Conversion", percent(conversion), "of sessions hold an order"),
        Tile("Returning buyers", percent(returning), "of buyers ordered again"),
        Tile("Order value", money(order_value, data.currency), "net, on average"),
        Tile(
            "May be contacted",
            count(totals["n_contactable"]),
            f"{percent(ratio(totals['n_contactable'], totals['n_customers']))} gave marketing consent",
        ),
    ]


def weekly(daily: pl.DataFrame) -> pl.DataFrame:
    """Daily KPIs by whole week (its Monday); rates and means are weighted by what they are rates of.

    A week of which days are missing at either end is left out: its sums would look like a fall.
    """

    def weighted(column: str, weight: str) -> pl.Expr:
        known = pl.col(column).is_not_null()
        weights = pl.col(weight).filter(known).sum()
        return (
            pl.when(weights > 0)
            .then((pl.col(column) * pl.col(weight)).sum() / weights)
            .alias(column)
        )

    return (
        daily.group_by(pl.col("day").dt.truncate("1w"))
        .agg(
            pl.col("n_events", "n_sessions", "n_orders", "net_value").sum(),
            weighted("conversion_rate", "n_sessions"),
            weighted("bounce_rate", "n_sessions"),
            weighted("average_order_value", "n_orders"),
            (pl.col("day").max() - pl.col("day").min()).dt.total_days().alias("days_spanned"),
        )
        .filter(pl.col("days_spanned") == _LAST_DAY_OF_WEEK)
        .drop("days_spanned")
        .sort("day")
    )


def kpi_charts(data: ReportData) -> list[Chart]:
    """Six charts over time; empty below two days."""
    daily = data.kpis_daily
    if daily.height < 2:
        return []
    is_weekly = daily.height > DAYS_SHOWN_DAILY
    shown = weekly(daily) if is_weekly else daily
    period = "week of " if is_weekly else ""
    as_money = partial(money, currency=data.currency)

    def total(column: str) -> float:
        return math.fsum(daily[column].drop_nulls().to_list())

    sessions = total("n_sessions")
    orders = total("n_orders")

    def mean(column: str, weight: str) -> float | None:
        known = daily.filter(pl.col(column).is_not_null())
        weights = math.fsum(known[weight].to_list())
        values = zip(known[column].to_list(), known[weight].to_list(), strict=True)
        return math.fsum(value * of for value, of in values) / weights if weights else None

    specs: list[tuple[str, str, Callable[[float | None], str], str, bool]] = [
        ("Sessions", "n_sessions", count, f"{count(sessions)} in all", False),
        ("Orders", "n_orders", count, f"{count(orders)} in all", False),
        ("Net revenue", "net_value", as_money, f"{as_money(total('net_value'))} in all", False),
        (
            "Conversion rate",
            "conversion_rate",
            percent,
            f"{percent(mean('conversion_rate', 'n_sessions'))} on average",
            True,
        ),
        (
            "Average order value",
            "average_order_value",
            as_money,
            f"{as_money(mean('average_order_value', 'n_orders'))} on average",
            False,
        ),
        (
            "Bounce rate",
            "bounce_rate",
            percent,
            f"{percent(mean('bounce_rate', 'n_sessions'))} on average",
            True,
        ),
    ]
    return [
        time_chart(
            title,
            shown["day"].to_list(),
            shown[column].to_list(),
            format_value=format_value,
            headline=headline,
            is_percent=is_percent,
            trend_window=0 if is_weekly or daily.height < 2 * TREND_DAYS else TREND_DAYS,
            period=period,
        )
        for title, column, format_value, headline, is_percent in specs
    ]


def single_day(data: ReportData) -> dict[str, str]:
    """The figures of the only day that there is; empty for none or several."""
    if data.kpis_daily.height != 1:
        return {}
    row = data.kpis_daily.row(0, named=True)
    return {
        "day": day(row["day"]),
        "Events": count(row["n_events"]),
        "Sessions": count(row["n_sessions"]),
        "Orders": count(row["n_orders"]),
        "Net revenue": money(row["net_value"], data.currency),
        "Conversion rate": percent(row["conversion_rate"]),
        "Bounce rate": percent(row["bounce_rate"]),
    }
