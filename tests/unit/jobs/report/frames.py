"""Literal frames for the report's tests."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from jobs.report import ReportData
from jobs.report.data import empty_frame


def make_frame(name: str, *rows: tuple[Any, ...]) -> pl.DataFrame:
    """Rows with the columns of a frame of `ReportData`."""
    return pl.DataFrame(rows, schema=empty_frame(name).schema, orient="row")


def make_data(**frames: pl.DataFrame) -> ReportData:
    """A run on 2 July 2026 with the frames given; the others are empty."""
    return ReportData(
        run_name="demo_shop",
        run_id="0123456789abcdef",
        as_of=datetime(2026, 7, 3, tzinfo=UTC),
        as_of_date=date(2026, 7, 2),
        currency="EUR",
        **frames,
    )
