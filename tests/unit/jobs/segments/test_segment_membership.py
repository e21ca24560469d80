import json
import random
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from jobs.errors import ConfigError, InputDataError
from jobs.lake import TABLES
from jobs.segments import digest_segments

from .shop import event, open_shop, rule, run

SEARCHERS = "{count: {event: search, within: 1 day}, at_least: 1}"


def test_evaluate_returns_the_columns_of_the_lake() -> None:
    frames = run(open_shop([event("ada", "search", "1 hour")]), rule(SEARCHERS))
    assert set(frames) == {"ml.segments", "ml.segment_memberships"}
    for table, frame in frames.items():
        assert {*frame.columns, "as_of_date", "run_id"} == set(TABLES[table].columns)
    assert frames["ml.segment_memberships"].height == 1


def test_evaluate_describes_each_segment_and_counts_its_members() -> None:
    con = open_shop([event("ada", "search", "1 hour"), event("bob", "search", "2 hours")])
    searchers = rule(SEARCHERS, "searchers", version=4, purpose="email")
    nobody = rule("{count: {event: search, within: 1 day}, at_least: 9}", "nobody")
    segments = run(con, searchers, nobody)["ml.segments"]
    assert segments.select("segment_id", "rule_version", "purpose", "n_customers").rows() == [
        ("nobody", "nobody@1", "marketing", 0),
        ("searchers", "searchers@4", "email", 2),
    ]
    assert json.loads(segments["definition"][1]) == searchers.definition()
    assert segments["model_version"].unique().to_list() == [digest_segments((nobody, searchers))]


def test_evaluate_keeps_customers_of_core_only() -> None:
    con = open_shop(
        [event("ada", "search", "1 hour"), event("erased", "search", "1 hour")],
        customers=[{"customer_id": "ada"}],
    )
    assert run(con, rule(SEARCHERS))["ml.segment_memberships"]["customer_id"].to_list() == ["ada"]


def test_evaluate_publishes_active_segments_and_still_builds_on_the_others() -> None:
    con = open_shop([event("ada", "search", "1 hour"), event("bob", "review", "1 hour")])
    frames = run(
        con,
        rule(SEARCHERS, "z_off", enabled=False),
        rule(SEARCHERS, "z_over", valid_to=date(2026, 2, 28)),
        rule(SEARCHERS, "z_to_come", valid_from=date(2026, 3, 2)),
        rule("{not: {segment: z_off}}", "others", valid_from=date(2026, 3, 1)),
    )
    assert frames["ml.segments"]["segment_id"].to_list() == ["others"]
    assert frames["ml.segment_memberships"].select("customer_id", "segment_id").rows() == [
        ("bob", "others")
    ]


def test_evaluate_is_the_same_whatever_the_order_of_rows_and_rules() -> None:
    rows = [
        {**event(f"c{n % 7}", "search", f"{n % 5} hours"), "event_id": f"e{n}", "item_id": "1"}
        for n in range(60)
    ]
    rules = [
        rule(SEARCHERS, "a"),
        rule("{count: {event: search, same: item, within: 1 day}, at_least: 2}", "b"),
        rule("{sequence: {first: search, then: search, within: 1 day}}", "c"),
    ]
    expected = run(open_shop(rows), *rules)
    shuffled = random.Random(7).sample(rows, len(rows))
    found = run(open_shop(shuffled), *reversed(rules))
    for table, frame in expected.items():
        assert_frame_equal(frame, found[table])
    memberships = expected["ml.segment_memberships"]
    assert_frame_equal(memberships, memberships.sort("customer_id", "segment_id"))
    assert memberships.select("customer_id", "segment_id").is_duplicated().any() is False
    assert memberships["event_ids"].list.len().max() == 3


def test_evaluate_leaves_no_table_behind() -> None:
    con = open_shop([event("ada", "search", "1 hour")])
    run(con, rule(SEARCHERS))
    run(con, rule(SEARCHERS))
    assert con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall() == []


def test_evaluate_without_rules_returns_empty_frames() -> None:
    frames = run(open_shop([event("ada", "search", "1 hour")]))
    assert [frame.height for frame in frames.values()] == [0, 0]
    assert frames["ml.segment_memberships"].schema["event_ids"] == pl.List(pl.String)


def test_evaluate_refuses_a_day_without_features() -> None:
    con = open_shop(
        features=[{"customer_id": "ada", "count_orders": 1, "as_of_date": date(2026, 2, 28)}]
    )
    with pytest.raises(InputDataError, match=r"features\.customer_features 2026-03-01: expected"):
        run(con, rule("{feature: count_orders, equals: 1}"))


def test_evaluate_refuses_a_circle() -> None:
    with pytest.raises(ConfigError, match="in a circle"):
        run(open_shop(), rule("{segment: b}", "a"), rule("{segment: a}", "b"))


def test_digest_segments_changes_with_a_rule_but_not_with_order() -> None:
    a, b = rule(SEARCHERS, "a"), rule(SEARCHERS, "b")
    changed = rule(SEARCHERS.replace("at_least: 1", "at_least: 2"), "b")
    assert digest_segments((a, b)) == digest_segments((b, a))
    assert digest_segments((a, b)) != digest_segments((a, changed))
