"""What each condition finds, and that nothing a person writes reaches the text of a query."""

import re
from datetime import date
from typing import Any

import polars as pl
import pytest

from jobs.segments import compile_segment
from jobs.segments.fields import ATTRIBUTES, FEATURES, SUBJECTS

from .shop import AS_OF, event, find_members, open_shop, rule, run

HOSTILE = "'; drop table core.customers; --"

EVERYTHING = """
all:
  - any:
      - count: {{event: [product_view, search], within: {time}, same: item, filter: {{category: {text}}}}}
        more_than: {number}
      - count: {{event: purchase, within: {time}, distinct: order}}
        at_most: {number}
  - sum: {{event: purchase, within: {time}, filter: {{brand: [{text}], min_price: {number}}}}}
    at_least: {number}
  - sequence: {{first: add_to_cart, then_not: purchase, after: 1 minute, still: true, within: {time}, same: item}}
  - sequence: {{first: search, then: product_view, within: {time}, filter: {{campaign: {text}}}}}
  - sequence: {{first: search, then_not: purchase, after: 1 minute, within: {time}}}
  - not: {{absent: {{event: refund, within: {time}, filter: {{device: {text}}}}}}}
  - not: {{segment: other}}
  - {{feature: total_value, less_than: {number}}}
  - {{feature: rfm_segment, in: [{text}]}}
  - {{attribute: country, is: {text}}}
  - {{attribute: is_registered, is: true}}
  - {{attribute: birth_year, equals: {number}}}
"""


def everything(text: str, number: str, time: str) -> Any:
    return rule(EVERYTHING.format(text=f'"{text}"', number=number, time=time))


def test_compile_segment_keeps_every_value_out_of_the_text() -> None:
    hostile = everything(HOSTILE, "31337", "31337 minutes")
    compiled = compile_segment(hostile, AS_OF)
    assert "drop" not in compiled.sql
    assert "31337" not in compiled.sql
    assert [HOSTILE] in compiled.parameters.values()
    # The text depends on the shape of a rule alone.
    assert compiled.sql == compile_segment(everything("shoes", "2", "1 day"), AS_OF).sql


def test_compile_segment_writes_names_of_the_allow_list_only() -> None:
    sql = compile_segment(everything("shoes", "2", "1 day"), AS_OF).sql
    words = set(re.findall(r"[a-z_]+[a-z0-9_]*", re.sub(r"'[^']*'|\$p\d+", "", sql)))
    functions = {"coalesce", "concat", "concat_ws", "count", "date", "flatten", "floor", "max"}
    functions |= {"list_concat", "list_contains", "list_distinct", "list_reverse_sort", "min"}
    functions |= {"printf", "round", "row_number", "sum", "false"}
    columns = {"customer_id", "segment_id", "rule_version", "reason", "observed_value", "threshold"}
    columns |= {"event_ids", "event_id", "event_type", "occurred_at", "events", "observed", "event"}
    columns |= {"brand", "campaign", "device", "price", "value", "is_first", "next"}
    columns |= {subject.expression for subject in SUBJECTS.values()}
    columns |= {f"feature_{name}" for name in FEATURES}
    columns |= {f"attribute_{name}" for name in ATTRIBUTES}
    tables = {"temp", "segment_events", "segment_customers", "segment_matches"}
    tables |= {"judged", "customers"}
    numbered = {
        word for word in words if re.fullmatch(r"(condition|met|observed|events)_\d+", word)
    }
    assert words - functions - columns - tables - numbered == set()


def test_evaluate_survives_hostile_values() -> None:
    con = open_shop(customers=[{"customer_id": "ada", "country": HOSTILE}])
    hostile = rule(f'{{attribute: country, is: "{HOSTILE}"}}', name=HOSTILE, owner=HOSTILE)
    assert find_members(con, hostile) == ["ada"]
    assert con.execute("SELECT count(*) FROM core.customers").fetchall() == [(1,)]


