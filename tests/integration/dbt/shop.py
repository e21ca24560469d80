"""A shop of a few literal rows that holds the hard cases, and the two points in time at which it is built."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import polars as pl

from jobs.lake import TABLES, append_rows, create_tables

EARLY = {"as_of": "2026-01-15T00:00:00+00:00", "cutoff_dates": ["2026-01-14"]}
MAIN = {"as_of": "2026-03-01T00:00:00+00:00", "cutoff_dates": ["2026-01-29", "2026-02-28"]}

PHONE, LAPTOP, SHARED = (
    "a-phone",
    "a-laptop",
    "a-shared",
)  # the phone is the id of u1's owner: it was seen first
_LINEAGE = {"model_version": "v1", "run_id": "r1"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _event(event_id: str, event_type: str, when: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "source": "shop",
        "event_type": event_type,
        "occurred_at": at(when),
        "received_at": at(fields.pop("received_at", when)),
        "is_bot": False,
        "file_id": "f1",
        **fields,
    }


EVENTS = [
    # One person, two devices: the phone is linked in January, the laptop not before February.
    _event("e01", "product_view", "2026-01-10 09:00", anonymous_id=PHONE, item_id="i1", price=10.0),
    _event("e02", "login", "2026-01-12 09:00", anonymous_id=PHONE, user_id="u1"),
    _event("e03", "product_view", "2026-01-20 09:00", anonymous_id=LAPTOP, item_id="i2", price=5.0),
    _event("e04", "login", "2026-02-05 20:00", anonymous_id=LAPTOP, user_id="u1"),
    # Two people on one device: nobody can say whose the view was.
    _event("e05", "login", "2026-01-11 10:00", anonymous_id=SHARED, user_id="u2"),
    _event("e06", "login", "2026-01-11 12:00", anonymous_id=SHARED, user_id="u3"),
    _event("e07", "product_view", "2026-01-11 11:00", anonymous_id=SHARED, item_id="i1"),
    # An order that arrives a week late, after a past cut-off.
    _event(
        "e08", "purchase", "2026-01-25 10:00", received_at="2026-02-02 00:00", user_id="u2",
        order_id="o2", item_id="i1", price=10.0,
    ),
    # An order of two lines, one of which comes back in part.
    _event(
        "e09", "purchase", "2026-02-10 10:00", anonymous_id=PHONE, user_id="u1", order_id="o1",
        item_id="i1", price=10.0, quantity=2.0, discount=2.0,
    ),
    _event(
        "e10", "purchase", "2026-02-10 10:00", anonymous_id=PHONE, user_id="u1", order_id="o1",
        item_id="i2", price=5.0,
    ),
    _event(
        "e11", "refund", "2026-02-20 10:00", user_id="u1", order_id="o1", item_id="i1", price=10.0,
        quantity=1.0,
    ),
    # Equal buyers, without order ids.
    _event("e12", "purchase", "2026-02-15 10:00", user_id="u4", item_id="i2", price=5.0),
    _event("e13", "purchase", "2026-02-15 11:00", user_id="u5", item_id="i2", price=5.0),
    # Not known, or not a person.
    _event("e14", "product_view", "2026-03-01 00:00", user_id="u4", item_id="i1"),
    _event("e15", "page_view", "2026-02-01 00:00", anonymous_id="a-bot") | {"is_bot": True},
    _event("e16", "page_view", "2026-02-01 00:00"),
]  # fmt: skip
ITEMS = [
    {"item_id": "i1", "title": "Lamp", "category": "light", "price": 10.0, "is_in_stock": True},
    {"item_id": "i3", "title": "Chair", "category": "seats", "price": 80.0, "is_in_stock": False},
]
CONSENTS = [
    ("u1", "granted", "2026-01-12 09:00"),
    ("u2", "granted", "2026-01-12 09:00"),
    ("u2", "denied", "2026-01-12 09:00"),
    ("u4", "granted", "2026-03-01 00:00"),  # after as_of: history does not know it, exports do
    ("u5", "granted", "2026-01-12 09:00"),
    ("u5", "withdrawn", "2026-03-05 00:00"),
]
DAYS = [date(2026, 2, 14), date(2026, 2, 21), date(2026, 2, 28)]
RULE_MEMBERS = [("u1", DAYS[0]), ("u1", DAYS[2]), ("u2", DAYS[0]), ("u2", DAYS[1]), ("u2", DAYS[2])]


def append(con: duckdb.DuckDBPyConnection, table: str, rows: list[Mapping[str, Any]]) -> None:
    columns = TABLES[table].columns
    full = [{name: row.get(name) for name in columns} for row in rows]
    append_rows(con, table, pl.DataFrame(full, infer_schema_length=None))


def fill_raw(con: duckdb.DuckDBPyConnection) -> None:
    create_tables(con)
    append(con, "raw.events", EVENTS)
    append(
        con,
        "raw.items",
        [
            {"item_record_id": item["item_id"], "source": "shop", "file_id": "f2", **item}
            for item in ITEMS
        ],
    )
    append(
        con,
        "raw.consents",
        [
            {
                "consent_id": f"c{number}", "source": "crm", "user_id": user, "purpose": "marketing", "state": state,
                "recorded_at": at(when), "received_at": at(when), "file_id": "f3", "line_number": number,
            }
            for number, (user, state, when) in enumerate(CONSENTS, start=1)
        ],
    )  # fmt: skip


def fill_ml(con: duckdb.DuckDBPyConnection) -> None:
    rule = {"segment_id": "keen", "segment_name": "Keen", "rule_version": "1", **_LINEAGE}
    append(con, "ml.segments", [rule | {"as_of_date": day} for day in DAYS])
    append(
        con,
        "ml.segment_memberships",
        [
            rule | {"customer_id": customer, "reason": "views a lot", "as_of_date": day}
            for customer, day in RULE_MEMBERS
        ],
    )
    last = {"as_of_date": DAYS[2], "customer_id": PHONE, **_LINEAGE}
    cluster = {"cluster_id": "c1", "cluster_name": "Keen buyers"}
    append(con, "ml.clusters", [last | cluster | {"as_of_date": DAYS[0]}])
    append(con, "ml.customer_clusters", [last | cluster])
    append(
        con, "ml.scores", [last | {"score_name": "purchase_30d", "probability": 0.5, "decile": 10}]
    )
    recommended = last | {"source": "neighbours", "expires_at": at("2026-03-08 00:00")}
    append(
        con,
        "ml.recommendations",
        [
            recommended | {"rank": 1, "item_id": "i3", "reason_code": "popular"},
            recommended
            | {
                "rank": 2,
                "item_id": "i2",
                "reason_code": "because_you_viewed",
                "anchor_item_id": "i1",
            },
            recommended
            | {"rank": 1, "item_id": "i1", "reason_code": "popular", "customer_id": "u5"},
        ],
    )
