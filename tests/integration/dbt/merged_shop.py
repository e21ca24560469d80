"""A shop whose tracker, till, e-mail tool, bank and catalogue tell of the same customers, in a few literal rows.

The tracker knows devices only; who bought is known from the shop's own orders. The reporting currency is EUR.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import duckdb

from jobs.lake import create_tables
from tests.integration.dbt.shop import append, at

MERGED = {
    "as_of": "2026-03-01T00:00:00+00:00",
    "cutoff_dates": ["2026-01-30", "2026-02-28"],
    "currency": "EUR",
}
DEVICE, RELOADER, CLOCK = "d-ana", "d-ben", "d-clock"


def _tracked(event_id: str, event_type: str, when: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "source": "tracker",
        "event_type": event_type,
        "occurred_at": at(when),
        "received_at": at(when),
        "is_bot": False,
        "file_id": "events",
        **fields,
    }


def _bought(event_id: str, when: str, device: str, **fields: Any) -> dict[str, Any]:
    return _tracked(event_id, "purchase", when, anonymous_id=device, **fields)


def _told(order_line_id: str, order_id: str, line_type: str, when: str, **fields: Any) -> dict:
    return {
        "order_line_id": order_line_id,
        "source": "till",
        "order_id": order_id,
        "line_type": line_type,
        "ordered_at": at(when),
        "received_at": at(fields.pop("received_at", when)),
        "user_id": "ana",
        "file_id": "orders-1",
        **fields,
    }


_O1 = {"currency": "USD", "order_discount": 3.0, "order_tax": 4.0, "order_shipping": 5.0}
_LAMP = {"item_id": "lamp", "price": 20.0, "currency": "USD"}
_BULB = {"item_id": "bulb", "price": 5.0, "quantity": 2.0, "currency": "USD"}

EVENTS = [
    # Ana looks and buys on a device that nobody ever signed in on.
    _tracked(
        "t01", "product_view", "2026-01-10 10:00", anonymous_id=DEVICE, title="Lamp, old", **_LAMP
    ),
    _tracked(
        "t02", "product_view", "2026-01-10 10:02", anonymous_id=DEVICE, item_id="vase", title="Vase"
    ),
    _tracked("t03", "begin_checkout", "2026-01-10 10:05", anonymous_id=DEVICE),
    _bought("t04", "2026-01-10 10:06", DEVICE, order_id="o1", **_LAMP),
    _bought("t05", "2026-01-10 10:06", DEVICE, order_id="o1", **_BULB),
    # The confirmation page is loaded again; the shop knows nothing of this.
    _bought("t06", "2026-01-10 10:20", DEVICE, order_id="o1", **_LAMP),
    _bought("t07", "2026-01-10 10:20", DEVICE, order_id="o1", **_BULB),
    # Somebody tries the shop out.
    _bought("t08", "2026-01-11 10:00", "d-staff", order_id="o3", item_id="lamp", price=20.0),
    # A tracker without order ids fires twice, then an order is told again a day later.
    _bought("t09", "2026-01-12 10:00:00", RELOADER, item_id="vase", price=7.0),
    _bought("t10", "2026-01-12 10:00:01", RELOADER, item_id="vase", price=7.0),
    _bought("t11", "2026-01-13 10:00", RELOADER, order_id="o5", item_id="vase", price=7.0),
    _bought("t12", "2026-01-14 10:00", RELOADER, order_id="o5", item_id="vase", price=7.0),
    # Nobody knows what a zloty is worth.
    _bought("t13", "2026-01-20 10:00", RELOADER, order_id="o6", price=50.0, currency="PLN"),
    # A crawler that waits a minute between pages.
    *(
        _tracked(f"c{n:02}", "page_view", f"2026-01-15 10:{n:02}:07", anonymous_id=CLOCK)
        for n in range(31)
    ),
]
ORDERS = [
    _told(
        "s01", "o1", "sale", "2026-01-10 10:06:30", received_at="2026-01-31 12:00", item_id="lamp",
        amount=20.0, **_O1,
    ),
    _told(
        "s02", "o1", "sale", "2026-01-10 10:06:30", received_at="2026-01-31 12:00", item_id="bulb",
        amount=10.0, quantity=2.0, **_O1,
    ),
    # Each export tells anew what has been given back; the dollar has fallen since.
    _told("s03", "o1", "return", "2026-02-10 10:00", amount=5.0, currency="USD", user_id=None),
    _told(
        "s04", "o1", "return", "2026-02-10 10:00", amount=8.0, currency="USD", user_id=None,
        file_id="orders-2",
    ),
    _told("s05", "o1", "adjustment", "2026-02-11 10:00", amount=-100.0),
    # At the counter, with nothing to pay; then the staff's trial.
    _told("s06", "o2", "sale", "2026-02-20 15:00", item_id="bulb", price=0.0),
    _told("s07", "o3", "sale", "2026-01-11 10:00", item_id="lamp", price=20.0, is_test=True),
]  # fmt: skip
RATES = [("USD", "2026-01-01", 0.9), ("USD", "2026-02-01", 0.8)]
ROWS: dict[str, list[Mapping[str, Any]]] = {
    "raw.events": EVENTS,
    "raw.orders": ORDERS,
    "raw.files": [
        {
            "file_id": file_id, "source": "till", "entity": entity, "path": f"{file_id}.csv",
            "delivery": f"{file_id}.csv", "sha256": file_id, "state": "loaded", "loaded_at": at(loaded),
        }
        for file_id, entity, loaded in [
            ("orders-1", "orders", "2026-02-11"), ("orders-1", "profiles", "2026-02-12"),
            ("orders-2", "orders", "2026-02-11 12:00"),
        ]
    ],
    "raw.exchange_rates": [
        {
            "exchange_rate_id": f"r{n}", "source": "bank", "currency": currency,
            "valid_from": at(day), "rate": rate, "file_id": "rates",
        }
        for n, (currency, day, rate) in enumerate(RATES)
    ],
    "raw.messages": [
        {
            "message_event_id": f"m-{what}", "source": "mailer", "message_type": what, "medium": "email",
            "occurred_at": at("2026-01-25 08:00"), "user_id": "ana", "file_id": "messages",
        }
        for what in ("sent", "open", "click")
    ],
    "raw.feedback": [
        {
            "feedback_id": "f1", "source": "web", "feedback_type": "click", "item_id": "vase", "rank": 1,
            "occurred_at": at("2026-01-10 10:01"), "anonymous_id": DEVICE, "file_id": "feedback",
        }
    ],
    "raw.exposures": [
        {
            "exposure_id": "x1", "source": "web", "experiment_id": "colour", "variant_id": "red",
            "occurred_at": at("2026-01-10 10:00"), "anonymous_id": DEVICE, "file_id": "exposures",
        }
    ],
    "raw.consents": [
        {
            "consent_id": "k1", "source": "web", "anonymous_id": DEVICE, "purpose": "marketing",
            "state": "granted", "recorded_at": at("2026-01-10 10:00"), "file_id": "consents",
        }
    ],
    "raw.items": [
        {
            "item_record_id": "i1", "source": "erp", "item_id": "lamp", "title": "Lamp", "price": 30.0,
            "currency": "USD", "category": "c2", "valid_from": at("2026-02-01"), "file_id": "items",
        },
        {
            "item_record_id": "i2", "source": "erp", "item_id": "lamp", "title": "Lamp, next year's",
            "valid_from": at("2027-01-01"), "file_id": "items",
        },
    ],
    "raw.item_properties": [
        {
            "item_property_id": f"p-{name}-{value}", "source": "erp", "item_id": "bulb",
            "property": name, "value": value, "valid_from": at(day), "file_id": "properties",
        }
        for name, value, day in [
            ("price", "4", "2026-01-01"), ("price", "6", "2026-02-01"), ("price", "9", "2026-04-01"),
            ("is_in_stock", "0", "2026-01-01"), ("title", "Bulb", "2026-01-01"),
        ]
    ],
    "raw.categories": [
        {
            "category_record_id": child, "source": "erp", "category_id": child,
            "parent_category_id": parent, "category_name": name, "file_id": "categories",
        }
        for child, parent, name in [("c1", None, "Home"), ("c2", "c1", "Light"), ("c3", "c3", "Self")]
    ],
    "ops.changed_days": [
        {
            "source": "tracker", "entity": "events", "day": date(2026, 1, 10), "is_late": True,
            "changed_at": datetime.fromisoformat("2026-01-20T06:00:00+00:00"),
        }
    ],
}  # fmt: skip


def fill(con: duckdb.DuckDBPyConnection) -> None:
    create_tables(con)
    for table, rows in ROWS.items():
        append(con, table, rows)
