from datetime import UTC, datetime

import pytest

from jobs.journeys import JourneyConfig, find_stages
from jobs.lake import TABLES
from tests.unit.jobs.journeys.journey_events import REQUEST, add_events, open_lake


@pytest.mark.parametrize(
    ("events", "stage", "day"),
    [
        ([("s1", "page_view", 20)], "visitor", 20),
        ([("s1", "search", 20)], "browsing", 20),
        ([("s1", "product_view", 20), ("s2", "product_view", 21)], "considering", 20),
        ([("s1", "add_to_cart", 20), ("s2", "page_view", 21)], "carting", 20),
        ([("s1", "add_to_cart", 20), ("s1", "begin_checkout", 21)], "checkout", 21),
        ([("s1", "purchase", 20), ("s1", "product_view", 20)], "customer", 20),
        ([("s1", "purchase", 20), ("s2", "product_view", 21)], "considering", 21),
        ([("s1", "purchase", 20), ("s2", "email_open", 21)], "customer", 20),
    ],
)
def test_find_stages_takes_the_furthest_since_the_purchase(
    events: list[tuple[str, str, int]], stage: str, day: int
) -> None:
    con = open_lake()
    add_events(con, [("a", session, kind, f"2026-06-{day} 10:00") for session, kind, day in events])

    found = find_stages(con, REQUEST, "r1", JourneyConfig())["ml.customer_stages"]

    assert found.select("customer_id", "stage", "reached_at").rows() == [
        ("a", stage, datetime(2026, 6, day, 10, tzinfo=UTC))
    ]
    assert set(found.columns) == set(TABLES["ml.customer_stages"].columns) - {"as_of_date", "run_id"}  # fmt: skip


@pytest.mark.parametrize("event_type", ["purchase", "add_to_cart"])
def test_find_stages_long_ago_is_inactive(event_type: str) -> None:
    con = open_lake()
    add_events(con, [("a", "s1", event_type, "2026-05-31 10:00")])

    found = find_stages(con, REQUEST, "r1", JourneyConfig())["ml.customer_stages"]

    assert found["stage"].to_list() == ["inactive"]
