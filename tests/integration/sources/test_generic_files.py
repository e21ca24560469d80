"""Mapping files: Parquet, text by a pattern, lists in a record, money and time as the source writes them."""

from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import pytest

pytestmark = pytest.mark.integration


def test_parquet_rows_are_read_by_name(deployment):
    deployment.configure(
        "name: shop, path: '*.parquet', mapping: orders.yml, currency: GBP",
        orders="""
        file_type: parquet
        entity: orders
        time_zone: Europe/London
        columns: {order_id: InvoiceNo, ordered_at: When, user_id: CustomerID, item_id: Stock.code, price: Price, quantity: Pieces}
        """,
    )
    duckdb.execute(
        f"""
        COPY (FROM (VALUES
            ('A1', TIMESTAMP '2026-06-01 12:30:00', 7, {{'code': 'mug'}}, 2.55::DOUBLE, 6),
            ('C2', TIMESTAMP '2026-06-02 12:30:00', 7, {{'code': 'mug'}}, 2.55, -1),
            ('A3', TIMESTAMP '2026-01-02 12:30:00', NULL, NULL, -11.5, 1),
            ('A4', TIMESTAMP '2026-01-02 12:30:00', 9, NULL, 'nan'::DOUBLE, 1)
        ) AS t (InvoiceNo, "When", CustomerID, Stock, Price, Pieces))
        TO '{deployment.folder}/orders.parquet'
        """
    )

    deployment.extract()

    assert deployment.query(
        "SELECT order_id, line_type, ordered_at, user_id, item_id, price, quantity, currency, line_number "
        "FROM raw.orders ORDER BY line_number"
    ) == [
        ("A1", "sale", datetime(2026, 6, 1, 11, 30, tzinfo=UTC), "7", "mug", Decimal("2.55"), 6, "GBP", 1),
        ("C2", "return", datetime(2026, 6, 2, 11, 30, tzinfo=UTC), "7", "mug", Decimal("2.55"), 1, "GBP", 2),
        ("A3", "adjustment", datetime(2026, 1, 2, 12, 30, tzinfo=UTC), None, None, Decimal("-11.5"), 1, "GBP", 3),
    ]  # fmt: skip
    assert deployment.query("SELECT line_number, reason_code FROM raw.rejects") == [(4, "bad_type")]


def test_text_lines_are_read_by_the_groups_of_a_pattern(deployment):
    deployment.configure(
        "name: cds, path: '*.txt', mapping: lines.yml",
        lines=r"""
        file_type: text
        entity: orders
        skipped_lines: 1
        pattern: ' *(?P<who>\d+) +(?P<day>\d{8}) +(?P<pieces>\d+) +(?P<value>[\d.]+) *'
        time_format: '%Y%m%d'
        columns: {order_id: [day], ordered_at: day, user_id: who, quantity: pieces, amount: value}
        """,
    )
    deployment.write(
        "a.txt",
        " who  day n value\n 00001 19970101  2   11.77\n\n oops\n 00002 19970112  1   12.00",
    )

    result = deployment.extract()

    assert (result.rows, result.loaded, result.rejected) == (3, 2, 1)
    assert deployment.query(
        "SELECT user_id, ordered_at, quantity, amount, line_number FROM raw.orders ORDER BY line_number"
    ) == [
        ("00001", datetime(1997, 1, 1, tzinfo=UTC), 2, Decimal("11.77"), 2),
        ("00002", datetime(1997, 1, 12, tzinfo=UTC), 1, Decimal("12.00"), 5),
    ]
    assert deployment.query("SELECT line_number, reason_code FROM raw.rejects") == [
        (4, "malformed")
    ]


def test_each_element_of_a_list_is_a_row(deployment):
    deployment.configure(
        "name: shop, path: '*.jsonl', mapping: orders.yml",
        orders="""
        file_type: jsonl
        each: lines
        columns:
          event_id: id
          occurred_at: at
          event_type: what
          order_id: id
          item_id: each.sku
          price: each.price.amount
          quantity: each.n
        event_names: {sold: purchase}
        """,
    )
    deployment.write(
        "a.jsonl",
        '{"id":"7","at":"2026-06-01T10:00:00Z","what":"sold","lines":[{"sku":"a","price":{"amount":1.5},"n":2},{"sku":"b","price":3}]}\n'
        '{"id":"8","at":"2026-06-01T10:00:00Z","what":"sold","lines":[]}\n'
        '{"id":"9","at":"2026-06-01T10:00:00Z","what":"sold","lines":{"sku":"c"}}\n',
    )

    result = deployment.extract()

    assert (result.rows, result.loaded) == (4, 4)
    assert deployment.query(
        "SELECT event_id, item_id, price, quantity, line_number FROM raw.events ORDER BY 1"
    ) == [
        ("shop:7:1", "a", Decimal("1.5"), 2, 1),
        ("shop:7:2", "b", None, None, 1),
        ("shop:8", None, None, None, 2),
        ("shop:9", None, None, None, 3),
    ]


