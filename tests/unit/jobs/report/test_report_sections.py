import json
from datetime import date, timedelta

import polars as pl
import pytest

from jobs.report import behaviour, customer_groups, operations, shop
from jobs.report.findings import find_facts
from jobs.report.metrics import find_metric
from jobs.report.model_quality import model_view

from .frames import make_data, make_frame


def make_days(n_days: int, n_orders: int = 2):
    last = date(2026, 7, 2)
    return make_frame(
        "kpis_daily",
        *(
            (last - timedelta(days=age), 90, 10, 8, n_orders, 20.0, 0.2, 0.5, 10.0, 2, 5)
            for age in range(n_days - 1, -1, -1)
        ),
    )


@pytest.mark.parametrize(
    ("n_days", "expected"), [(60, 30), (59, 7), (14, 7), (13, None), (1, None)]
)
def test_compare_windows_takes_the_longest_that_the_history_allows(n_days, expected):
    windows = shop.compare_windows(make_days(n_days), date(2026, 7, 2))
    assert (windows and windows[0]) == expected


def test_compare_windows_sums_the_days_on_either_side():
    daily = make_days(14).with_columns(net_value=pl.Series([1.0] * 7 + [3.0] * 7))
    windows = shop.compare_windows(daily, date(2026, 7, 2))
    assert windows is not None
    _, now, before = windows
    assert (now["net_value"], before["net_value"]) == (21.0, 7.0)


def test_weekly_adds_up_numerators_and_denominators():
    daily = make_frame(
        "kpis_daily",
        (date(2026, 6, 28), 1, 99, 1, 1, 5.0, 0.1, 0.5, 5.0, 9, 9),  # a week that began before
        (date(2026, 6, 29), 1, 10, 1, 1, 5.0, 0.1, 0.5, 5.0, 1, 5),
        (date(2026, 7, 5), 1, 30, 1, 9, 37.0, 0.3, None, 4.11, 9, 15),
        (date(2026, 7, 6), 1, 99, 1, 1, 5.0, 0.1, 0.5, 5.0, 9, 9),  # a week that has not ended
    )
    metrics = [find_metric(make_data(), name) for name in ("n_sessions", "net_value")]
    ratios = ("conversion_rate", "bounce_rate", "average_order_value")
    metrics += [find_metric(make_data(), name) for name in ratios]
    [row] = shop.weekly(daily, metrics).iter_rows(named=True)
    assert (row["day"], row["n_sessions"], row["net_value"]) == (date(2026, 6, 29), 40, 42.0)
    assert [row[name] for name in ratios] == [0.25, 0.5, 4.2]


def test_metric_that_is_not_defined_has_a_readable_name_and_no_sum():
    metric = find_metric(make_data(), "n_new_customers")
    assert metric.label == "N new customers"
    assert metric.total(make_days(3)) is None


def test_metrics_are_written_in_their_unit():
    data = make_data(
        metrics=make_frame(
            "metrics",
            *(
                (unit, unit, "", unit, "sum", None, None, 1, "up")
                for unit in ("count", "money", "share", "number", "seconds")
            ),
        )
    )
    written = [find_metric(data, unit).format_in("EUR")(1.25) for unit in data.metrics["metric"]]
    assert written == ["1", "1.25\u00a0EUR", "125.0%", "1.2", "1.25\u00a0s"]


def test_kpi_charts_mark_unusual_days_and_tell_what_a_kpi_means():
    data = make_data(
        kpis_daily=make_days(3),
        kpi_anomalies=make_frame("kpi_anomalies", (date(2026, 7, 1), "n_orders", 2.0, 9.0)),
    )
    sessions, orders, *_, conversion = shop.kpi_charts(data)[:4]
    assert [mark.is_highlighted for mark in orders.marks] == [False, True, False]
    assert not any(mark.is_highlighted for mark in sessions.marks)
    assert (conversion.title, conversion.headline, conversion.note) == (
        "Conversion rate",
        "20.0% on average",
        "Sessions with an order / sessions.",
    )


def test_anomaly_rows_say_whether_a_direction_is_bad():
    data = make_data(
        kpi_anomalies=make_frame(
            "kpi_anomalies",
            (date(2026, 7, 2), "net_value", 10.0, 90.0, 50.0, 130.0, "below", "critical", 8),
            (date(2026, 7, 2), "bounce_rate", 0.2, 0.5, 0.4, 0.6, "below", "warning", 8),
            (date(2026, 7, 1), "n_orders", 90.0, 20.0, 5.0, 35.0, "above", "warning", 8),
        )
    )
    rows = shop.anomaly_rows(data)
    assert [(row.label, row.is_bad) for row in rows] == [
        ("Net revenue", True),
        ("Bounce rate", False),
        ("Orders", False),
    ]
    assert (rows[0].day, rows[0].value, rows[0].expected, rows[0].span, rows[0].direction) == (
        "2 Jul 2026",
        "10.00\u00a0EUR",
        "90.00\u00a0EUR",
        "50.00\u00a0EUR to 130.00\u00a0EUR",
        "▼ below",
    )


