"""Geometry of the report's SVG charts: values in, positions and labels out; the templates draw them.

All lengths are in units of a chart's viewBox. Positions are rounded to a tenth, so equal data give equal bytes.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date

from jobs.report.numbers import compact, day, snapped

N_HEAT_LEVELS = 7  # more shades of one colour cannot be told apart
_WIDTH, _HEIGHT = (
    480.0,
    190.0,
)  # about a phone's width, so that text is never scaled down to unreadable
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 10.0, 24.0
_N_DAY_TICKS = 5


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Mark:
    """A value that shows its title under the pointer: its point, and the box that catches the pointer."""

    x: float
    y: float
    left: float
    width: float
    height: float
    title: str
    is_highlighted: bool = False


@dataclass(frozen=True)
class Chart:
    """A drawn chart; `line`, `area`, `trend` and `reference` are SVG path data, empty where unused."""

    title: str
    headline: str
    summary: str
    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    line: str = ""
    area: str = ""
    trend: str = ""
    reference: str = ""
    x_title: str = ""
    y_title: str = ""
    note: str = ""


def heat_level(value: float | None, maximum: float) -> int:
    """The shade of a value: 0 for nothing, then evenly up to `N_HEAT_LEVELS` - 1 for the maximum."""
    if value is None or not math.isfinite(value) or value <= 0 or maximum <= 0:
        return 0
    return max(1, min(N_HEAT_LEVELS - 1, math.ceil(snapped(value / maximum * (N_HEAT_LEVELS - 1)))))


def nice_ticks(maximum: float, n_ticks: int = 4) -> list[float]:
    """Round numbers from 0 to at least `maximum`: steps of 1, 2 or 5 times a power of ten."""
    if not math.isfinite(maximum) or maximum <= 0:
        return [0.0, 1.0]
    rough = maximum / n_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if snapped(factor * power / rough) >= 1)
    # Twelve digits, not the six of display: a rate's axis may end at a millionth.
    return [round(step * index, 12) for index in range(math.ceil(round(maximum / step, 9)) + 1)]


def _at(value: float) -> float:
    return round(snapped(value), 1)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_at(x):g},{_at(y):g}" for x, y in points) if points else ""


def _rolling_means(values: Sequence[float | None], window: int) -> list[float | None]:
    """Mean of the last `window` values; none before the first whole window or where all are missing."""
    means: list[float | None] = []
    for end in range(1, len(values) + 1):
        known = [value for value in values[max(0, end - window) : end] if value is not None]
        means.append(math.fsum(known) / len(known) if end >= window and known else None)
    return means


def time_chart(
    title: str,
    days: Sequence[date],
    values: Sequence[float | None],
    *,
    format_value: Callable[[float | None], str],
    headline: str,
    is_percent: bool = False,
    trend_window: int = 0,
    period: str = "",
    highlighted: Collection[date] = (),
    note: str = "",
) -> Chart:
    """An area chart of values by day.

    Args:
        title: what is shown.
        days: at least two days, ascending.
        values: one a day; None where unknown (the line skips it).
        format_value: how a value is written in a title.
        headline: the one figure that stands above the chart.
        is_percent: write the axis in per cent (values are 0-1).
        trend_window: days of the rolling mean drawn over the area; 0 for none.
        period: what one point spans ("week of "), put before the day in titles.
        highlighted: days whose points are marked.
        note: one sentence below the title.

    Raises:
        ValueError: fewer than two days, or not one value a day.
    """
    if len(days) < 2 or len(days) != len(values):
        raise ValueError(f"chart {title!r}: expected two or more days with a value each")
    known = [value for value in values if value is not None]
    ticks = nice_ticks(max(known, default=0.0))
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    span = (days[-1] - days[0]).days
    floor = min(0.0, *known) if known else 0.0

    def x_of(value: date) -> float:
        return _LEFT + (right - _LEFT) * (value - days[0]).days / span

    def y_of(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - floor) / (ticks[-1] - floor)

    points = [
        (x_of(on), y_of(value)) for on, value in zip(days, values, strict=True) if value is not None
    ]
    half = (right - _LEFT) / (len(days) - 1) / 2
    marks = tuple(
        Mark(
            x=_at(x_of(on)),
            y=_at(y_of(value)),
            left=_at(max(_LEFT, x_of(on) - half)),
            width=_at(half * 2),
            height=_at(bottom - _TOP),
            title=f"{period}{day(on)}: {format_value(value)}",
            is_highlighted=on in highlighted,
        )
        for on, value in zip(days, values, strict=True)
        if value is not None
    )
    trend = [
        (x_of(on), y_of(mean))
        for on, mean in zip(days, _rolling_means(values, trend_window or 1), strict=True)
        if mean is not None
    ]
    line = _path(points)
    area = (
        f"{line}L{_at(points[-1][0]):g},{bottom:g}L{_at(points[0][0]):g},{bottom:g}Z"
        if points
        else ""
    )
    return Chart(
        title=title,
        headline=headline,
        summary=_time_summary(title, days, values, format_value),
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=bottom,
        x_ticks=_day_ticks(days, x_of),
        y_ticks=tuple(
            Tick(_at(y_of(tick)), f"{compact(tick * 100)}%" if is_percent else compact(tick))
            for tick in ticks
        ),
        marks=marks,
        line=line,
        area=area,
        trend=_path(trend) if trend_window else "",
        note=note,
    )


def _day_ticks(days: Sequence[date], x_of: Callable[[date], float]) -> tuple[Tick, ...]:
    """A few evenly spaced days; the year is written only on the first and where it changes."""
    places = min(_N_DAY_TICKS, len(days))
    chosen = sorted({round(index * (len(days) - 1) / (places - 1)) for index in range(places)})
    ticks: list[Tick] = []
    last_year = 0
    for index in chosen:
        on = days[index]
        label = day(on) if on.year != last_year else day(on).rsplit(" ", 1)[0]
        last_year = on.year
        ticks.append(Tick(_at(x_of(on)), label))
    return tuple(ticks)


def _time_summary(
    title: str,
    days: Sequence[date],
    values: Sequence[float | None],
    format_value: Callable[[float | None], str],
) -> str:
    known = [(value, on) for value, on in zip(values, days, strict=True) if value is not None]
    if not known:
        return f"{title}: no values"
    low = min(known)
    high = max(known, key=lambda pair: (pair[0], -pair[1].toordinal()))
    return (
        f"{title}, {day(days[0])} to {day(days[-1])}: lowest {format_value(low[0])} "
        f"({day(low[1])}), highest {format_value(high[0])} ({day(high[1])}), "
        f"last {format_value(known[-1][0])}"
    )


def sparkline(values: Sequence[float | None], *, width: float = 120.0, height: float = 28.0) -> str:
    """SVG path data of a small line without axes; empty below two known values."""
    known = [(index, value) for index, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    low = min(value for _, value in known)
    spread = max(value for _, value in known) - low
    inset = 2.0  # half a stroke, so that the peaks are not cut off
    return _path(
        [
            (
                inset + (width - 2 * inset) * index / (len(values) - 1),
                height - inset - (height - 2 * inset) * ((value - low) / spread if spread else 0.5),
            )
            for index, value in known
        ]
    )


def column_chart(
    title: str,
    labels: Sequence[str],
    values: Sequence[float],
    *,
    format_value: Callable[[float], str],
    headline: str = "",
    highlighted: str = "",
    reference: float | None = None,
    x_title: str = "",
    note: str = "",
) -> Chart:
    """Columns by label, e.g. lift by decile; `reference` draws a dashed level, `highlighted` marks one label."""
    ticks = nice_ticks(max([*values, reference or 0.0, 0.0]))
    bottom = _HEIGHT - _BOTTOM - (14.0 if x_title else 0.0)
    right = _WIDTH - _RIGHT
    low = min([*values, 0.0])

    def y_of(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - low) / (ticks[-1] - low)

    slot = (right - _LEFT) / max(1, len(values))
    width = min(46.0, slot * 0.68)
    zero = y_of(0.0)
    marks = tuple(
        Mark(
            x=_at(_LEFT + slot * (index + 0.5)),
            y=_at(min(zero, y_of(value))),
            left=_at(_LEFT + slot * (index + 0.5) - width / 2),
            width=_at(width),
            height=_at(abs(zero - y_of(value))),
            title=f"{x_title or title} {label}: {format_value(value)}",
            is_highlighted=label == highlighted,
        )
        for index, (label, value) in enumerate(zip(labels, values, strict=True))
    )
    told = ", ".join(
        f"{label}: {format_value(value)}" for label, value in zip(labels, values, strict=True)
    )
    return Chart(
        title=title,
        headline=headline,
        summary=f"{title}. {x_title} {told}".strip(),
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=bottom,
        x_ticks=tuple(Tick(mark.x, label) for mark, label in zip(marks, labels, strict=True)),
        y_ticks=tuple(Tick(_at(y_of(tick)), compact(tick)) for tick in ticks),
        marks=marks,
        reference=_path([(_LEFT, y_of(reference)), (right, y_of(reference))])
        if reference is not None
        else "",
        x_title=x_title,
        note=note,
    )


def calibration_chart(
    title: str, points: Sequence[tuple[float, float, str]], *, note: str = ""
) -> Chart:
    """Predicted against observed rates (0-1); on the dashed diagonal a prediction comes true as often as it says.

    Args:
        title: what is shown.
        points: predicted rate, observed rate and title of each group.
        note: one sentence below the title.
    """
    ordered = sorted(points)
    ticks = nice_ticks(max([max(x, y) for x, y, _ in ordered] + [0.0]))
    bottom = _HEIGHT - _BOTTOM - 14.0
    right = _WIDTH - _RIGHT

    def x_of(value: float) -> float:
        return _LEFT + (right - _LEFT) * value / ticks[-1]

    def y_of(value: float) -> float:
        return bottom - (bottom - _TOP) * value / ticks[-1]

    return Chart(
        title=title,
        headline="",
        summary=f"{title}. " + "; ".join(text for _, _, text in ordered),
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=bottom,
        x_ticks=tuple(Tick(_at(x_of(tick)), f"{compact(tick * 100)}%") for tick in ticks),
        y_ticks=tuple(Tick(_at(y_of(tick)), f"{compact(tick * 100)}%") for tick in ticks),
        marks=tuple(
            Mark(_at(x_of(x)), _at(y_of(y)), _at(x_of(x) - 8), 16.0, 16.0, text)
            for x, y, text in ordered
        ),
        line=_path([(x_of(x), y_of(y)) for x, y, _ in ordered]),
        reference=_path([(x_of(0.0), y_of(0.0)), (x_of(ticks[-1]), y_of(ticks[-1]))]),
        x_title="predicted",
        y_title="observed",
        note=note,
    )
