"""RetailRocket's files through the real loader: events, readable properties of items, the category tree."""

import pytest

from tests.integration.sources.loading import SAMPLES, Load, counts

pytestmark = pytest.mark.integration

FOLDER = SAMPLES / "retailrocket"


@pytest.fixture
def load(settings, tmp_path):
    return Load(settings, tmp_path)


def test_events_each_line_is_an_event_a_duplicate_or_a_reject(load):
    result = load(FOLDER / "events.csv", format="retailrocket")

    assert counts(result) == (10, 5, 1, 4)
    assert load.query(
        "SELECT line_number, event_type, timezone('UTC', occurred_at)::VARCHAR, anonymous_id, user_id, item_id, order_id "
        "FROM lake.raw.events ORDER BY 1"
    ) == [
        (2, "product_view", "2015-06-02 05:02:12.117", "257597", None, "355908", None),
        (3, "product_view", "2015-06-02 05:50:14.164", "992329", None, "248676", None),
        (5, "add_to_cart", "2015-06-02 05:13:19.827", "111016", None, "318965", None),
        (6, "purchase", "2015-06-02 05:33:56.124", "599528", None, "356475", "4000"),
        (7, "purchase", "2015-06-02 05:33:56.124", "599528", None, "15335", "4000"),
    ]
    assert load.query("SELECT line_number, reason_code FROM lake.raw.rejects ORDER BY 1") == [
        (8, "unknown_event"),
        (9, "bad_type"),
        (10, "missing_field"),
        (11, "malformed"),
    ]


def test_events_without_order_ids_are_read(load):
    result = load(FOLDER / "events_without_orders.csv", format="retailrocket")

    assert counts(result) == (1, 1, 0, 0)
    assert load.query("SELECT event_type, order_id FROM lake.raw.events") == [("purchase", None)]


def test_item_properties_readable_ones_are_kept(load):
    result = load(FOLDER / "item_properties_part1.csv", format="retailrocket_item_properties")

    assert counts(result) == (7, 5, 1, 1)
    assert load.query(
        "SELECT line_number, item_id, property, value, timezone('UTC', valid_from)::VARCHAR FROM lake.raw.item_properties "
        "ORDER BY 1"
    ) == [
        (2, "460429", "category", "1338", "2015-06-28 03:00:00"),
        (5, "59481", "price", "15360.000", "2015-05-10 03:00:00"),
        (6, "156781", "is_in_stock", "0", "2015-05-17 03:00:00"),
        (7, "285026", "is_in_stock", "1", "2015-07-05 03:00:00"),
        (9, "89534", "price", "639502", "2015-06-14 03:00:00"),
    ]
    assert load.query("SELECT line_number, reason_code, reason FROM lake.raw.rejects") == [
        (10, "bad_type", "valid_from: expected a time")
    ]


def test_category_tree_new_version_takes_the_place_of_the_old_one(load, tmp_path):
    path = tmp_path / "category_tree.csv"
    path.write_text((FOLDER / "category_tree.csv").read_text())
    first = load(path, format="retailrocket_category_tree")
    assert counts(first) == (4, 3, 0, 1)
    path.write_text("categoryid,parentid\n231,\n809,231\n")

    load(path, format="retailrocket_category_tree")

    assert load.query(
        "SELECT category_id, parent_category_id FROM lake.raw.categories ORDER BY 1"
    ) == [("231", None), ("809", "231")]
