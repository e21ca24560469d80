"""Files of one's own, by mappings: another language's numbers and letters, text by a pattern, lists, Parquet."""

from decimal import Decimal

import duckdb
import pytest

from tests.integration.sources.loading import SAMPLES, Load, counts

pytestmark = pytest.mark.integration

FOLDER = SAMPLES / "generic"


@pytest.fixture
def load(settings, tmp_path):
    return Load(settings, tmp_path)


def test_generic_csv_of_a_german_till(load):
    result = load(FOLDER / "verkaeufe.csv", mapping=str(FOLDER / "verkaeufe.yml"))

    assert counts(result) == (12, 6, 0, 6)
    assert load.query(
        "SELECT line_number, order_id, line_type, timezone('UTC', ordered_at)::VARCHAR, user_id, title, price, quantity, currency, "
        "properties FROM lake.raw.orders ORDER BY 1"
    ) == [
        (2, "R-1", "sale", "2026-02-01 09:15:00", "K-1", "Müsli; grob", Decimal("1234.500000"), Decimal("2.000"), "EUR",
         '{"till":"7"}'),
        (3, "R-1", "sale", "2026-02-01 09:15:00", "K-1", "Müsli; grob", Decimal("1234.500000"), Decimal("2.000"), "EUR",
         '{"till":"7"}'),
        (4, "R-1", "sale", "2026-02-01 09:15:00", "K-1", "Käse", Decimal("19.900000"), Decimal("0.250"), "EUR",
         '{"till":"7"}'),
        (5, "R-2", "return", "2026-06-30 22:30:00", None, "Müsli; grob", Decimal("1234.500000"), Decimal("1.000"), "EUR",
         '{"till":"7"}'),
        (6, "R-3", "adjustment", "2026-02-02 08:00:00", "K-2", "Skonto", Decimal("-5.000000"), Decimal("1.000"), "EUR",
         "{}"),
        (7, "R-4", "adjustment", "2026-02-02 08:05:00", "K-2", "Rundung", Decimal("0.010000"), Decimal("1.000"), "EUR",
         "{}"),
    ]  # fmt: skip
    assert load.query(
        "SELECT line_number, reason_code, reason FROM lake.raw.rejects ORDER BY 1"
    ) == [
        (8, "bad_type", "ordered_at: expected a time"),
        (9, "unknown_currency", "currency TALER is no code of ISO 4217"),
        (10, "unknown_value", "line_type is none of sale, return, adjustment"),
        (11, "missing_field", "order_id is empty"),
        (12, "bad_type", "quantity: expected a number"),
        (13, "malformed", "the line is not a record of this format (missing columns)"),
    ]


def test_generic_text_by_a_pattern(load):
    result = load(FOLDER / "till.txt", mapping=str(FOLDER / "till.yml"), currency="CHF")

    assert counts(result) == (5, 4, 0, 1)
    assert load.query(
        "SELECT line_number, order_id, line_type, ordered_at::DATE::VARCHAR, item_id, amount, quantity, currency, user_id, "
        "properties FROM lake.raw.orders ORDER BY 1"
    ) == [
        (3, "17", "sale", "2026-02-01", "A-1", Decimal("4.500000"), Decimal("1.000"), "CHF", "C-9", '{"clock":"10:00"}'),
        (4, "17", "sale", "2026-02-01", "A-1", Decimal("4.500000"), Decimal("1.000"), "CHF", "C-9", '{"clock":"10:00"}'),
        (6, "18", "sale", "2026-02-01", "A-2", Decimal("12.000000"), Decimal("1.000"), "CHF", None, '{"clock":"10:05"}'),
        (7, "19", "adjustment", "2026-02-02", "A-1", Decimal("-4.500000"), Decimal("1.000"), "CHF", None, '{"clock":"11:00"}'),
    ]  # fmt: skip
    assert load.query("SELECT line_number, reason_code FROM lake.raw.rejects") == [(8, "malformed")]


def test_generic_jsonl_with_a_list_gives_a_row_for_each_element(load):
    result = load(FOLDER / "baskets.jsonl", mapping=str(FOLDER / "baskets.yml"))

    assert counts(result) == (7, 4, 1, 2)
    assert load.query(
        "SELECT event_id, line_number, event_type, timezone('UTC', occurred_at)::VARCHAR, user_id, item_id, price, quantity, "
        "currency FROM lake.raw.events ORDER BY 1"
    ) == [
        ("shop:e1:1", 1, "purchase", "2026-05-28 20:26:40", "u1", "A-1", Decimal("4.500000"), Decimal("2.000"), "EUR"),
        ("shop:e1:2", 1, "purchase", "2026-05-28 20:26:40", "u1", "A-2", Decimal("12.000000"), None, "EUR"),
        ("shop:e2", 2, "product_view", "2026-05-28 20:26:41", "h2", None, None, None, None),
        ("shop:e3", 3, "custom", "2026-05-28 20:26:42", None, None, None, None, None),
    ]  # fmt: skip
    assert load.query("SELECT line_number, reason_code FROM lake.raw.rejects ORDER BY 1") == [
        (5, "malformed"),
        (6, "malformed"),
    ]


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "orders.parquet"
    duckdb.execute(
        f"""
        COPY (
            SELECT * FROM (VALUES
                (1, TIMESTAMP '2026-02-01 12:00:00', {{'id': 9007199254740993}}, [{{'sku': 'A-1', 'price': 2.5}},
                    {{'sku': 'A-2', 'price': 0.1}}]),
                (2, TIMESTAMP '2026-07-01 12:00:00', {{'id': 7}}, NULL),
                (3, NULL, {{'id': 8}}, [{{'sku': 'A-1', 'price': 1.0}}])
            ) AS t (number, placed, customer, lines)
        ) TO '{path}' (FORMAT parquet)
        """
    )
    return path


def test_generic_parquet_with_structs_and_lists(load, parquet, tmp_path):
    mapping = tmp_path / "orders.yml"
    mapping.write_text(
        "file_type: parquet\nentity: orders\ntime_zone: Europe/London\neach: lines\n"
        "columns: {order_id: number, ordered_at: placed, user_id: customer.id, item_id: each.sku, price: each.price}\n"
        "constants: {currency: GBP}\n"
    )

    result = load(parquet, mapping=str(mapping))

    assert counts(result) == (4, 3, 0, 1)
    assert load.query(
        "SELECT order_id, timezone('UTC', ordered_at)::VARCHAR, user_id, item_id, price, currency FROM lake.raw.orders "
        "ORDER BY 1, 4"
    ) == [
        ("1", "2026-02-01 12:00:00", "9007199254740993", "A-1", Decimal("2.500000"), "GBP"),
        ("1", "2026-02-01 12:00:00", "9007199254740993", "A-2", Decimal("0.100000"), "GBP"),
        ("2", "2026-07-01 11:00:00", "7", None, None, "GBP"),
    ]
    assert load.query("SELECT line_number, reason_code FROM lake.raw.rejects") == [
        (3, "missing_field")
    ]
