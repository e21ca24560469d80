"""Literal frames for the report's tests."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from jobs.report import ReportData
from jobs.report.data import empty_frame


def make_frame(name: str, *rows: tuple[Any, ...]) -> pl.DataFrame:
    """Rows with the columns of a frame of `ReportData`; values that are left out at the end are null."""
    schema = empty_frame(name).schema
    full = [(*row, *(None,) * (len(schema) - len(row))) for row in rows]
    return pl.DataFrame(full, schema=schema, orient="row")


METRICS = make_frame(
    "metrics",
    ("n_sessions", "Sessions", "Visits begun.", "count", "sum", None, None, 0, "up"),
    ("n_orders", "Orders", "Orders placed.", "count", "sum", None, None, 0, "up"),
    ("net_value", "Net revenue", "What is left.", "money", "sum", None, None, 2, "up"),
    (
        "conversion_rate", "Conversion rate", "Sessions with an order / sessions.", "share", "ratio",
        "n_sessions_with_order", "n_sessions", 1, "up",
    ),
    (
        "bounce_rate", "Bounce rate", "Sessions of a single event / sessions.", "share", "ratio",
        "n_bounces", "n_sessions", 1, "down",
    ),
    (
        "average_order_value", "Average order value", "Net revenue / orders.", "money", "ratio",
        "net_value", "n_orders", 2, "up",
    ),
)  # fmt: skip


def make_data(**frames: pl.DataFrame) -> ReportData:
    """A run on 2 July 2026 with the frames given and the usual metrics; the others are empty."""
    return ReportData(
        run_name="demo_shop",
        run_id="0123456789abcdef",
        as_of=datetime(2026, 7, 3, tzinfo=UTC),
        as_of_date=date(2026, 7, 2),
        currency="EUR",
        **{"metrics": METRICS, **frames},
    )