@pytest.mark.parametrize(
    "told",
    ["1767261600", "1767261600000", "1767261600000000", "1767261600000000000", "1767261600.0"],
)
def test_epochs_of_every_unit_are_told_apart(deployment, told):
    _load_time(deployment, told, "time_format: epoch")

    assert deployment.query("SELECT occurred_at FROM raw.events") == [
        (datetime(2026, 1, 1, 10, tzinfo=UTC),)
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        # Clocks go from 2:00 to 3:00: a time between is read by the clock before the change,
        ("2026-03-29 02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-03-29 03:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        # and a time that comes twice by the clock after it.
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2026-10-25 02:30:00+02:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25T02:30Z", datetime(2026, 10, 25, 2, 30, tzinfo=UTC)),
    ],
)
def test_local_times_of_a_clock_change_have_one_meaning(deployment, told, expected):
    # The run is later than the time that is told.
    _load_time(deployment, told, "time_zone: Europe/Berlin", datetime(2026, 12, 1, tzinfo=UTC))

    assert deployment.query("SELECT occurred_at FROM raw.events") == [(expected,)]


def _load_time(deployment, told, setting, started_at=datetime(2026, 7, 1, tzinfo=UTC)):
    deployment.configure(
        "name: web, path: '*.jsonl', mapping: events.yml",
        events=f"""
        file_type: jsonl
        {setting}
        columns: {{occurred_at: at, event_type: what}}
        event_names: {{view: product_view}}
        """,
    )
    deployment.write("a.jsonl", f'{{"at":"{told}","what":"view"}}\n')
    deployment.extract(started_at=started_at)


def test_decimal_comma_delimiter_encoding_and_values_are_the_sources_own(deployment):
    deployment.configure(
        "name: crm, path: '*.csv', mapping: items.yml",
        items="""
        file_type: csv
        entity: items
        delimiter: ';'
        encoding: latin-1
        decimal_mark: ','
        columns: {item_id: Nr, title: Name, price: Preis, is_in_stock: Lager}
        values: {is_in_stock: {ja: 'true', nein: 'false'}}
        constants: {currency: EUR}
        """,
    )
    deployment.write(
        "a.csv", "Nr;Name;Preis;Lager\n1;Käse;1.234,50;ja\n2;Brot;0,333333;nein\n".encode("latin-1")
    )

    deployment.extract()

    assert deployment.query("SELECT title, price, is_in_stock FROM raw.items ORDER BY item_id") == [
        ("Käse", Decimal("1234.5"), True),
        ("Brot", Decimal("0.333333"), False),
    ]


def test_columns_without_a_header_line_are_named_by_the_mapping(deployment):
    deployment.configure(
        "name: crm, path: '*.csv', mapping: items.yml",
        items="""
        file_type: csv
        entity: items
        header: [number, name, since, price]
        columns: {item_id: number, title: name, price: price}
        """,
    )
    deployment.write("a.csv", "1,Cheese,2025,3.50\n2,Bread\n3,Wine,2024,x\n4,Beer,2023,2\n")

    result = deployment.extract()

    assert (result.rows, result.loaded, result.rejected) == (4, 2, 2)
    assert deployment.query("SELECT item_id, title, price FROM raw.items ORDER BY item_id") == [
        ("1", "Cheese", Decimal("3.5")),
        ("4", "Beer", Decimal(2)),
    ]
    assert deployment.query(
        "SELECT line_number, reason_code FROM raw.rejects ORDER BY line_number"
    ) == [(2, "malformed"), (3, "bad_type")]


def test_canonical_records_need_no_mapping(deployment):
    deployment.configure("name: rates, path: '*.jsonl', format: canonical, entity: exchange_rates")
    deployment.write(
        "a.jsonl",
        '{"currency":"usd","valid_from":"2026-06-01","rate":0.91234567}\n{"currency":"USD"}\n',
    )

    deployment.extract()

    assert deployment.query("SELECT currency, valid_from, rate FROM raw.exchange_rates") == [
        ("USD", datetime(2026, 6, 1, tzinfo=UTC), Decimal("0.91234567"))
    ]
    assert deployment.query("SELECT reason_code FROM raw.rejects") == [("missing_field",)]


def test_state_told_again_after_another_counts_anew(deployment):
    deployment.configure(
        "name: shop, path: '*.csv', mapping: items.yml",
        items="""
        file_type: csv
        entity: items
        columns: {item_id: sku, price: price}
        """,
    )
    for price in (1, 2, 1):
        deployment.write("items.csv", f"sku,price\na,{price}\na,{price}\n")
        deployment.extract()

    assert deployment.query("SELECT price FROM raw.items ORDER BY rowid") == [(1,), (2,), (1,)]
    assert deployment.query("SELECT sum(count_duplicates) FROM raw.files") == [(3,)]