def test_events_after_as_of_or_known_later_do_not_count() -> None:
    con = open_shop(
        [
            event("before", "search", "1 second"),
            {**event("at_as_of", "search", "0 seconds")},
            {**event("known_at_as_of", "search", "1 hour"), "known_at": AS_OF},
            {**event("late", "search", "1 hour"), "known_at": AS_OF.replace(second=1)},
        ]
    )
    where = "{count: {event: search, within: 1 day}, at_least: 1}"
    assert find_members(con, rule(where)) == ["before", "known_at_as_of"]


@pytest.mark.parametrize(
    ("compared", "expected"),
    [
        ("more_than: 2", ["three"]),
        ("at_least: 2", ["three", "two"]),
        ("less_than: 2", ["none", "one"]),
        ("at_most: 2", ["none", "one", "two"]),
        ("equals: 2", ["two"]),
        ("equals: 0", ["none"]),
        ("at_least: 1, less_than: 3", ["one", "two"]),
    ],
)
def test_count_compares_at_its_bounds(compared: str, expected: list[str]) -> None:
    counts = {"none": 0, "one": 1, "two": 2, "three": 3}
    events = [event(name, "search", "1 hour") for name, n in counts.items() for _ in range(n)]
    con = open_shop(events, customers=[{"customer_id": name} for name in counts])
    assert (
        find_members(con, rule(f"{{count: {{event: search, within: 1 day}}, {compared}}}"))
        == expected
    )


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("category: shoes", ["cheap", "dear"]),
        ("category: [shoes, hats]", ["cheap", "dear", "hat"]),
        ("category: shoes, min_price: 50", ["dear"]),
        ("min_price: 20, max_price: 50", ["dear", "hat"]),
    ],
)
def test_filter_restricts_events(filter_: str, expected: list[str]) -> None:
    con = open_shop(
        [
            event("cheap", "purchase", "1 hour", category="shoes", price=10.0),
            event("dear", "purchase", "1 hour", category="shoes", price=50.0),
            event("hat", "purchase", "1 hour", category="hats", price=20.0),
            event("unknown", "purchase", "1 hour"),
        ]
    )
    where = f"{{count: {{event: purchase, within: 1 day, filter: {{{filter_}}}}}, at_least: 1}}"
    assert find_members(con, rule(where)) == expected


def test_sum_adds_values_and_takes_no_events_as_zero() -> None:
    con = open_shop(
        [
            # Ten times 0.1 is 0.9999999999999999 in binary.
            *[event("tenths", "purchase", "1 hour", value=0.1, quantity=1.0) for _ in range(10)],
            event("short", "purchase", "1 hour", value=0.99, quantity=5.0),
            event("unknown", "purchase", "1 hour"),
            event("none", "search", "1 hour"),
        ]
    )

    def find(text: str) -> list[str]:
        return find_members(con, rule(text))

    assert find("{sum: {event: purchase, within: 1 day}, at_least: 1}") == ["tenths"]
    assert find("{sum: {event: purchase, within: 1 day}, equals: 0}") == ["none", "unknown"]
    assert find("{sum: {event: purchase, of: quantity, within: 1 day}, equals: 10}") == ["tenths"]


@pytest.mark.parametrize(
    ("distinct", "expected"), [("item_id", ["items"]), ("session", ["sessions"]), ("day", ["days"])]
)
def test_count_distinct_counts_different_things(distinct: str, expected: list[str]) -> None:
    con = open_shop(
        [
            event("items", "search", "2 hours", item_id="1"),
            event("items", "search", "1 hour", item_id="2"),
            event("sessions", "search", "2 hours", session_id="1"),
            event("sessions", "search", "1 hour", session_id="2"),
            # Midnight UTC lies 24 hours before.
            event("days", "search", "24 hours"),
            event("days", "search", "24 hours 1 second"),
        ]
    )
    con.execute("SET TimeZone = 'Asia/Tokyo'")
    where = f"{{count: {{event: search, distinct: {distinct}, within: 2 days}}, at_least: 2}}"
    assert find_members(con, rule(where)) == expected


