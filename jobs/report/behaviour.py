"""What customers do: journeys, stages, the funnel and the return of buyers."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from jobs.journeys.customer_stages import STAGES
from jobs.report.charts import heat_level
from jobs.report.data import ReportData
from jobs.report.figures import Bar, bar_width, largest, ratio
from jobs.report.numbers import count, decimal, is_number, money, month, percent, phrase

N_PATTERNS = 12  # what fits a screen
N_STRONG_PATTERNS = 8
MIN_STRONG_SESSIONS = 20  # the lift of rarer sequences is chance
STRONG_LIFT = 1.5  # half again as often as usual is worth a look
N_COHORTS = 24  # two years of months


@dataclass(frozen=True)
class PatternRow:
    """A frequent sequence of steps and what follows."""

    steps: tuple[str, ...]
    next_step: str
    n_sessions: str
    support: str
    support_width: float
    confidence: str
    lift: str
    is_strong: bool


@dataclass(frozen=True)
class FunnelStep:
    """A step of the funnel."""

    name: str
    n_sessions: str
    n_customers: str
    of_previous: str
    of_first: str
    width: float


@dataclass(frozen=True)
class CohortRow:
    """A cohort and its retention by month; None where the month has not come yet."""

    month: str
    n_customers: str
    cells: tuple[tuple[str, int, str] | None, ...]


def _pattern_row(row: dict[str, Any], most_support: float) -> PatternRow:
    return PatternRow(
        steps=tuple(phrase(step) for step in row["steps"]),
        next_step=phrase(row["next_step"]),
        n_sessions=count(row["n_sessions"]),
        support=percent(row["support_rate"]),
        support_width=bar_width(row["support_rate"], most_support),
        confidence=percent(row["confidence"]),
        lift=f"{decimal(row['lift'])}×" if is_number(row["lift"]) else "–",
        is_strong=is_number(row["lift"]) and row["lift"] >= STRONG_LIFT,
    )


def frequent_patterns(data: ReportData) -> list[PatternRow]:
    """The most frequent sequences."""
    rows = data.journey_patterns.head(N_PATTERNS).to_dicts()
    most = largest(rows, "support_rate")
    return [_pattern_row(row, most) for row in rows]


def strongest(patterns: pl.DataFrame) -> pl.DataFrame:
    """Patterns whose next step is least expected by chance first, among those seen often enough."""
    return (
        patterns.filter((pl.col("lift") > 1) & (pl.col("n_sessions") >= MIN_STRONG_SESSIONS))
        .with_columns(pl.col("steps").list.join(" ").alias("order"))
        .sort("lift", "n_sessions", "order", "next_step", descending=[True, True, False, False])
        .drop("order")
    )


def strong_patterns(data: ReportData) -> list[PatternRow]:
    """The sequences with the highest lift."""
    rows = strongest(data.journey_patterns).head(N_STRONG_PATTERNS).to_dicts()
    most = largest(rows, "support_rate")
    return [_pattern_row(row, most) for row in rows]


def stage_bars(data: ReportData) -> list[Bar]:
    """Customers by the stage that they have reached, from the entrance to the till."""
    places = {stage: place for place, stage in enumerate(STAGES)}
    rows = sorted(
        data.customer_stages.to_dicts(),
        key=lambda row: (places.get(row["stage"], len(places)), row["stage"]),
    )
    total = sum(row["n_customers"] for row in rows)
    most = largest(rows, "n_customers")
    return [
        Bar(
            phrase(row["stage"]),
            count(row["n_customers"]),
            bar_width(row["n_customers"], most),
            percent(ratio(row["n_customers"], total)),
        )
        for row in rows
    ]


def logged_steps(funnel: pl.DataFrame) -> list[dict[str, Any]]:
    """The funnel's steps without those that nobody logs: no session, though later steps have some.

    Many shops log no checkout; without this the page would tell of a total loss before it. `rate_of_previous` then
    refers to the logged step before.
    """
    rows = funnel.to_dicts()
    kept: list[dict[str, Any]] = []
    for position, row in enumerate(rows):
        if not row["n_sessions"] and any(later["n_sessions"] for later in rows[position + 1 :]):
            continue
        before = kept[-1]["n_sessions"] if kept else None
        kept.append({**row, "rate_of_previous": ratio(row["n_sessions"], before)})
    return kept


def unlogged_steps(data: ReportData) -> str:
    """Names of the steps that `logged_steps` leaves out."""
    logged = {row["step_number"] for row in logged_steps(data.funnel)}
    names = [
        phrase(row["step"]).lower()
        for row in data.funnel.to_dicts()
        if row["step_number"] not in logged
    ]
    return ", ".join(names)


def funnel_steps(data: ReportData) -> list[FunnelStep]:
    """The logged steps of the funnel; widths relative to the largest."""
    rows = logged_steps(data.funnel)
    most = largest(rows, "n_sessions")
    return [
        FunnelStep(
            name=phrase(row["step"]),
            n_sessions=count(row["n_sessions"]),
            n_customers=count(row["n_customers"]),
            of_previous=percent(row["rate_of_previous"]) if position else "",
            of_first=percent(row["rate_of_first"]),
            width=bar_width(row["n_sessions"], most),
        )
        for position, row in enumerate(rows)
    ]


def cohort_rows(data: ReportData) -> tuple[list[int], list[CohortRow]]:
    """Months since the first order, and the newest cohorts with their retention in each."""
    if data.cohorts.is_empty():
        return [], []
    months = sorted(set(data.cohorts["cohort_month"].to_list()))[-N_COHORTS:]
    shown = data.cohorts.filter(pl.col("cohort_month").is_in(months))
    last: int = shown["months_since"].max()  # type: ignore[assignment]
    later = shown.filter(pl.col("months_since") > 0)
    highest = largest(later.to_dicts(), "retention_rate")
    by_place = {(row["cohort_month"], row["months_since"]): row for row in shown.to_dicts()}

    def cell(cohort: date, since: int) -> tuple[str, int, str] | None:
        row = by_place.get((cohort, since))
        if row is None:
            return None
        title = (
            f"{month(cohort)}, month {since}: {count(row['n_active'])} of "
            f"{count(row['n_customers'])} customers ordered, {money(row['net_value'], data.currency)}"
        )
        level = 0 if since == 0 else heat_level(row["retention_rate"], highest)
        return percent(row["retention_rate"], 0), level, title

    columns = list(range(last + 1))
    rows = []
    for cohort in months:
        sizes = shown.filter(pl.col("cohort_month") == cohort)["n_customers"]
        cells = tuple(cell(cohort, since) for since in columns)
        rows.append(CohortRow(month(cohort), count(sizes.max()), cells))
    return columns, rows
