"""The small figures that several sections are made of: tiles with one number, horizontal bars, and their sums."""

import math
from dataclasses import dataclass
from typing import Any

from jobs.report.numbers import is_number


@dataclass(frozen=True)
class Tile:
    """One figure of the header."""

    label: str
    value: str
    note: str = ""
    change: str = ""
    is_up: bool = True
    spark: str = ""


@dataclass(frozen=True)
class Bar:
    """A labelled horizontal bar; `width` in per cent of the longest."""

    label: str
    value: str
    width: float
    note: str = ""
    kind: str = ""


def bar_width(value: float | None, maximum: float) -> float:
    """A bar's length in per cent of the longest, to a tenth."""
    if value is None or maximum <= 0 or not math.isfinite(value):
        return 0.0
    return round(100 * max(0.0, min(1.0, value / maximum)), 1)


def largest(rows: list[dict[str, Any]], key: str) -> float:
    """The largest number of a column; 0 without any."""
    return max((float(row[key]) for row in rows if is_number(row[key])), default=0.0)


def ratio(top: float | None, bottom: float | None) -> float | None:
    """`top` / `bottom`; None where that is undefined."""
    return top / bottom if top is not None and bottom else None