def test_kpi_charts_of_a_long_history_show_weeks():
    odd = make_frame("kpi_anomalies", (date(2026, 6, 24), "n_sessions", 9.0, 10.0))
    days = make_days(shop.DAYS_SHOWN_DAILY + 1)
    chart = shop.kpi_charts(make_data(kpis_daily=days, kpi_anomalies=odd))[0]
    marked = [mark.title for mark in chart.marks if mark.is_highlighted]
    assert marked == ["week of 22 Jun 2026: 70"]
    assert chart.marks[0].title.startswith("week of ")
    assert chart.headline == "1,910 in all"


def test_rfm_map_adds_up_cells_and_names_the_largest_segment():
    data = make_data(
        rfm_cells=make_frame(
            "rfm_cells",
            (5, 4, "champions", 3, 300.0),
            (5, 4, "loyal", 1, 20.0),
            (1, 1, "hibernating", 1, None),
        ),
        segment_kpis=make_frame(
            "segment_kpis", ("rfm_champions", "Champions!", "rfm", 3, 0.1, 1.0, 1.0, 1.0, 0.1)
        ),
    )
    rows = dict(customer_groups.rfm_map(data))
    cell = rows[5][3]
    assert cell is not None
    assert (cell.n_customers, cell.mean_value, cell.segment) == (
        "4",
        "80.00\u00a0EUR",
        "Champions!",
    )
    assert rows[1][0] is not None
    assert rows[3] == [None] * 5


def test_segment_groups_describe_rules_clusters_and_rfm():
    data = make_data(
        totals=make_frame("totals", (100, 0, 0, 0, 0, 0, 0, None, 0, 0.0, 0.0, 1000.0, 0)),
        segment_kpis=make_frame(
            "segment_kpis",
            ("c1", "Browsers", "cluster", 60, 0.6, 100.0, None, 0.0, 0.1),
            ("rfm_loyal", "Loyal", "rfm", 20, 0.2, 900.0, 30.0, 2.0, 0.4, 12, 3),
        ),
        segment_descriptions=make_frame(
            "segment_descriptions", ("cluster", "c1", "Browsers", "Look and leave", "{}")
        ),
        rfm_cells=make_frame("rfm_cells", (3, 4, "loyal", 8, 1.0), (4, 4, "loyal", 12, 1.0)),
    )
    cluster, rfm = customer_groups.segment_groups(data)
    assert (cluster.rows[0].description, rfm.rows[0].description) == (
        "Look and leave",
        "Recency 3 to 4, frequency 4 of 5",
    )
    assert (cluster.rows[0].value_share, rfm.rows[0].value_share) == ("10.0%", "90.0%")
    assert (cluster.rows[0].moved, rfm.rows[0].moved) == ("–", "+12 −3")
    assert (cluster.rows[0].average_order_value, rfm.rows[0].value_share_width) == ("–", 100.0)


def test_cluster_profile_shows_the_traits_that_differ_most_first():
    descriptions = make_frame(
        "segment_descriptions",
        ("cluster", "c1", "One", "", json.dumps({"recency": 0.1, "orders": 1.5})),
        ("cluster", "c2", "Two", "", json.dumps({"recency": 0.0, "orders": -0.7})),
    )
    profile = customer_groups.cluster_profile(descriptions)
    assert profile is not None
    assert profile.features == ("Orders", "Recency")
    assert profile.rows == (
        ("One", (("+1.5", "above-3"), ("+0.1", "h0"))),
        ("Two", (("−0.7", "below-2"), ("0.0", "h0"))),
    )


def test_funnel_steps_that_nobody_logs_are_left_out():
    data = make_data(
        funnel=make_frame(
            "funnel",
            (1, "session", 100, 90, None, 1.0),
            (2, "add to cart", 20, 18, 0.2, 0.2),
            (3, "checkout", 0, 0, 0.0, 0.0),
            (4, "purchase", 10, 9, None, 0.1),
        )
    )
    steps = [(step.name, step.of_previous, step.width) for step in behaviour.funnel_steps(data)]
    assert steps == [
        ("Session", "", 100.0),
        ("Add to cart", "20.0%", 20.0),
        ("Purchase", "50.0%", 10.0),
    ]
    assert behaviour.unlogged_steps(data) == "checkout"


def test_funnel_steps_that_nobody_reached_at_the_end_stay():
    data = make_data(
        funnel=make_frame(
            "funnel", (1, "session", 100, 90, None, 1.0), (2, "purchase", 0, 0, 0.0, 0.0)
        )
    )
    assert [step.of_previous for step in behaviour.funnel_steps(data)] == ["", "0.0%"]


