"""REES46 files through the real loader."""

from decimal import Decimal

import pytest

from tests.integration.sources.loading import SAMPLES, Load, counts

pytestmark = pytest.mark.integration


@pytest.fixture
def load(settings, tmp_path):
    return Load(settings, tmp_path)


def test_rees46_each_line_is_an_event_a_duplicate_or_a_reject(load):
    result = load(SAMPLES / "rees46/2019-Oct.csv", format="rees46")

    assert counts(result) == (10, 5, 1, 4)
    assert load.query(
        "SELECT line_number, event_type, timezone('UTC', occurred_at)::VARCHAR, user_id, item_id, category, brand, price, "
        "currency FROM lake.raw.events ORDER BY 1"
    ) == [
        (2, "product_view", "2019-10-01 00:00:00", "541312140", "44600062", "2103807459595387724", "shiseido",
         Decimal("35.790000"), "USD"),
        (3, "add_to_cart", "2019-10-01 00:00:01", "535871217", "1005115", "electronics.smartphone", "apple",
         Decimal("975.570000"), "USD"),
        (5, "remove_from_cart", "2019-10-01 00:00:05", "535871217", "1005115", "electronics.smartphone", "apple",
         Decimal("975.570000"), "USD"),
        (6, "purchase", "2019-10-01 00:02:14", "543272936", "1004856", "electronics.smartphone", "samsung",
         Decimal("130.760000"), "USD"),
        (7, "product_view", "2019-10-01 00:02:20", "520571932", "3701134", "appliances.environment.vacuum", None,
         Decimal("0.000000"), "USD"),
    ]  # fmt: skip
    assert load.query(
        "SELECT line_number, session_id FROM lake.raw.events WHERE line_number > 5 ORDER BY 1"
    ) == [(6, "8187d148-3c41-46d4-9b0c-9c08cd9dc564"), (7, None)]
    assert load.query(
        "SELECT line_number, reason_code, reason FROM lake.raw.rejects ORDER BY 1"
    ) == [
        (8, "unknown_event", "event name wishlist is not in event_names"),
        (9, "out_of_range", "price is below 0"),
        (10, "bad_type", "price: expected a number"),
        (11, "malformed", "the line is not a record of this format (missing columns)"),
    ]
