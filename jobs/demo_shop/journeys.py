"""What customers do: visits as Markov chains, week after week, with memory between the weeks.

Inputs: catalogue and customers. Output: one row per event, `days 0 .. n_days + truth_days`.
The loop runs over weeks and over the steps of a visit, never over events: each step moves all
visits of the week that are still under way. Between weeks a customer remembers the cart left
behind, the item that completes the last purchase, the refill that runs out, and the intent to buy.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jobs.demo_shop.catalogue import ALWAYS, N_CATEGORIES, N_TYPES, Array, Catalogue, draw_table
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.customers import (
    ARCHETYPES,
    DAY_MS,
    N_PROPENSITIES,
    ONE_TIMER,
    Customers,
)
from jobs.demo_shop.events import FIRST_NEWSLETTER, Events, Step
from jobs.demo_shop.transitions import N_STATES, transition_tables

MAX_STEPS = 45  # fewer than one visit in 10,000 is still under way; cut it there
CART_SLOTS = 4
WANTING_ENDS = 0.4  # chance a week that an intent to buy fades
MAIL_DAY = 1  # Tuesday, counted from Monday


_CHANNEL_DRAWS = draw_table(np.array([0.34, 0.24, 0.11, 0.09, 0.08, 0.08, 0.06]), 64)
# Quarter-hours of the day (UTC) for people of the day, of the evening and of the late evening.
_QUARTERS = np.arange(96) / 4
_DAYPARTS = np.stack(
    [
        draw_table(0.05 + np.exp(-(((_QUARTERS - peak) / width) ** 2)) * (_QUARTERS > 4), 1024)
        for peak, width in ((12.5, 4.0), (18.5, 3.5), (20.5, 2.5))
    ]
)
_WEEKDAYS = draw_table(np.array([0.14, 0.13, 0.13, 0.13, 0.13, 0.16, 0.18]), 256)
_SLOTS = draw_table(np.array([0.34, 0.24, 0.16, 0.12, 0.08, 0.06]), 64)
# Between two steps: skewed, median 25 s, at most 8 min, so a visit never looks like two.
_GAPS_MS = (25_000 * np.exp(np.linspace(-2.2, 2.6, 256) ** 3 / 8)).clip(1_500, 480_000).astype(int)


@dataclass(eq=False)
class _Memory:
    """What a customer carries from week to week; arrays of shape (n_customers,)."""

    wanting: Array
    has_bought: Array
    abandoned: Array  # item left in a cart, -1 for none
    completing: Array  # item that completes the last purchase, -1 for none
    refill: Array  # consumable bought last, -1 for none
    refill_days: Array  # day on which it runs out
    signed_up_ms: Array
    knows_device: Array  # shape (n_customers, 2): signed in there before
    count_orders: int = 0
    count_visits: int = 0
    parts: list[tuple[Array, ...]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Visits:
    """The visits of one week; arrays of shape (n_visits,)."""

    customers: Array
    starts_ms: Array
    channels: Array
    devices: Array
    numbers: Array  # from 1, over all weeks


def simulate_journeys(
    config: DemoShopConfig,
    catalogue: Catalogue,
    customers: Customers,
    rng: np.random.Generator,
    on_week: Callable[[int, int], None] | None = None,
) -> tuple[Events, Array]:
    """Simulate `n_days + truth_days` days.

    Returns:
        The events, in no particular order, and the time of each customer's sign-up in ms after the
        first midnight: negative for accounts older than the logs, `NEVER_MS` for none.
    """
    memory = _new_memory(customers)
    tables = transition_tables()
    n_days = config.n_days + config.truth_days
    n_weeks = -(-n_days // 7)
    for week in range(n_weeks):
        memory.wanting = _next_wanting(memory, customers, rng)
        visits = _start_visits(config, week, memory, customers, rng)
        _walk(visits, tables, memory, catalogue, customers, rng)
        if on_week is not None:
            on_week(week + 1, n_weeks)
    events = Events(*(np.concatenate(column) for column in zip(*memory.parts, strict=True)))
    return events, memory.signed_up_ms


def _new_memory(customers: Customers) -> _Memory:
    n = len(customers)
    known = customers.sign_up_ms < 0
    return _Memory(
        wanting=np.zeros(n, dtype=bool),
        has_bought=np.zeros(n, dtype=bool),
        abandoned=np.full(n, -1),
        completing=np.full(n, -1),
        refill=np.full(n, -1),
        refill_days=np.full(n, ALWAYS),
        signed_up_ms=customers.sign_up_ms.copy(),
        knows_device=np.stack([known & (np.arange(n) % 5 < 3), np.zeros(n, dtype=bool)], axis=1),
    )


def _next_wanting(memory: _Memory, customers: Customers, rng: np.random.Generator) -> Array:
    """Move the latent intent one week on; a full cart left behind keeps it alive."""
    begins = np.array([a.wanting_rate for a in ARCHETYPES])[customers.archetypes]
    begins = np.where(memory.abandoned >= 0, begins + 0.15, begins)
    ends = np.where(memory.abandoned >= 0, WANTING_ENDS * 0.6, WANTING_ENDS)
    draw = rng.random(len(customers))
    return np.where(memory.wanting, draw >= ends, draw < begins)


def _start_visits(
    config: DemoShopConfig,
    week: int,
    memory: _Memory,
    customers: Customers,
    rng: np.random.Generator,
) -> _Visits:
    first_weekday = config.first_day.weekday()
    rate = customers.sessions_per_week * np.where(memory.wanting, 1.7, 0.8)
    rate = rate * _season(config, week)
    # An item that runs out brings people back; a one-timer who has bought does not come back.
    rate = rate * np.where(memory.refill_days < week * 7 + 7, 1.2, 1.0)
    gone = (customers.archetypes == ONE_TIMER) & memory.has_bought
    who = np.repeat(np.arange(len(customers)), rng.poisson(np.where(gone, 0.03 * rate, rate)))
    n = len(who)
    days = week * 7 + (_WEEKDAYS[rng.integers(0, 256, n)] - first_weekday) % 7
    quarters = _DAYPARTS[customers.dayparts[who], rng.integers(0, 1024, n)]
    starts = days * DAY_MS + quarters * 900_000 + rng.integers(0, 900_000, n)
    channels = _CHANNEL_DRAWS[rng.integers(0, 64, n)]
    clickers, clicked_ms = _send_newsletter(config, week, memory, customers, rng)
    who = np.concatenate([who, clickers])
    days = np.concatenate([days, clicked_ms // DAY_MS])
    starts = np.concatenate([starts, clicked_ms + 3_000])
    channels = np.concatenate([channels, np.full(len(clickers), FIRST_NEWSLETTER + week)])
    # The lapsed do not stop dead: a few of their visits after the last day happen all the same.
    stays = (days < customers.stop_days[who]) | (rng.random(len(who)) < 0.03)
    keep = (days >= customers.first_days[who]) & stays
    keep &= days < config.n_days + config.truth_days
    second = customers.has_second_device[who] & (rng.random(len(who)) < 0.35)
    numbers = memory.count_visits + 1 + np.arange(keep.sum(), dtype=np.int32)
    memory.count_visits += len(numbers)
    return _Visits(who[keep], starts[keep], channels[keep], second[keep].astype(np.uint8), numbers)


def _season(config: DemoShopConfig, week: int) -> float:
    """Return a mild yearly wave with its top in December."""
    day_of_year = config.first_day.timetuple().tm_yday + week * 7
    return float(1 + 0.12 * np.cos(2 * np.pi * (day_of_year - 350) / 365.25))


def _send_newsletter(
    config: DemoShopConfig,
    week: int,
    memory: _Memory,
    customers: Customers,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Record opens and clicks of the week's newsletter; return who clicked and when."""
    day = week * 7 + (MAIL_DAY - config.first_day.weekday()) % 7
    reached = (memory.signed_up_ms < day * DAY_MS) & customers.accepts_mail(day)
    # Who no longer shops still opens a newsletter now and then.
    open_rates = customers.email_open_rates * np.where(day < customers.stop_days, 1.0, 0.3)
    opens = reached & (rng.random(len(customers)) < open_rates)
    who = np.flatnonzero(opens)
    delay = rng.exponential(5 * 3_600_000, len(who)).clip(60_000, 5 * DAY_MS).astype(np.int64)
    opened_ms = day * DAY_MS + 8 * 3_600_000 + delay
    clicks = rng.random(len(who)) < np.where(memory.wanting[who], 0.30, 0.12)
    clicked_ms = opened_ms[clicks] + rng.integers(4_000, 60_000, clicks.sum())
    for step, people, times in (
        (Step.EMAIL_OPEN, who, opened_ms),
        (Step.EMAIL_CLICK, who[clicks], clicked_ms),
    ):
        zeros = np.zeros(len(people), dtype=np.int64)
        channel = zeros + FIRST_NEWSLETTER + week
        memory.parts.append(
            _part(
                step,
                people,
                zeros,
                zeros,
                zeros > -1,
                zeros,
                zeros,
                zeros,
                channel,
                zeros > 0,
                times,
            )
        )
    return who[clicks], clicked_ms


