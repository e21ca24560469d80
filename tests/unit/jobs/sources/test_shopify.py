import csv

import pytest

from jobs.sources.shopify import (
    make_customers_layout,
    make_orders_layout,
    recognises_customers,
    recognises_orders,
)
from tests.unit.jobs.sources.reading import read_rows

LINES, RETURNS, PROFILES, CONSENTS = range(4)
NEEDED = ["Name", "Created at", "Lineitem name", "Lineitem quantity", "Lineitem price"]
CUSTOMERS = ["Email", "Accepts Email Marketing", "Total Spent", "Total Orders"]


def _rows(tmp_path, rows, columns, *, part=LINES, layout=None):
    """Rows of an export with the columns that the rows have."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    path = tmp_path / "export.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
    return read_rows(layout or make_orders_layout(), path, columns, part=part)


def _line(name="#1", **cells):
    return {
        "Name": name,
        "Created at": "2026-01-02 10:00:00 +0100",
        "Lineitem name": "Mug",
        "Lineitem quantity": "1",
        "Lineitem price": "10.00",
    } | {key.replace("_", " "): value for key, value in cells.items()}


def test_make_orders_layout_needs_five_columns(tmp_path):
    rows = _rows(tmp_path, [_line()], "order_line_id, status, user_id, order_discount, reason")

    assert rows == [("shop:#1:1", None, None, None, None)]
    assert {
        column
        for name, column in make_orders_layout().fields.items()
        if name not in make_orders_layout().optional
    } == set(NEEDED)


def test_make_orders_layout_empty_cell_of_the_first_row_is_filled_from_nowhere(tmp_path):
    rows = _rows(
        tmp_path,
        [
            _line("#1", Currency="EUR", Source="web"),
            _line("#2", Currency="", Source="pos"),
            _line("#2", Currency="USD", Source=""),
            _line("#3", Currency="", Source=""),
        ],
        "order_line_id, currency, channel",
    )

    assert rows == [
        ("shop:#1:1", "EUR", "web"),
        ("shop:#2:1", None, "pos"),
        ("shop:#2:2", None, "pos"),
        ("shop:#3:1", None, None),
    ]


def test_make_orders_layout_order_told_twice_has_the_same_ids(tmp_path):
    rows = _rows(
        tmp_path,
        [_line("#1"), _line("#1"), _line("#2"), _line("#1"), _line("#1")],
        "order_line_id",
    )

    assert rows == [
        ("shop:#1:1",),
        ("shop:#1:2",),
        ("shop:#2:1",),
        ("shop:#1:1",),
        ("shop:#1:2",),
    ]


@pytest.mark.parametrize(
    ("told", "of_lines", "left"),
    [
        ("8.00", ("3.00", "1.00"), 4.0),
        ("4.00", ("3.00", "1.00"), 0.0),
        ("1.00", ("3.00", "1.00"), 0.0),
        ("8.00", ("", ""), 8.0),
        ("8.00", ("3.00", "many"), 5.0),
        ("", ("3.00", "1.00"), None),
    ],
)
def test_make_orders_layout_order_discount_is_what_its_lines_do_not_tell(
    tmp_path, told, of_lines, left
):
    rows = _rows(
        tmp_path,
        [
            _line(Discount_Amount=told, Lineitem_discount=of_lines[0]),
            _line(Discount_Amount="", Lineitem_discount=of_lines[1]),
        ],
        "order_discount::DOUBLE",
    )

    assert rows == [(left,), (left,)]


def test_make_orders_layout_discount_that_is_no_number_is_told(tmp_path):
    assert _rows(tmp_path, [_line(Discount_Amount="lots")], "reason") == [
        ("order_discount: expected a number",)
    ]


@pytest.mark.parametrize(
    ("cells", "amount"),
    [
        ({"Financial Status": "refunded", "Refunded Amount": "12.50"}, 12.5),
        ({"Financial Status": "partially_refunded", "Refunded Amount": "0.01"}, 0.01),
        ({"Financial Status": "paid", "Refunded Amount": "0.00"}, None),
        ({"Financial Status": "paid", "Refunded Amount": "-1"}, None),
        ({"Financial Status": "paid", "Refunded Amount": "all"}, None),
        ({"Financial Status": "Voided", "Refunded Amount": "0.00"}, 14.9),
        ({"Financial Status": "expired", "Refunded Amount": ""}, 14.9),
        ({"Financial Status": "pending", "Cancelled at": "2026-01-03 10:00:00 +0100"}, 14.9),
        ({"Financial Status": "pending", "Cancelled at": ""}, None),
        ({"Financial Status": "paid", "Cancelled at": "2026-01-03 10:00:00 +0100"}, None),
    ],
)
def test_make_orders_layout_one_return_for_money_that_is_not_the_shops(tmp_path, cells, amount):
    order = _line(Total="14.90") | cells

    rows = _rows(
        tmp_path,
        [order, _line()],
        "line_type, order_id, item_id, amount::DOUBLE, reason",
        part=RETURNS,
    )

    assert rows == ([("return", "#1", None, amount, None)] if amount else [])


@pytest.mark.parametrize(
    ("cells", "hour"),
    [
        ({"Cancelled at": "2026-01-05 10:00:00 +0100", "Fulfilled at": "2026-01-04 10:00:00 +0100"}, "05 09"),
        ({"Fulfilled at": "2026-01-04 10:00:00 +0100", "Paid at": "2026-01-03 10:00:00 +0100"}, "04 09"),
        ({"Paid at": "2026-01-03 10:00:00 +0100"}, "03 09"),
        ({}, "02 09"),
    ],
)  # fmt: skip
def test_make_orders_layout_return_is_of_the_last_time_that_is_told(tmp_path, cells, hour):
    order = _line(Refunded_Amount="1") | cells

    rows = _rows(tmp_path, [order], "strftime(ordered_at, '%d %H'), order_line_id", part=RETURNS)

    assert rows == [(hour, "shop:#1:return:1.00")]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-02 10:11:12 +0100", "2026-01-02 09:11:12+00"),
        ("2026-01-02 10:11:12 -05:00", "2026-01-02 15:11:12+00"),
        ("2026-01-02 10:11:12 UTC", "2026-01-02 10:11:12+00"),
        ("2026-01-02T10:11:12+01:00", "2026-01-02 09:11:12+00"),
        ("2026-01-02 10:11:12", "2026-01-02 10:11:12+00"),
        ("yesterday", None),
    ],
)
def test_make_orders_layout_times_have_offsets(tmp_path, text, utc):
    assert _rows(tmp_path, [_line(Created_at=text)], "ordered_at::VARCHAR") == [(utc,)]


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ({"Email": " Ada@Example.com "}, "Ada@Example.com"),
        ({"Email": "ada@example.com", "Phone": "+49 30 1"}, "ada@example.com"),
        ({"Email": "", "Phone": "'+49 (30) 90-18"}, "+49309018"),
        ({"Email": "", "Phone": "0049 30 9018"}, "+49309018"),
        ({"Email": "", "Phone": "", "Billing Phone": "030 9018"}, "0309018"),
        ({"Email": "", "Phone": "none"}, None),
    ],
)
def test_make_orders_layout_person_is_an_address(tmp_path, cells, text):
    rows = _rows(tmp_path, [_line() | cells], "user_id")

    assert rows == [(text,)]


@pytest.mark.parametrize(
    ("cells", "is_test"),
    [
        ({"Payment Method": "bogus"}, True),
        ({"Payment Method": "Bogus Gateway (for testing)"}, True),
        ({"Tags": "vip, Test"}, True),
        ({"Tags": "testers, contest"}, False),
        ({}, False),
    ],
)
def test_make_orders_layout_test_orders_are_marked(tmp_path, cells, is_test):
    assert _rows(tmp_path, [_line() | cells], "is_test") == [(is_test,)]


def test_make_orders_layout_place_is_of_one_address(tmp_path):
    order = _line(
        Email="ada@example.com",
        Shipping_Country="de",
        Shipping_Province="",
        Billing_Country="AT",
        Billing_Province="9",
    )

    assert _rows(tmp_path, [order], "country, region") == [("DE", None)]
    assert _rows(
        tmp_path, [order | {"Shipping Country": ""}], "country, region", part=PROFILES
    ) == [("AT", "9")]


def test_make_orders_layout_consent_needs_a_person_and_an_answer(tmp_path):
    rows = _rows(
        tmp_path,
        [
            _line("#1", Email="ada@example.com", Accepts_Marketing="yes"),
            _line("#1", Email="ada@example.com", Accepts_Marketing=""),
            _line("#2", Email="bob@example.com", Accepts_Marketing="no"),
            _line("#3", Email="", Accepts_Marketing="yes"),
            _line("#4", Email="eve@example.com", Accepts_Marketing=""),
        ],
        "user_id, purpose, state, recorded_at::VARCHAR",
        part=CONSENTS,
    )

    assert rows == [
        ("ada@example.com", "marketing", "granted", "2026-01-02 09:00:00+00"),
        ("bob@example.com", "marketing", "denied", "2026-01-02 09:00:00+00"),
    ]


def test_make_orders_layout_separator_in_a_cell_moves_nothing(tmp_path):
    order = _line(Email="ada@example.com", Source="we\x1fb", Currency="EUR")

    assert _rows(tmp_path, [order], "channel, currency") == [("we b", "EUR")]


@pytest.mark.parametrize(
    ("customer", "states"),
    [
        ({"Accepts Email Marketing": "yes", "Accepts SMS Marketing": "no"}, ["granted", "denied"]),
        ({"Accepts Marketing": "yes"}, ["granted", None]),
        ({"Accepts Email Marketing": "", "Accepts SMS Marketing": "yes"}, [None, "granted"]),
    ],
)
def test_make_customers_layout_each_purpose_is_a_consent(tmp_path, customer, states):
    row = {"Email": "ada@example.com"} | customer

    found = [
        _rows(tmp_path, [row], "purpose, state", part=part, layout=make_customers_layout())
        for part in (1, 2)
    ]

    purposes = ("marketing", "sms")
    assert found == [
        [(purpose, state)] if state else [] for purpose, state in zip(purposes, states, strict=True)
    ]


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        ({"Default Address Country Code": "de", "Default Address Province Code": "BE"}, ("DE", "BE")),
        ({"Country Code": "US", "Province Code": "NY"}, ("US", "NY")),
        ({}, (None, None)),
    ],
)  # fmt: skip
def test_make_customers_layout_place_of_old_and_new_exports(tmp_path, cells, place):
    row = {"Email": "ada@example.com"} | cells

    assert _rows(tmp_path, [row], "country, region", layout=make_customers_layout()) == [place]


def test_make_customers_layout_customer_without_a_name_is_passed_over(tmp_path):
    rows = [{"Email": "", "Phone": "", "Accepts Email Marketing": "no"}]

    for part in range(3):
        assert _rows(tmp_path, rows, "*", part=part, layout=make_customers_layout()) == []


@pytest.mark.parametrize(
    ("header", "is_orders", "is_customers"),
    [
        (NEEDED, True, False),
        ([*NEEDED, "Email", "Accepts Marketing"], True, False),
        (NEEDED[1:], False, False),
        (CUSTOMERS, False, True),
        ([name.replace(" Email ", " ") for name in CUSTOMERS], False, True),
        (["Email", "Accepts Marketing"], False, False),
    ],
)
def test_recognises_exports_by_their_header(header, is_orders, is_customers):
    head = [",".join(f'"{name}"' for name in header), "x"]

    assert recognises_orders("export.csv", head) is is_orders
    assert recognises_customers("export.csv", head) is is_customers


@pytest.mark.parametrize("head", [[], dict.fromkeys(NEEDED, "VARCHAR")])
def test_recognises_nothing_without_text(head):
    assert not recognises_orders("export.csv", head)
    assert not recognises_customers("export.csv", head)
