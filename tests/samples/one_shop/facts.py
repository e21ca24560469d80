"""What happened in one small shop, for whoever writes it down: six customers, eight orders, two refunds, some visits."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

CURRENCY = "EUR"
AS_OF = datetime(2026, 4, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Item:
    """A thing on sale."""

    item_id: str
    title: str
    categories: tuple[str, ...]
    brand: str
    price: Decimal


@dataclass(frozen=True)
class Line:
    """Pieces of one item, and what was taken off each of them."""

    item: Item
    quantity: int = 1
    piece_discount: Decimal = Decimal(0)

    @property
    def discount(self) -> Decimal:
        """Off the whole line."""
        return self.piece_discount * self.quantity

    @property
    def paid(self) -> Decimal:
        """For the goods, before any discount on the whole order."""
        return self.item.price * self.quantity - self.discount


@dataclass(frozen=True)
class Order:
    """An order: the discount here is on the order as a whole."""

    order_id: str
    customer: int
    at: datetime
    lines: tuple[Line, ...]
    discount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    shipping: Decimal = Decimal(0)

    @property
    def goods(self) -> Decimal:
        """What the goods cost after all discounts."""
        return sum((line.paid for line in self.lines), Decimal(0)) - self.discount

    @property
    def total(self) -> Decimal:
        """What was paid."""
        return self.goods + self.tax + self.shipping


@dataclass(frozen=True)
class Refund:
    """Pieces that came back; no line where the whole order did."""

    order: Order
    at: datetime
    line: Line | None = None

    @property
    def amount(self) -> Decimal:
        """What was paid back."""
        return self.line.paid if self.line else self.order.total


@dataclass(frozen=True)
class Step:
    """Something a visitor did: `view`, `cart`, `checkout`, or `search` (for `query`)."""

    kind: str
    customer: int
    at: datetime
    line: Line | None = None
    query: str = ""
    is_known: bool = False  # signed in


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


HAT = Item("HAT", "Mütze «Polar»", ("Clothes", "Hats"), "Nordic", Decimal("49.90"))
SCARF = Item("SCARF", "Scarf", ("Clothes", "Scarves"), "Nordic", Decimal("20.00"))
GLOVE = Item("GLOVE", "Glove", ("Clothes", "Gloves"), "Alpina", Decimal("15.00"))
MUG = Item("MUG", 'Mug, "large"', ("Kitchen",), "Potter", Decimal("12.50"))
TEA = Item("TEA", "Tea", ("Kitchen", "Tea"), "Potter", Decimal("7.25"))

ORDERS = (
    Order("#1001", 1, _at("2026-01-05T09:00"), (Line(HAT), Line(SCARF, 2)), discount=Decimal("5.00"),
          tax=Decimal("16.13"), shipping=Decimal("4.90")),
    Order("#1002", 2, _at("2026-01-06T10:30"), (Line(MUG, 4, Decimal("1.00")),), tax=Decimal("8.74")),
    Order("#1003", 1, _at("2026-01-20T18:00"), (Line(GLOVE),), tax=Decimal("2.85"), shipping=Decimal("4.90")),
    Order("#1004", 3, _at("2026-02-02T12:00"), (Line(HAT, 2, Decimal("4.90")), Line(TEA, 3)),
          discount=Decimal("10.00"), tax=Decimal("19.33")),
    Order("#1005", 4, _at("2026-02-10T08:15"), (Line(SCARF), Line(MUG)), tax=Decimal("6.18"), shipping=Decimal("4.90")),
    Order("#1006", 2, _at("2026-02-20T20:45"), (Line(TEA, 10),), discount=Decimal("3.33"), tax=Decimal("13.14")),
    Order("#1007", 5, _at("2026-03-01T07:05"), (Line(GLOVE, 2), Line(TEA)), tax=Decimal("7.08"), shipping=Decimal("4.90")),
    Order("#1008", 3, _at("2026-03-10T16:20"), (Line(HAT),), tax=Decimal("9.48"), shipping=Decimal("4.90")),
)  # fmt: skip

REFUNDS = (
    Refund(ORDERS[4], _at("2026-02-15T09:00")),
    Refund(ORDERS[6], _at("2026-03-05T11:30"), Line(GLOVE, 1)),
)


def _steps_to(order: Order) -> list[Step]:
    """Half an hour before an order nobody knows who looks at its items."""
    steps = [
        Step(kind, order.customer, order.at - timedelta(minutes=minutes, seconds=-number), line)
        for kind, minutes in (("view", 15), ("cart", 10))
        for number, line in enumerate(order.lines)
    ]
    return [*steps, Step("checkout", order.customer, order.at - timedelta(minutes=2))]


STEPS = (
    *(step for order in ORDERS for step in _steps_to(order)),
    Step("search", 6, _at("2026-03-20T21:00"), query="warm hat"),
    Step("view", 6, _at("2026-03-20T21:01"), Line(HAT)),
    Step("cart", 6, _at("2026-03-20T21:02"), Line(HAT), is_known=True),
    Step("view", 6, _at("2026-03-25T06:30"), Line(TEA)),
)
