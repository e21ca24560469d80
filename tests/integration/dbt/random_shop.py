"""A shop of random rows, the same for a seed: everything that can change what was computed before, in batches as sources tell it.

Devices that are linked late, shared ones, two devices in one order, late and withdrawn files, orders that the till tells after the
tracker, returns, actors that turn out to be bots, refusals, items that are described late, rates of exchange, clocks that run ahead.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import duckdb

from jobs.lake import create_tables
from tests.integration.dbt.shop import append

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
N_DAYS = 100
N_PEOPLE = 40
N_ITEMS = 25
CATEGORIES = ["light", "seats", "rugs", "tables"]
PAGES = ["product_view", "product_view", "product_view", "list_view", "search", "page_view"]
KIOSK = "d-kiosk"


@dataclass
class Rows:
    """Rows by table, and the file that each came in."""

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: str, **row: Any) -> None:
        self.tables.setdefault(table, []).append(row)

    def until(self, end: datetime, after: datetime | None = None) -> "Rows":
        """What was received by `end`, and later than `after`; what has no time is there from the beginning."""
        kept = Rows()
        for table, rows in self.tables.items():
            for row in rows:
                known_at = row["received_at"]
                is_old = after is not None and (known_at is None or known_at <= after)
                if not is_old and (known_at is None or known_at <= end):
                    kept.add(table, **row)
        return kept

    def put(self, con: duckdb.DuckDBPyConnection) -> None:
        """Append to the lake's tables."""
        create_tables(con)
        for table, rows in self.tables.items():
            append(con, table, rows)


def _day_file(entity: str, received_at: datetime) -> str:
    return f"{entity}-{received_at:%m-%d}"


def make_shop(seed: int, n_days: int = N_DAYS) -> Rows:
    """The rows of a shop, in the order of their telling."""
    draw = Random(seed)
    rows = Rows()
    number = iter(range(10**9))
    end = FIRST_DAY + timedelta(days=n_days)

    def event(
        event_type: str, at: datetime, device: str | None, user: str | None, **fields: Any
    ) -> None:
        late = (
            timedelta(days=draw.randint(1, 20))
            if draw.random() < 0.03
            else timedelta(seconds=draw.randint(-2, 30))
        )
        received_at = max(at + late, FIRST_DAY)
        item = fields.get("item_id")
        rows.add(
            "raw.events",
            event_id=f"e{next(number):06}", source="web", event_type=event_type, occurred_at=at, received_at=received_at,
            anonymous_id=device, user_id=user, file_id=_day_file("events", received_at), is_bot=draw.random() < 0.01,
            device=draw.choice(["mobile", "desktop", None]), channel=draw.choice(["email", "search", None]),
            campaign=draw.choice([None, None, "spring"]), country=draw.choice(["DE", "US", None]),
            url_path=f"/item/{item}" if item else "/",
            # Half of the items are described by their events alone.
            category=CATEGORIES[int(item[1:]) % 4] if item and int(item[1:]) % 2 and draw.random() < 0.7 else None,
            brand="acme" if item and draw.random() < 0.5 else None,
            **fields,
        )  # fmt: skip

    for person in range(N_PEOPLE):
        _live(draw, event, rows, person, end, number)
    for minute in range(
        150
    ):  # somebody who turns out to be no person, months after the first visit
        at = end - timedelta(days=5) + timedelta(milliseconds=300 * minute)
        event("page_view", at, "d-fast", None)
    event("product_view", FIRST_DAY + timedelta(days=10), "d-fast", None, item_id="i3", price=10.0)
    _describe_items(draw, rows, end)
    for day in range(0, n_days, 7):
        at = FIRST_DAY + timedelta(days=day)
        rows.add(
            "raw.exchange_rates", exchange_rate_id=f"x{day}", source="bank", file_id=_day_file("rates", at), line_number=day + 1, currency="USD",
            valid_from=at, rate=1 + draw.randint(-20, 20) / 100, received_at=at,
        )  # fmt: skip
    return rows