def test_cohort_rows_leave_months_to_come_empty():
    data = make_data(
        cohorts=make_frame(
            "cohorts",
            (date(2026, 5, 1), 0, 10, 10, 1.0, 5.0),
            (date(2026, 5, 1), 1, 10, 3, 0.3, 5.0),
            (date(2026, 6, 1), 0, 4, 4, 1.0, 5.0),
        )
    )
    columns, rows = behaviour.cohort_rows(data)
    assert columns == [0, 1]
    assert [cell and cell[:2] for cell in rows[0].cells] == [("100%", 0), ("30%", 6)]
    assert [cell and cell[:2] for cell in rows[1].cells] == [("100%", 0), None]


def test_strongest_patterns_are_frequent_enough_and_above_chance():
    patterns = make_frame(
        "journey_patterns",
        (["search"], "purchase", 1, 19, 0.1, 0.5, 9.0),
        (["search"], "product_view", 1, 50, 0.1, 0.5, 0.9),
        (["list_view"], "add_to_cart", 1, 20, 0.1, 0.5, 1.2),
        (["add_to_cart"], "purchase", 1, 30, 0.1, 0.5, 3.0),
    )
    assert behaviour.strongest(patterns)["lift"].to_list() == [3.0, 1.2]


def test_stage_bars_go_from_the_entrance_to_the_till():
    data = make_data(
        customer_stages=make_frame("customer_stages", ("customer", 5), ("odd", 1), ("visitor", 2))
    )
    assert [bar.label for bar in behaviour.stage_bars(data)] == ["Visitor", "Customer", "Odd"]


def test_run_rows_go_in_the_order_of_the_pipeline():
    data = make_data(
        runs=make_frame(
            "runs",
            ("b", "build_marts", "a", 1.0, "{}"),
            ("c", "another", "a", 1.0, "{}"),
            ("a", "extract_logs", "", 2.0, '{"raw.items": 3, "raw.events": 1200}'),
        )
    )
    rows = operations.run_rows(data)
    assert [row.stage for row in rows] == ["extract logs", "build marts", "another"]
    assert rows[0].rows == "raw.events 1,200, raw.items 3"


def test_gate_tables_put_failures_first():
    data = make_data(
        gates=make_frame(
            "gates",
            ("raw.events", "a", "critical", True, "0"),
            ("raw.items", "b", "warning", False, "12"),
            ("raw.items", "c", "critical", True, None),
        )
    )
    tables = operations.gate_tables(data)
    assert [(table["name"], table["n_checks"], table["n_failed"]) for table in tables] == [
        ("raw.items", 2, 1),
        ("raw.events", 1, 0),
    ]


def test_find_facts_without_data_finds_nothing():
    assert find_facts(make_data(), []) == []


def test_find_facts_tells_what_stands_out():
    data = make_data(
        kpis_daily=make_days(14).with_columns(net_value=pl.Series([10.0] * 7 + [15.0] * 7)),
        totals=make_frame("totals", (100, 0, 0, 0, 0, 0, 0, None, 0, 0.0, 0.0, 1000.0, 0)),
        segment_kpis=make_frame(
            "segment_kpis",
            ("rfm_champions", "Champions", "rfm", 5, 0.05, 400.0, 1.0, 1.0, 0.1),
            ("rfm_hibernating", "Hibernating", "rfm", 90, 0.9, 500.0, 1.0, 1.0, 0.1),
        ),
        funnel=make_frame(
            "funnel",
            (1, "session", 100, 90, None, 1.0),
            (2, "product view", 80, 70, 0.8, 0.8),
            (3, "add to cart", 8, 7, 0.1, 0.08),
        ),
        files=make_frame("files", ("web", "events", 1, 1000, 980, 15, 5)),
        rejects=make_frame("rejects", ("web", "events", "broken_json", 5)),
        gates=make_frame("gates", ("raw.events", "a", "critical", False, "1")),
    )
    lack = {
        "model_name": "propensity",
        "algorithm": "",
        "model_version": "",
        "status": "not_enough_data",
        "n_train": 0,
        "n_test": 0,
        "metrics": "{}",
        "baseline_metrics": "{}",
        "parameters": "{}",
        "message": "1 day of data.",
    }
    assert find_facts(data, [model_view(lack)]) == [
        "The last 7 days brought 105.00\u00a0EUR net from 14 orders, +50.0% against the 7 days before.",
        "“Champions” holds 5.0% of customers and 40.0% of net revenue.",
        "The funnel narrows most between “product view” and “add to cart”: 10.0% of sessions go on.",
        "The propensity model was not trained: 1 day of data.",
        "Of 1,000 lines read, 5 (0.5%) were rejected, mostly for “broken json”; 15 duplicates were dropped.",
        "1 of 1 data quality checks failed, 1 of them critical.",
    ]