def test_sequence_then_not_judges_the_waiting_time_alone_unless_still() -> None:
    con = open_shop(
        [
            event("never", "add_to_cart", "1 hour"),
            event("at_10", "add_to_cart", "1 hour"),
            event("at_10", "purchase", "50 minutes"),
            event("after_10", "add_to_cart", "1 hour"),
            event("after_10", "purchase", "49 minutes 59 seconds"),
        ]
    )
    where = "{{sequence: {{first: add_to_cart, then_not: purchase, after: 10 minutes, {}within: 1 day}}}}"
    assert find_members(con, rule(where.format(""))) == ["after_10", "never"]
    assert find_members(con, rule(where.format("still: true, "))) == ["never"]


def test_sequence_then_finds_a_follower_of_the_same_item() -> None:
    con = open_shop(
        [
            event("viewed", "add_to_wishlist", "2 hours", item_id="shoe"),
            event("viewed", "product_view", "1 hour", item_id="shoe"),
            event("other_item", "add_to_wishlist", "2 hours", item_id="shoe"),
            event("other_item", "product_view", "1 hour", item_id="hat"),
            event("wrong_order", "product_view", "2 hours", item_id="shoe"),
            event("wrong_order", "add_to_wishlist", "1 hour", item_id="shoe"),
        ]
    )
    where = "{sequence: {first: add_to_wishlist, then: product_view, within: 1 day, same: item}}"
    found = run(con, rule(where))["ml.segment_memberships"]
    assert found["customer_id"].to_list() == ["viewed"]
    assert found["event_ids"].to_list() == [["e2", "e1"]]


def test_sequence_of_one_event_type_needs_two_events() -> None:
    con = open_shop([event("once", "search", "1 hour")] + [event("twice", "search", "1 hour")] * 2)
    where = "{sequence: {first: search, then: search, within: 1 day}}"
    assert find_members(con, rule(where)) == ["twice"]


def test_unknown_features_fulfil_no_test_and_so_fulfil_its_not() -> None:
    con = open_shop(
        features=[
            {"customer_id": "never", "days_since_last_order": None},
            {"customer_id": "today", "days_since_last_order": 0},
        ]
    )
    test = "{feature: days_since_last_order, at_most: 30}"
    assert find_members(con, rule(test)) == ["today"]
    assert find_members(con, rule(f"{{not: {test}}}")) == ["never"]


def test_attributes_match_texts_and_yes_or_no() -> None:
    con = open_shop(
        customers=[
            {"customer_id": "at", "country": "AT", "is_registered": True},
            {"customer_id": "de", "country": "DE", "is_registered": True},
            {"customer_id": "fr", "country": "FR", "is_registered": True},
            {"customer_id": "guest", "country": "DE", "is_registered": False},
        ]
    )
    where = "all: [{attribute: country, in: [AT, DE]}, {attribute: is_registered, is: true}]"
    assert find_members(con, rule(where)) == ["at", "de"]


def test_reasons_tell_the_clauses_that_hold() -> None:
    con = open_shop(
        [
            *[event("both", "search", f"{n} hours") for n in (1, 2)],
            event("both", "review", "3 hours"),
            event("one", "review", "1 hour"),
        ]
    )
    where = """
    all:
      - any:
          - {count: {event: search, within: 1 day}, at_least: 2}
          - {count: {event: review, within: 1 day}, at_least: 1}
      - not: {count: {event: purchase, within: 1 day}, at_least: 1}
    """
    found = run(con, rule(where))["ml.segment_memberships"]
    without = "not (at least 1 purchases within 1 day)"
    assert found.select(
        "customer_id", "reason", "observed_value", "threshold", "event_ids"
    ).rows() == [
        (
            "both",
            f"2 searches within 1 day (at least 2) and 1 review within 1 day (at least 1) and {without}",
            2.0,
            2.0,
            ["e1", "e2", "e3"],
        ),
        ("one", f"1 review within 1 day (at least 1) and {without}", 1.0, 1.0, ["e4"]),
    ]


def test_a_clause_of_a_branch_that_does_not_hold_gives_no_evidence() -> None:
    con = open_shop([event("ada", "search", "1 hour"), event("ada", "review", "2 hours")])
    where = """
    any:
      - all:
          - {count: {event: search, within: 1 day}, at_least: 1}
          - {count: {event: purchase, within: 1 day}, at_least: 1}
      - {count: {event: review, within: 1 day}, at_least: 1}
    """
    found = run(con, rule(where))["ml.segment_memberships"]
    assert found["reason"].to_list() == ["1 review within 1 day (at least 1)"]
    assert found["event_ids"].to_list() == [["e2"]]


