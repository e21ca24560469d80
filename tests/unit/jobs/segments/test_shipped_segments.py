"""The rules under config/segments, each on customers who are in it and on those who miss it narrowly."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from jobs.segments import load_segments, segment_schema
from jobs.settings import PROJECT_ROOT

from .shop import event, find_members, open_shop

FOLDER = PROJECT_ROOT / "config" / "segments"
SHIPPED = {segment.id: segment for segment in load_segments(FOLDER)}
FILES = sorted(FOLDER.glob("*.yml"))


def views(customer_id: str, *whens: str, **columns: Any) -> list[dict[str, Any]]:
    return [event(customer_id, "product_view", when, **columns) for when in whens]


def members(segment_id: str, *rows: list[dict[str, Any]]) -> list[str]:
    return find_members(open_shop([row for part in rows for row in part]), SHIPPED[segment_id])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_shipped_file_has_the_name_of_its_id_and_fits_the_schema(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    jsonschema.validate(content, yaml.safe_load(segment_schema()))
    assert content["id"] == file.stem


def test_high_intent_cart_abandoners_need_four_views_and_an_abandoned_cart() -> None:
    cart = {"item_id": "shoe"}
    four = ("1 hour", "2 hours", "3 hours", "24 hours")
    assert members(
        "high_intent_cart_abandoners",
        [*views("ada", *four), event("ada", "add_to_cart", "30 minutes", **cart)],
        # Exactly three views: the fourth is a second too old.
        [
            *views("bob", *four[:3], "24 hours 1 second"),
            event("bob", "add_to_cart", "30 minutes", **cart),
        ],
        # No cart.
        views("cid", *four),
        # The cart was bought, if late.
        [
            *views("dan", *four),
            event("dan", "add_to_cart", "2 hours", **cart),
            event("dan", "purchase", "1 hour", **cart),
        ],
        # Another item of the category was bought: the cart stays abandoned.
        [
            *views("eve", *four),
            event("eve", "add_to_cart", "2 hours", item_id="shoe", category="shoes"),
            event("eve", "purchase", "1 hour", item_id="boot", category="shoes"),
        ],
    ) == ["ada", "eve"]


def test_cart_abandoned_10min_waits_ten_minutes_and_forgives_a_purchase() -> None:
    def cart(customer_id: str, when: str, item_id: str | None = "shoe") -> dict[str, Any]:
        return event(customer_id, "add_to_cart", when, item_id=item_id)

    assert members(
        "cart_abandoned_10min",
        [cart("at_10_minutes", "10 minutes")],
        [cart("at_9_minutes_59", "9 minutes 59 seconds")],
        [cart("at_24_hours", "24 hours")],
        [cart("before_24_hours", "24 hours 1 second")],
        [cart("bought", "1 hour"), event("bought", "purchase", "55 minutes", item_id="shoe")],
        [
            cart("bought_late", "3 hours"),
            event("bought_late", "purchase", "1 hour", item_id="shoe"),
        ],
        [
            cart("removed", "1 hour"),
            event("removed", "remove_from_cart", "1 minute", item_id="shoe"),
        ],
        [
            cart("bought_other", "1 hour"),
            event("bought_other", "purchase", "55 minutes", item_id="hat"),
        ],
        [
            event("bought_before", "purchase", "2 hours", item_id="shoe"),
            cart("bought_before", "1 hour"),
        ],
        [
            cart("bought_at_once", "1 hour"),
            event("bought_at_once", "purchase", "1 hour", item_id="shoe"),
        ],
        [cart("unknown_item", "1 hour", item_id=None)],
        [event("other_buys", "purchase", "55 minutes", item_id="shoe")],
    ) == ["at_10_minutes", "at_24_hours", "bought_before", "bought_other"]


def test_frequent_buyers_30d_counts_orders_not_lines() -> None:
    def buy(customer_id: str, orders: list[str], first: str = "29 days") -> list[dict[str, Any]]:
        whens = [first, *(f"{day} days" for day in range(1, len(orders)))]
        return [
            event(customer_id, "purchase", when, order_id=order)
            for when, order in zip(whens, orders, strict=True)
        ]

    assert members(
        "frequent_buyers_30d",
        buy("six_orders", ["1", "2", "3", "4", "5", "6"]),
        buy("at_30_days", ["1", "2", "3", "4", "5", "6"], first="30 days"),
        buy("before_30_days", ["1", "2", "3", "4", "5", "6"], first="30 days 1 second"),
        buy("exactly_five", ["1", "2", "3", "4", "5"]),
        buy("five_orders_of_seven_lines", ["1", "2", "3", "4", "5", "5", "5"]),
    ) == ["at_30_days", "six_orders"]


def test_browsers_without_purchase_14d_view_and_do_not_buy() -> None:
    assert members(
        "browsers_without_purchase_14d",
        views("ada", "14 days"),
        views("too_long_ago", "14 days 1 second"),
        [*views("bought_at_14_days", "1 day"), event("bought_at_14_days", "purchase", "14 days")],
        [*views("bought_before", "1 day"), event("bought_before", "purchase", "14 days 1 second")],
        [event("only_searched", "search", "1 day")],
    ) == ["ada", "bought_before"]


def test_high_engagement_7d_needs_four_different_days() -> None:
    assert members(
        "high_engagement_7d",
        views("four_days", "6 hours", "30 hours", "54 hours", "78 hours"),
        views("three_days", "6 hours", "7 hours", "30 hours", "54 hours"),
        views("oldest_at_7_days", "6 hours", "30 hours", "54 hours", "7 days"),
        views("oldest_before", "6 hours", "30 hours", "54 hours", "7 days 1 second"),
        [
            *views("email_day", "6 hours", "30 hours", "54 hours"),
            event("email_day", "email_open", "78 hours"),
        ],
    ) == ["four_days", "oldest_at_7_days"]


def test_repeat_item_viewers_12h_view_one_item_three_times() -> None:
    item = {"item_id": "shoe", "category": "shoes"}
    assert members(
        "repeat_item_viewers_12h",
        views("three", "1 hour", "2 hours", "12 hours", **item),
        views("third_too_old", "1 hour", "2 hours", "12 hours 1 second", **item),
        [
            *views("another_item", "1 hour", "2 hours", **item),
            *views("another_item", "3 hours", item_id="boot", category="shoes"),
        ],
        views("unknown_item", "1 hour", "2 hours", "3 hours", category="shoes"),
        [
            *views("carted", "1 hour", "2 hours", **item),
            event("carted", "add_to_cart", "1 hour", **item),
        ],
    ) == ["three"]


def test_category_focus_24h_needs_more_than_three_views_of_one_category() -> None:
    shoes = {"category": "shoes"}
    assert members(
        "category_focus_24h",
        views("four", "1 hour", "2 hours", "3 hours", "24 hours", **shoes),
        views("exactly_three", "1 hour", "2 hours", "3 hours", **shoes),
        views("fourth_too_old", "1 hour", "2 hours", "3 hours", "24 hours 1 second", **shoes),
        [
            *views("mixed", "1 hour", "2 hours", "3 hours", **shoes),
            *views("mixed", "4 hours", category="hats"),
        ],
    ) == ["four"]


@pytest.mark.parametrize(
    ("segment_id", "features", "expected"),
    [
        (
            "lapsing_customers",
            {
                "at_60": {"count_orders": 2, "days_since_last_order": 60},
                "at_59": {"count_orders": 2, "days_since_last_order": 59},
                "at_364": {"count_orders": 2, "days_since_last_order": 364},
                "lost": {"count_orders": 2, "days_since_last_order": 365},
                "one_order": {"count_orders": 1, "days_since_last_order": 60},
                "never": {"count_orders": 0, "days_since_last_order": None},
            },
            ["at_364", "at_60"],
        ),
        (
            "first_time_buyers",
            {
                "at_30": {"count_orders": 1, "days_since_first_order": 30},
                "at_31": {"count_orders": 1, "days_since_first_order": 31},
                "two_orders": {"count_orders": 2, "days_since_first_order": 3},
                "never": {"count_orders": 0, "days_since_first_order": None},
            },
            ["at_30"],
        ),
        (
            "high_value_customers",
            {
                "top": {"count_orders": 2, "monetary_score": 5},
                "second": {"count_orders": 9, "monetary_score": 4},
                "one_order": {"count_orders": 1, "monetary_score": 5},
                "never": {"count_orders": 0, "monetary_score": None},
            },
            ["top"],
        ),
    ],
)
def test_rules_on_features_take_their_bounds(
    segment_id: str, features: dict[str, dict[str, Any]], expected: list[str]
) -> None:
    rows = [{"customer_id": name, **values} for name, values in features.items()]
    assert find_members(open_shop(features=rows), SHIPPED[segment_id]) == expected
