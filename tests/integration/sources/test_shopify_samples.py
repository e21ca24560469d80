"""Shopify's exports through the real loader: orders told by their first row, refunds, overlapping files, customers."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.integration.sources.loading import SAMPLES, STARTED_AT, Load, counts

pytestmark = pytest.mark.integration

FIRST = SAMPLES / "shopify/orders_export_1.csv"
LATER = SAMPLES / "shopify/orders_export_2.csv"


@pytest.fixture
def load(settings, tmp_path):
    return Load(settings, tmp_path)


ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"
TESTER, CALLER = "tester@example.com", "+4930901820"


def test_orders_each_line_and_return_has_a_row(load):
    load(FIRST, format="shopify_orders")

    assert load.query(
        "SELECT order_line_id, line_type, timezone('UTC', ordered_at)::VARCHAR, item_id, price::DOUBLE, quantity::INT, "
        "discount::DOUBLE, amount::DOUBLE FROM lake.raw.orders ORDER BY 1"
    ) == [
        ("shop:#1001:1", "sale", "2026-01-02 09:11:12", "MUG-L-BLUE", 15.0, 2, 3.0, None),
        ("shop:#1001:2", "sale", "2026-01-02 09:11:12", "PLATE", 20.0, 1, 0.0, None),
        ("shop:#1002:1", "sale", "2026-01-03 04:30:00", "Bowl", 35.0, 1, 0.0, None),
        ("shop:#1002:return:10.00", "return", "2026-01-03 04:30:00", None, None, 1, None, 10.0),
        ("shop:#1003:1", "sale", "2026-01-03 07:00:00", "MUG-S", 10.0, 1, 0.0, None),
        ("shop:#1003:2", "sale", "2026-01-03 07:00:00", "BOWL", 10.0, 1, 0.0, None),
        ("shop:#1003:3", "sale", "2026-01-03 07:00:00", "SPOON", 10.0, 1, 0.0, None),
        ("shop:#1003:return:30.00", "return", "2026-01-03 11:00:00", None, None, 1, None, 30.0),
        ("shop:#1004:1", "sale", "2026-01-04 07:00:00", "SPOON", 1.0, 1, 0.0, None),
        ("shop:#1005:1", "adjustment", "2026-01-04 08:00:00", None, None, 1, None, 0.0),
        ("shop:#1006:1", "sale", "2026-01-05 08:00:00", "PLATE", 20.0, 1, 0.0, None),
        ("shop:#1006:return:20.00", "return", "2026-01-06 09:00:00", None, None, 1, None, 20.0),
    ]


def test_orders_cells_of_the_order_come_from_its_first_row(load):
    load(FIRST, format="shopify_orders")

    assert load.query(
        "SELECT order_line_id, order_id, user_id, currency, status, channel, campaign, country, region, is_test, "
        "order_discount::DOUBLE, order_tax::DOUBLE, order_shipping::DOUBLE FROM lake.raw.orders "
        "WHERE line_type = 'sale' ORDER BY 1"
    ) == [
        ("shop:#1001:1", "#1001", ADA, "EUR", "paid", "web", "spring sale", "DE", "BE", False, 5.0, 7.49, 4.9),
        ("shop:#1001:2", "#1001", ADA, "EUR", "paid", "web", "spring sale", "DE", "BE", False, 5.0, 7.49, 4.9),
        ("shop:#1002:1", "#1002", CALLER, "EUR", "partially_refunded", "pos", None, "US", "NY", False, 0.0, 0.0, 0.0),
        ("shop:#1003:1", "#1003", BOB, "EUR", "voided", "web", None, "DE", None, False, 0.0, 0.0, 0.0),
        ("shop:#1003:2", "#1003", BOB, "EUR", "voided", "web", None, "DE", None, False, 0.0, 0.0, 0.0),
        ("shop:#1003:3", "#1003", BOB, "EUR", "voided", "web", None, "DE", None, False, 0.0, 0.0, 0.0),
        ("shop:#1004:1", "#1004", TESTER, "EUR", "paid", "web", None, None, None, True, 0.0, 0.0, 0.0),
        ("shop:#1006:1", "#1006", ADA, "EUR", "refunded", "web", None, "DE", "HH", True, 0.0, 0.0, 0.0),
    ]  # fmt: skip
    assert load.query(
        "SELECT title, brand, properties FROM lake.raw.orders WHERE order_line_id IN ('shop:#1001:1', 'shop:#1003:3') "
        "ORDER BY 1"
    ) == [
        (
            'Mug, "large" - Blue',
            "Example Goods",
            '{"shop_order_id":"5500000001001","discount_code":"WELCOME","payment_method":"Shopify Payments"}',
        ),
        (
            "Spoon",
            "Example Goods",
            '{"shop_order_id":"5500000001003","payment_method":"Shopify Payments"}',
        ),
    ]


def test_orders_consents_and_profiles_come_once_an_order(load):
    load(FIRST, format="shopify_orders")

    assert load.query(
        "SELECT user_id, purpose, state, timezone('UTC', recorded_at)::VARCHAR, line_number FROM lake.raw.consents ORDER BY 4"
    ) == [
        (ADA, "marketing", "granted", "2026-01-02 09:11:12", 2),
        (CALLER, "marketing", "denied", "2026-01-03 04:30:00", 4),
        (BOB, "marketing", "denied", "2026-01-03 07:00:00", 5),
        (TESTER, "marketing", "denied", "2026-01-04 07:00:00", 8),
        (ADA, "marketing", "granted", "2026-01-05 08:00:00", 10),
        (EVE, "marketing", "denied", "2026-01-05 09:00:00", 11),
    ]
    assert load.query(
        "SELECT user_id, country, region, timezone('UTC', updated_at)::VARCHAR FROM lake.raw.profiles ORDER BY 4"
    ) == [
        (ADA, "DE", "BE", "2026-01-02 09:11:12"),
        (CALLER, "US", "NY", "2026-01-03 04:30:00"),
        (BOB, "DE", None, "2026-01-03 07:00:00"),
        (ADA, "DE", "HH", "2026-01-05 08:00:00"),
    ]


def test_orders_every_line_ends_somewhere(load):
    load(FIRST, format="shopify_orders")

    assert load.query(
        "SELECT entity, count_rows, count_loaded, count_duplicates, count_rejected FROM lake.raw.files ORDER BY 1"
    ) == [("consents", 7, 6, 1, 0), ("orders", 17, 12, 2, 3), ("profiles", 5, 4, 1, 0)]
    assert load.query(
        "SELECT line_number, reason_code, reason FROM lake.raw.rejects ORDER BY 1"
    ) == [
        (11, "bad_type", "quantity: expected a number"),
        (12, "missing_field", "ordered_at is empty"),
        (15, "malformed", "the line is not a record of this format (missing columns)"),
    ]
    assert "@example" not in str(load.query("SELECT * FROM lake.raw.rejects"))


def test_orders_told_again_are_loaded_once_and_a_grown_refund_is_added(load):
    load(FIRST, format="shopify_orders")

    load(LATER, format="shopify_orders", started_at=STARTED_AT + timedelta(days=1))

    assert load.query(
        "SELECT entity, count_rows, count_loaded, count_duplicates FROM lake.raw.files WHERE path LIKE '%_2.csv' ORDER BY 1"
    ) == [("consents", 2, 1, 1), ("orders", 5, 2, 3), ("profiles", 1, 0, 1)]
    assert load.query(
        "SELECT order_line_id, status, amount FROM lake.raw.orders WHERE order_id IN ('#1002', '#1010') ORDER BY 1"
    ) == [
        ("shop:#1002:1", "partially_refunded", None),
        ("shop:#1002:return:10.00", "partially_refunded", Decimal("10.000000")),
        ("shop:#1002:return:25.00", "partially_refunded", Decimal("25.000000")),
        ("shop:#1010:1", "pending", None),
    ]
    # An export of another plan has fewer columns.
    assert load.query(
        "SELECT brand, channel, discount FROM lake.raw.orders WHERE order_id = '#1010'"
    ) == [(None, None, None)]


def test_customers_consents_are_told_now(load):
    result = load(SAMPLES / "shopify/customers_export.csv", format="shopify_customers")

    assert counts(result) == (11, 10, 0, 1)
    assert load.query(
        "SELECT user_id, purpose, state, recorded_at = received_at FROM lake.raw.consents ORDER BY line_number, purpose"
    ) == [
        (ADA, "marketing", "granted", True),
        (ADA, "sms", "denied", True),
        (CALLER, "marketing", "denied", True),
        (CALLER, "sms", "granted", True),
        (BOB, "marketing", "denied", True),
        (EVE, "sms", "denied", True),
    ]
    assert load.query("SELECT DISTINCT recorded_at FROM lake.raw.consents") == [(STARTED_AT,)]
    assert load.query(
        "SELECT user_id, country, region FROM lake.raw.profiles ORDER BY line_number"
    ) == [(ADA, "DE", "BE"), (CALLER, "US", None), (BOB, None, None), (EVE, None, None)]
    assert load.query("SELECT entity, reason_code, reason FROM lake.raw.rejects") == [
        ("consents", "unknown_value", "state is none of granted, denied, withdrawn")
    ]


def test_customers_consent_that_went_and_came_back_counts_each_time(load, tmp_path):
    text = (SAMPLES / "shopify/customers_export.csv").read_text()
    path = tmp_path / "customers.csv"
    for day, state in enumerate(("yes", "no", "yes")):
        path.write_text(text.replace("ada@example.com,yes", f"ada@example.com,{state}"))
        load(path, format="shopify_customers", started_at=STARTED_AT + timedelta(days=day))

    decisions = load.query(
        "SELECT user_id, state FROM lake.raw.consents WHERE purpose = 'marketing' ORDER BY recorded_at"
    )
    assert [state for who, state in decisions if who == ADA] == ["granted", "denied", "granted"]
    assert load.query("SELECT count(*) = count(DISTINCT consent_id) FROM lake.raw.consents") == [
        (True,)
    ]