def _part(step: int | Array, customers: Array, *columns: Array) -> tuple[Array, ...]:
    """Return one batch of events in the order of the fields of `Events`, in compact types."""
    dtypes = (
        np.uint8,
        np.int32,
        np.bool_,
        np.int32,
        np.uint8,
        np.int32,
        np.int16,
        np.bool_,
        np.int64,
    )
    steps = np.full(len(customers), step, dtype=np.uint8)
    compact: list[Array] = [
        np.asarray(column, dtype=t) for column, t in zip(columns, dtypes, strict=True)
    ]
    return (steps, customers.astype(np.int32), *compact)


class _Walk:
    """The state of all visits of a week while they move; one row a visit."""

    def __init__(self, visits: _Visits, memory: _Memory) -> None:
        n = len(visits.customers)
        self.visits = visits
        self.memory = memory
        self.times = visits.starts_ms.copy()
        self.days = visits.starts_ms // DAY_MS
        self.items = np.zeros(n, dtype=np.int64)
        self.cart = np.full((n, CART_SLOTS), -1)
        self.cart_quantities = np.zeros((n, CART_SLOTS), dtype=np.int64)
        self.logged_in = np.zeros(n, dtype=bool)
        self.emitted = np.zeros(n, dtype=bool)
        self.reminders = _reminders(memory, visits.customers, self.days)
        self.focus = np.zeros(n, dtype=np.int64)

    def emit(
        self, step: Step, rows: Array, arguments: Array | int = 0, quantities: Array | int = 0,
        orders: Array | int = 0, offset_ms: int = 0,
    ) -> None:  # fmt: skip
        """Record an event for each visit in `rows`, `offset_ms` after the visit's present time."""
        visits, zeros = self.visits, np.zeros(len(rows), dtype=np.int64)
        self.memory.parts.append(
            _part(
                step,
                visits.customers[rows],
                visits.devices[rows],
                visits.numbers[rows],
                self.logged_in[rows],
                zeros + arguments,
                zeros + quantities,
                zeros + orders,
                visits.channels[rows],
                ~self.emitted[rows],
                self.times[rows] + offset_ms,
            )
        )
        self.emitted[rows] = True


