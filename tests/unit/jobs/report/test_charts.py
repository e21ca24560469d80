from datetime import date

import pytest

from jobs.report import charts
from jobs.report.numbers import count


@pytest.mark.parametrize(
    ("maximum", "expected"),
    [
        (100, [0, 50, 100]),
        (97, [0, 50, 100]),
        (0.03, [0, 0.01, 0.02, 0.03]),
        (0, [0, 1]),
        (7, [0, 2, 4, 6, 8]),
    ],
)
def test_nice_ticks_cover_the_maximum_in_round_steps(maximum, expected):
    assert charts.nice_ticks(maximum) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(None, 0), (0, 0), (0.001, 1), (50, 3), (100, 6), (200, 6)]
)
def test_heat_level_grows_evenly_to_the_maximum(value, expected):
    assert charts.heat_level(value, 100) == expected


def test_time_chart_places_values_and_tells_them():
    chart = charts.time_chart(
        "Orders",
        [date(2026, 7, 1), date(2026, 7, 2), date(2026, 7, 5)],
        [0, 100, 50],
        format_value=count,
        headline="150 in all",
    )
    # The days are 1 and 3 apart, so the second point lies at a quarter of the axis (46 to 470).
    assert chart.line == "M46,166L152,10L470,88"
    assert chart.area == "M46,166L152,10L470,88L470,166L46,166Z"
    assert [mark.title for mark in chart.marks] == [
        "1 Jul 2026: 0",
        "2 Jul 2026: 100",
        "5 Jul 2026: 50",
    ]
    assert chart.summary == (
        "Orders, 1 Jul 2026 to 5 Jul 2026: lowest 0 (1 Jul 2026), highest 100 (2 Jul 2026), last 50"
    )


def test_time_chart_with_unknown_values_skips_them():
    chart = charts.time_chart(
        "Bounce rate",
        [date(2026, 7, 1), date(2026, 7, 2), date(2026, 7, 3)],
        [None, 1.0, None],
        format_value=count,
        headline="",
    )
    assert [mark.title for mark in chart.marks] == ["2 Jul 2026: 1"]


def test_time_chart_of_one_day_is_refused():
    with pytest.raises(ValueError, match="two or more days"):
        charts.time_chart("Orders", [date(2026, 7, 1)], [1], format_value=count, headline="")


def test_column_chart_with_negative_values_hangs_them_from_zero():
    chart = charts.column_chart("Silhouette", ["2", "3"], [1.0, -1.0], format_value=str)
    above, below = chart.marks
    assert above.y + above.height == pytest.approx(below.y)
    assert above.height == pytest.approx(below.height)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1], ""), ([None, 2], ""), ([0, 10], "M2,26L118,2"), ([5, 5], "M2,14L118,14")],
)
def test_sparkline_needs_two_known_values(values, expected):
    assert charts.sparkline(values) == expected