def test_same_tells_of_the_subject_with_most_events() -> None:
    con = open_shop(
        [
            *[event("ada", "search", "3 hours", item_id="1")] * 3,
            *[event("ada", "search", "1 hour", item_id="2")] * 2,
        ]
    )
    where = "{count: {event: search, same: item, within: 1 day}, at_least: 2}"
    found = run(con, rule(where))["ml.segment_memberships"]
    assert found["observed_value"].to_list() == [3.0]
    assert found["event_ids"].to_list() == [["e3", "e2", "e1"]]


def test_event_ids_name_an_event_of_two_clauses_once() -> None:
    con = open_shop([event("ada", "search", "1 hour"), event("ada", "review", "2 hours")])
    count = "{{count: {{event: {}, within: 1 day}}, at_least: 1}}"
    where = f"all: [{count.format('search')}, {count.format('[search, review]')}]"
    assert run(con, rule(where))["ml.segment_memberships"]["event_ids"].to_list() == [["e1", "e2"]]


def test_features_of_other_days_do_not_count() -> None:
    con = open_shop(
        features=[
            {"customer_id": "ada", "count_orders": 1},
            {"customer_id": "bob", "count_orders": 0},
            {"customer_id": "bob", "count_orders": 1, "as_of_date": date(2026, 2, 28)},
            {"customer_id": "bob", "count_orders": 1, "as_of_date": date(2026, 3, 2)},
        ]
    )
    assert find_members(con, rule("{feature: count_orders, equals: 1}")) == ["ada"]


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        (
            "{count: {event: [product_view, search], same: item, within: 12 hours}, more_than: 1}",
            "2 product views or searches of one item within 12 hours (more than 1)",
        ),
        (
            "{count: {event: product_view, distinct: item, within: 12 hours}, at_least: 1, at_most: 2}",
            "product views of 1 item within 12 hours (at least 1, at most 2)",
        ),
        (
            "{sum: {event: product_view, of: price, within: 1 day, filter: {category: shoes, min_price: 5}}, at_least: 12.5}",
            "a total price of 12.50 in product views (category shoes, price from 5) within 1 day (at least 12.5)",
        ),
        (
            "{sequence: {first: product_view, then_not: [purchase, refund], after: 5 minutes, still: true, within: 1 day, same: item}}",
            "2 product views with no purchase or refund of the same item within 5 minutes or since, in the last 1 day",
        ),
        (
            "{sequence: {first: product_view, then: [product_view, email_open], within: 1 day}}",
            "1 product view followed by a product view or an email open, in the last 1 day",
        ),
        ("{absent: {event: purchase, within: 14 days}}", "no purchases within 14 days"),
        (
            "{feature: count_orders, equals: 3}",
            "orders: 3 (exactly 3)",
        ),
        ("{feature: rfm_segment, in: [champions, loyal]}", "rfm segment: champions or loyal"),
        ("{attribute: birth_year, less_than: 1990}", "birth year: less than 1990"),
        ("{attribute: is_registered, is: true}", "is registered: yes"),
        ("{segment: other}", "in segment other"),
    ],
)
def test_reason_reads_like_a_sentence(where: str, reason: str) -> None:
    con = open_shop(
        [
            event("ada", "product_view", "2 hours", item_id="1", category="shoes", price=6.25),
            event("ada", "product_view", "1 hour", item_id="1", category="shoes", price=6.25),
        ],
        features=[{"customer_id": "ada", "count_orders": 3, "rfm_segment": "loyal"}],
        customers=[{"customer_id": "ada", "birth_year": 1985, "is_registered": True}],
    )
    other = rule("{feature: count_orders, equals: 3}", "other")
    found = run(con, rule(where), other)["ml.segment_memberships"]
    assert found.filter(pl.col("segment_id") == "rule")["reason"].to_list() == [reason]