def _reminders(memory: _Memory, who: Array, days: Array) -> Array:
    """Return the item on a visitor's mind: left in a cart, run out, or completing a purchase."""
    is_due = days >= memory.refill_days[who]
    mind = np.where(is_due, memory.refill[who], memory.completing[who])
    return np.where(memory.abandoned[who] >= 0, memory.abandoned[who], mind)


def _walk(
    visits: _Visits,
    tables: Array,
    memory: _Memory,
    catalogue: Catalogue,
    customers: Customers,
    rng: np.random.Generator,
) -> None:
    """Move the week's visits through the chain until all have left; record events and memory."""
    who, n = visits.customers, len(visits.customers)
    walk = _Walk(visits, memory)
    walk.focus = customers.families[who, _SLOTS[rng.integers(0, 64, n)]]
    on_mind = (walk.reminders >= 0) & (rng.random(n) < 0.45)
    walk.focus = np.where(on_mind, walk.reminders // N_TYPES, walk.focus)
    walk.logged_in = memory.knows_device[who, visits.devices] & (rng.random(n) < 0.93)
    signs_in = customers.is_registered[who] & ~walk.logged_in & (rng.random(n) < 0.33)
    profiles = customers.archetypes[who] * 2 + memory.wanting[who]
    profiles = (profiles * N_PROPENSITIES + customers.propensities[who]) * N_STATES
    active, states = np.arange(n), np.full(n, Step.EXIT)
    for index in range(MAX_STEPS):
        draws = rng.integers(0, 1024, len(active), dtype=np.uint16)
        states = tables[profiles[active] + states, draws]
        # The first column of the exit row is never exit, so everybody who came has an event.
        active, states = active[states != Step.EXIT], states[states != Step.EXIT]
        if len(active) == 0:
            break
        if index == 1:
            _sign_in(walk, active[signs_in[active]], offset_ms=1_200)
        gaps = _GAPS_MS[rng.integers(0, 256, len(active), dtype=np.uint8)]
        walk.times[active] += gaps + rng.integers(0, 1_000, len(active), dtype=np.int16)
        _take_step(walk, active, states, catalogue, customers, rng)
    left = walk.cart[:, 0] >= 0
    memory.abandoned[who[left]] = walk.cart[left, 0]


def _take_step(
    walk: _Walk,
    active: Array,
    states: Array,
    catalogue: Catalogue,
    customers: Customers,
    rng: np.random.Generator,
) -> None:
    categories = walk.focus % N_CATEGORIES
    walk.emit(Step.PAGE, active[states == Step.PAGE])
    rows = active[states == Step.LIST]
    walk.emit(Step.LIST, rows, categories[rows])
    rows = active[states == Step.SEARCH]
    types = rng.integers(0, N_TYPES, len(rows))
    walk.emit(Step.SEARCH, rows, categories[rows] * N_TYPES + types)
    rows = active[states == Step.VIEW]
    walk.items[rows] = _choose_items(walk, rows, catalogue, customers, rng)
    walk.emit(Step.VIEW, rows, walk.items[rows])
    rows = active[states == Step.WISH]
    walk.emit(Step.WISH, rows, walk.items[rows])
    _fill_carts(walk, active[states == Step.ADD], catalogue, rng)
    _empty_a_slot(walk, active[states == Step.REMOVE])
    rows = active[states == Step.CHECKOUT]
    can_sign_in = customers.is_registered[walk.visits.customers[rows]] & ~walk.logged_in[rows]
    _sign_in(walk, rows[can_sign_in & (rng.random(len(rows)) < 0.97)], offset_ms=-900)
    walk.emit(Step.CHECKOUT, rows)
    _place_orders(walk, active[states == Step.ORDER], catalogue, rng)


def _choose_items(
    walk: _Walk, rows: Array, catalogue: Catalogue, customers: Customers, rng: np.random.Generator
) -> Array:
    """Choose what is looked at: a reminder, the visit's family, another liked one, or anything."""
    who, n = walk.visits.customers[rows], len(rows)
    draws = rng.random(n, dtype=np.float32)
    other = customers.families[who, _SLOTS[rng.integers(0, 64, n, dtype=np.uint8)]]
    family = np.where(draws < 0.5, walk.focus[rows], other)
    types = catalogue.types[family % N_CATEGORIES, rng.integers(0, 64, n, dtype=np.uint8)]
    items = family * N_TYPES + types
    anything = catalogue.popular[customers.tiers[who], rng.integers(0, 4096, n, dtype=np.uint16)]
    items = np.where(draws > 0.78, anything, items)
    reminders = walk.reminders[rows]
    reminded = (reminders >= 0) & (rng.random(n, dtype=np.float32) < 0.30)
    items = np.where(reminded, reminders, items)
    # The last family may be incomplete when n_items is not a multiple of five.
    return catalogue.available(items % len(catalogue.item_ids), walk.days[rows])


def _fill_carts(walk: _Walk, rows: Array, catalogue: Catalogue, rng: np.random.Generator) -> None:
    """Put the item last seen into the cart; a full cart gives up its last slot."""
    items = walk.items[rows]
    quantities = 1 + catalogue.is_consumable[items] * rng.integers(0, 3, len(rows))
    used = (walk.cart[rows] >= 0) & (walk.cart[rows] != items[:, None])
    slots = np.minimum(used.sum(axis=1), CART_SLOTS - 1)
    again = (walk.cart[rows] == items[:, None]).any(axis=1)
    slots = np.where(again, (walk.cart[rows] == items[:, None]).argmax(axis=1), slots)
    walk.cart[rows, slots] = items
    walk.cart_quantities[rows, slots] = walk.cart_quantities[rows, slots] * again + quantities
    walk.emit(Step.ADD, rows, items, quantities)


def _empty_a_slot(walk: _Walk, rows: Array) -> None:
    slots = (walk.cart[rows] >= 0).sum(axis=1) - 1
    rows, slots = rows[slots >= 0], slots[slots >= 0]
    walk.emit(Step.REMOVE, rows, walk.cart[rows, slots], walk.cart_quantities[rows, slots])
    walk.cart[rows, slots] = -1
    walk.cart_quantities[rows, slots] = 0


def _sign_in(walk: _Walk, rows: Array, offset_ms: int) -> None:
    """Sign in between two events of the visit; the first time opens the account."""
    who, memory = walk.visits.customers[rows], walk.memory
    walk.logged_in[rows] = True
    walk.emit(Step.SIGN_IN, rows, offset_ms=offset_ms)
    memory.knows_device[who, walk.visits.devices[rows]] = True
    np.minimum.at(memory.signed_up_ms, who, walk.times[rows] + offset_ms)


def _place_orders(walk: _Walk, rows: Array, catalogue: Catalogue, rng: np.random.Generator) -> None:
    """Emit one event an order line, and remember what the purchase leads to."""
    memory = walk.memory
    rows = rows[walk.cart[rows, 0] >= 0]
    numbers = memory.count_orders + 1 + np.arange(len(rows))
    memory.count_orders += len(rows)
    for slot in range(CART_SLOTS):
        lines = walk.cart[rows, slot] >= 0
        buyers, items = rows[lines], walk.cart[rows[lines], slot]
        quantities = walk.cart_quantities[buyers, slot]
        walk.emit(Step.ORDER, buyers, items, quantities, numbers[lines])
        who, days = walk.visits.customers[buyers], walk.days[buyers]
        refills = catalogue.is_consumable[items]
        memory.refill[who[refills]] = items[refills]
        lasts = rng.integers(18, 40, refills.sum())
        memory.refill_days[who[refills]] = days[refills] + lasts
        memory.completing[who[~refills]] = catalogue.complements[items[~refills]]
    who = walk.visits.customers[rows]
    memory.has_bought[who] = True
    memory.abandoned[who] = -1
    memory.wanting[who] &= rng.random(len(who)) < 0.35
    walk.cart[rows] = -1
    walk.cart_quantities[rows] = 0
