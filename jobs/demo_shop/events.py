"""What an event is: its steps, its channels, its columns; and what follows from an order."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from jobs.demo_shop.catalogue import Array
from jobs.demo_shop.customers import DAY_MS, Customers

# Where visits come from: referrer and (source, medium, campaign). Newsletters are numbered after.
CHANNELS: tuple[tuple[str | None, tuple[str, str, str] | None], ...] = (
    (None, None),
    ("https://www.findly.example/", None),
    ("https://www.findly.example/", ("findly", "cpc", "brand")),
    ("https://www.findly.example/", ("findly", "cpc", "generic")),
    ("https://pricehawk.example/deals", ("pricehawk", "affiliate", "comparison")),
    ("https://chirpbook.example/", ("chirpbook", "paid_social", "spring-looks")),
    ("https://chirpbook.example/", ("chirpbook", "social", "community")),
)
FIRST_NEWSLETTER = len(CHANNELS)


class Step(IntEnum):
    """What an event is; up to ORDER also a state of the Markov chain."""

    PAGE = 0
    LIST = 1
    SEARCH = 2
    VIEW = 3
    WISH = 4
    ADD = 5
    REMOVE = 6
    CHECKOUT = 7
    ORDER = 8
    EXIT = 9  # as a target: leave; as a source: arrive
    SIGN_IN = 10
    REFUND = 11
    REVIEW = 12
    EMAIL_OPEN = 13
    EMAIL_CLICK = 14


@dataclass(frozen=True, eq=False)
class Events:
    """Events as arrays of equal length. Times are ms after the first day's midnight."""

    steps: Array
    customers: Array
    devices: Array  # 0 main, 1 second
    visits: Array  # number of the visit from 1; 0 outside of visits
    is_logged_in: Array
    arguments: Array  # item; category of a list; category x type of a search; else 0
    quantities: Array
    orders: Array  # order number from 1; 0 for none
    channels: Array
    is_landing: Array  # first event of its visit
    occurred_ms: Array


def concat_events(first: Events, second: Events) -> Events:
    """Append events."""
    names = Events.__dataclass_fields__
    return Events(*(np.concatenate([getattr(first, n), getattr(second, n)]) for n in names))


def take_events(events: Events, rows: Array | slice) -> Events:
    """Select events by a mask, by row numbers or by a slice."""
    return Events(*(getattr(events, name)[rows] for name in Events.__dataclass_fields__))


def add_aftermath(
    events: Events, customers: Customers, rng: np.random.Generator
) -> tuple[Events, Array]:
    """Add refunds and reviews to the order lines.

    Returns:
        All events, and the discount of each in percent (0 unless an order line).
    """
    lines = np.flatnonzero(events.steps == Step.ORDER)
    who = events.customers[lines]
    percent = np.zeros(len(events.steps), dtype=np.uint8)
    offers = np.array([10, 15, 20, 30], dtype=np.uint8)[rng.integers(0, 4, len(lines))]
    percent[lines] = np.where(rng.random(len(lines)) < customers.discount_rates[who], offers, 0)
    refunds = lines[rng.random(len(lines)) < customers.refund_rates[who]]
    reviews = lines[rng.random(len(lines)) < 0.06]
    extra = np.concatenate([refunds, reviews])
    columns = {name: getattr(events, name)[extra] for name in events.__dataclass_fields__}
    n_refunds = len(refunds)
    columns["steps"][:n_refunds] = Step.REFUND
    columns["steps"][n_refunds:] = Step.REVIEW
    columns["orders"][n_refunds:] = 0
    # A refund gives back one piece or all of them.
    one_piece = rng.random(n_refunds) < 0.4
    columns["quantities"][:n_refunds][one_piece] = 1
    columns["quantities"][n_refunds:] = 0
    columns["is_landing"][:] = False
    columns["channels"][:] = 0
    # A review is written at home, whatever device the order came from.
    columns["visits"][n_refunds:] = 0
    columns["occurred_ms"] += rng.integers(3 * DAY_MS, 21 * DAY_MS, len(extra))
    joined = {
        name: np.concatenate([getattr(events, name), column]) for name, column in columns.items()
    }
    return Events(**joined), np.concatenate([percent, np.zeros(len(extra), dtype=np.uint8)])