def _live(
    draw: Random, event: Callable[..., None], rows: Rows, person: int, end: datetime, number: Any
) -> None:
    devices = [f"d-{person}-{each}" for each in range(draw.choice([1, 1, 2]))]
    if draw.random() < 0.15:
        devices.append(KIOSK)
    user = f"u{person}" if draw.random() < 0.6 else None
    signs_in_from = FIRST_DAY + timedelta(days=draw.randint(0, 99))
    at = FIRST_DAY + timedelta(minutes=draw.randint(0, 60 * 24 * 60))
    while at < end:
        device = draw.choice(devices)
        is_known = user is not None and (at >= signs_in_from or device == KIOSK)
        if is_known and draw.random() < 0.7:
            event("login", at, device, user)
        for _ in range(draw.randint(1, 6)):
            at += timedelta(seconds=draw.choice([20, 200, 1799, 1800, 1801]))
            item, price = f"i{draw.randint(0, N_ITEMS - 1)}", draw.randint(1, 9000) / 100
            kind = draw.choice(PAGES)
            fields = {} if kind in ("search", "page_view") else {"item_id": item, "price": price}
            event(kind, at, device, user if is_known and draw.random() < 0.5 else None, **fields)
            if draw.random() < 0.3 and fields:
                at += timedelta(seconds=5)
                event("add_to_cart", at, device, None, **fields)
                if draw.random() < 0.5:
                    at += timedelta(seconds=60)
                    _buy(draw, event, rows, at, device, user if is_known else None, fields, number)
        if user and draw.random() < 0.2:
            rows.add(
                "raw.messages", message_event_id=f"m{next(number)}", source="mail", message_type=draw.choice(["open", "click"]),
                medium="email", occurred_at=at, received_at=at, user_id=user, file_id=_day_file("messages", at),
            )  # fmt: skip
        if user and draw.random() < 0.03:
            rows.add(
                "raw.consents", consent_id=f"c{next(number)}", source="crm", user_id=user,
                purpose=draw.choice(["analytics", "marketing"]), state=draw.choice(["granted", "denied"]), recorded_at=at,
                received_at=at, file_id=_day_file("consents", at), line_number=1,
            )  # fmt: skip
        at += timedelta(minutes=draw.randint(20, 60 * 24 * 12))


def _buy(
    draw: Random, event: Callable[..., None], rows: Rows, at: datetime, device: str, user: str | None, fields: dict[str, Any],
    number: Any,
) -> None:  # fmt: skip
    order = f"o{next(number)}" if draw.random() < 0.8 else None
    currency = draw.choice(["EUR", "EUR", "USD"])
    for _ in range(draw.choice([1, 1, 2])):  # told twice
        event(
            "purchase", at, device, user, order_id=order, currency=currency, quantity=2.0, **fields
        )
        at += timedelta(milliseconds=400)
    if order and draw.random() < 0.4:
        told_at = at + timedelta(days=draw.randint(0, 9))
        line = {
            "source": "till", "order_id": order, "currency": currency, "item_id": fields["item_id"], "quantity": 2.0,
            "price": fields["price"], "order_discount": 1.0, "received_at": told_at, "user_id": user,
            "file_id": _day_file("orders", told_at), "is_test": draw.random() < 0.05,
        }  # fmt: skip
        rows.add(
            "raw.orders", order_line_id=f"l{next(number)}", line_type="sale", ordered_at=at, **line
        )
        if draw.random() < 0.3:
            back_at = told_at + timedelta(days=draw.randint(1, 20))
            back = line | {
                "received_at": back_at,
                "file_id": _day_file("orders", back_at),
                "quantity": 1.0,
            }
            rows.add(
                "raw.orders",
                order_line_id=f"l{next(number)}",
                line_type="return",
                ordered_at=back_at,
                **back,
            )
    elif draw.random() < 0.2:
        event(
            "refund",
            at + timedelta(days=draw.randint(1, 30)),
            device,
            user,
            order_id=order,
            quantity=1.0,
            **fields,
        )


def _describe_items(draw: Random, rows: Rows, end: datetime) -> None:
    for number in range(0, N_ITEMS, 2):
        for version in range(draw.choice([1, 1, 2])):
            days = draw.randint(0, (end - FIRST_DAY).days - 1)
            known_at = (
                None if not version and number % 4 else FIRST_DAY + timedelta(days=days, hours=7)
            )
            rows.add(
                "raw.items", item_record_id=f"r{number}-{version}", source="shop", item_id=f"i{number}", title=f"Item {number}",
                category=CATEGORIES[(number + version) % 4], brand=draw.choice(["acme", "best", None]),
                price=draw.randint(1, 9000) / 100, currency="EUR", received_at=known_at, file_id=f"items-{version}",
                line_number=number + 1,
            )  # fmt: skip
