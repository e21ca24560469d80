"""By which identifiers each line tells who it is about, and what makes that hard to read back.

Planted on finished journeys, from a source of randomness of its own: whoever shares what, the same
people do the same things at the same times. A visit moves to another device as a whole, and only
one in which its visitor signs in; a second account takes over on one device from a sign-in on.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import polars as pl

from jobs.demo_shop.catalogue import Array
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.customers import DAY_MS, Customers
from jobs.demo_shop.events import FIRST_NEWSLETTER, Events, Step, take_events
from jobs.demo_shop.households import Households, draw_households
from jobs.demo_shop.noise import N_BOTS
from jobs.demo_shop.people import AGENT_EMAIL, People

# Sent by the newsletter's server: it knows readers by their account.
MAIL_STEPS = (Step.EMAIL_OPEN, Step.EMAIL_CLICK)
# Beside one's own devices 0 and 1.
_LENT, _NO_DEVICE = 2, 3
_OWN_ACCOUNT, _SECOND_ACCOUNT = 1, 2


class _Email(IntEnum):
    NONE = 0
    TYPED = 1
    LISTED = 2
    AGENT = 3


# How many there are of each in the number of a combination: customer, device, account, e-mail.
_N_DEVICES, _N_ACCOUNTS, _N_EMAILS = 4, 3, len(_Email)


@dataclass(frozen=True, eq=False)
class SecondAccounts:
    """Who registered again; arrays of equal length, ordered by customer."""

    customers: Array
    devices: Array  # 0 or 1: where the new account is used instead of the old one
    since_ms: Array


@dataclass(frozen=True, eq=False)
class Plants:
    """All that makes it hard to tell who is who."""

    households: Households
    lent_devices: Array  # number of the device that is lent to each customer, -1 for none
    lent_visits: Array  # numbers of the visits on it
    second_accounts: SecondAccounts
    called_orders: Array  # numbers of the orders that the call centre typed


@dataclass(frozen=True, eq=False)
class Accounts:
    """The accounts, ordered by user_id; a customer may have two."""

    user_ids: list[str]
    customers: Array
    opened_ms: Array  # ms after the first midnight


@dataclass(frozen=True, eq=False)
class Told:
    """Which identifiers stand in one line: each combination that occurs, and that of each event."""

    combinations: pl.DataFrame  # customer (bots after people), anonymous_id, user_id, email
    devices: Array  # of each combination: number of the device, -1 for none
    numbers: Array  # of each event: row of `combinations`
    homes: Array  # of each device: the customer, or bot, where it stands


def user_ids(n_accounts: int) -> list[str]:
    """Return the user id of every customer's account, and of the second accounts after them."""
    return [f"u-{number:06d}" for number in range(1, n_accounts + 1)]


def anonymous_ids(n_devices: int, seed: int) -> list[str]:
    """Return the anonymous id of `2 * customer + device`, then of the bots, then of the kiosks."""
    mixed = mix(np.arange(n_devices, dtype=np.uint64), seed + 1)
    return [f"a-{number & 0xFFFFFFFFFFFF:012x}" for number in mixed.tolist()]


def mix(numbers: Array, seed: int) -> Array:
    """Scatter numbers over 64 bits, one to one (splitmix64), so that ids never collide."""
    start = np.uint64(seed * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    z = numbers * np.uint64(0x9E3779B97F4A7C15) + start
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def plant_identities(
    config: DemoShopConfig,
    customers: Customers,
    events: Events,
    signed_up_ms: Array,
    holders: Array,
    rng: np.random.Generator,
) -> Plants:
    """Choose who shares what, and which visits, accounts and orders show it.

    Args:
        config: Rates.
        customers: All customers.
        events: Those of the logs.
        signed_up_ms: Time of each customer's first sign-up.
        holders: Customers with an account.
        rng: Source of randomness.
    """
    # Nobody reads newsletters on a device that is not theirs.
    is_sign_in = (events.steps == Step.SIGN_IN) & (events.channels < FIRST_NEWSLETTER)
    sign_ins = take_events(events, is_sign_in)
    visitors = np.unique(sign_ins.customers)
    households = draw_households(config, customers, holders, visitors, rng)
    lent_devices = _lend_devices(customers, households)
    lent_visits = _move_visits(take_events(sign_ins, lent_devices[sign_ins.customers] >= 0), rng)
    stays = ~np.isin(sign_ins.visits, lent_visits)
    is_later = sign_ins.occurred_ms > signed_up_ms[sign_ins.customers] + DAY_MS
    again = take_events(sign_ins, stays & is_later)
    n_second = round(len(holders) * config.second_account_rate)
    orders = np.unique(events.orders[(events.steps == Step.ORDER) & events.is_logged_in])
    n_called = round(len(orders) * config.call_centre_rate)
    return Plants(
        households=households,
        lent_devices=lent_devices,
        lent_visits=lent_visits,
        second_accounts=_open_second_accounts(again, n_second, rng),
        called_orders=np.sort(rng.permutation(orders)[:n_called]),
    )


def _lend_devices(customers: Customers, households: Households) -> Array:
    n = len(customers)
    lent = np.full(n, -1)
    owners, guests = households.device_sharers.T
    # The second device of a home is the one that lies about.
    lent[guests] = 2 * owners + customers.has_second_device[owners]
    for number, users in enumerate(households.kiosks):
        lent[users] = 2 * n + N_BOTS + number
    return lent


def _move_visits(sign_ins: Events, rng: np.random.Generator) -> Array:
    """Return the visits on the lent device: about half of each customer's, but at least one."""
    moves = rng.random(len(sign_ins.visits)) < 0.5
    moves[np.unique(sign_ins.customers, return_index=True)[1]] = True
    return np.unique(sign_ins.visits[moves])


def _open_second_accounts(sign_ins: Events, n: int, rng: np.random.Generator) -> SecondAccounts:
    """Turn a sign-in of `n` customers into a registration."""
    shuffled = take_events(sign_ins, rng.permutation(len(sign_ins.steps)))
    _, one_each = np.unique(shuffled.customers, return_index=True)
    chosen = take_events(shuffled, np.sort(rng.permutation(one_each)[:n]))
    chosen = take_events(chosen, np.argsort(chosen.customers))
    return SecondAccounts(chosen.customers, chosen.devices, chosen.occurred_ms)


def list_accounts(
    customers: Customers, signed_up_ms: Array, holders: Array, second: SecondAccounts
) -> Accounts:
    """Return the accounts of `holders`, and the second ones after them."""
    ids, n = user_ids(len(customers) + len(second.customers)), len(customers)
    return Accounts(
        user_ids=[*(ids[holder] for holder in holders.tolist()), *ids[n:]],
        customers=np.concatenate([holders, second.customers]),
        opened_ms=np.concatenate([signed_up_ms[holders], second.since_ms]),
    )


def tell_identifiers(
    config: DemoShopConfig, customers: Customers, people: People, events: Events, plants: Plants
) -> Told:
    """Return what stands in each event's line: device, account, e-mail address.

    An address is told at the checkout by everybody, and on the first page of a visit by who came
    from a newsletter.
    """
    n, second = len(customers), plants.second_accounts
    devices, accounts = events.devices.astype(np.int32), events.is_logged_in.astype(np.int32)
    devices[np.isin(events.steps, MAIL_STEPS)] = _NO_DEVICE
    is_special = np.zeros(n + N_BOTS, dtype=bool)
    is_special[second.customers] = True
    is_special[:n] |= plants.lent_devices >= 0
    rows = np.flatnonzero(is_special[events.customers])
    accounts[rows[_uses_second_account(take_events(events, rows), n, second)]] = _SECOND_ACCOUNT
    devices[rows[np.isin(events.visits[rows], plants.lent_visits)]] = _LENT
    # One number a combination, so that each is written once and not once an event.
    numbers = (events.customers * _N_DEVICES + devices) * _N_ACCOUNTS + accounts
    numbers *= _N_EMAILS
    orders = np.flatnonzero(events.steps == Step.ORDER)
    is_called = np.isin(events.orders[orders], plants.called_orders)
    numbers[orders] += np.where(is_called, _Email.AGENT, _Email.TYPED)
    landings = np.flatnonzero(events.is_landing & (events.channels >= FIRST_NEWSLETTER))
    numbers[landings] += _Email.LISTED
    occurs = np.zeros((n + N_BOTS) * _N_DEVICES * _N_ACCOUNTS * _N_EMAILS, dtype=bool)
    occurs[numbers] = True
    ranks = np.cumsum(occurs, dtype=np.int32) - 1
    devices, combinations = _combinations(config, np.flatnonzero(occurs), people, plants)
    # A kiosk stands where its users live.
    kiosks = [users[0] for users in plants.households.kiosks]
    homes = np.concatenate([np.arange(n).repeat(2), n + np.arange(N_BOTS), kiosks]).astype(int)
    return Told(combinations, devices, ranks[numbers], homes)


def _uses_second_account(events: Events, n_customers: int, second: SecondAccounts) -> Array:
    """Tell for each event of some customers whether it is the second account's."""
    number = np.full(n_customers, -1)
    number[second.customers] = np.arange(len(second.customers))
    found = number[events.customers]
    uses = (found >= 0) & events.is_logged_in & ~np.isin(events.steps, MAIL_STEPS)
    uses[uses] = (events.devices[uses] == second.devices[found[uses]]) & (
        events.occurred_ms[uses] >= second.since_ms[found[uses]]
    )
    # Money goes back to the account that has paid.
    refunds = events.steps == Step.REFUND
    uses[refunds] = np.isin(
        events.orders[refunds], events.orders[uses & (events.steps == Step.ORDER)]
    )
    return uses


def _combinations(
    config: DemoShopConfig, numbers: Array, people: People, plants: Plants
) -> tuple[Array, pl.DataFrame]:
    """Return the device and the texts of each numbered combination, in the given order."""
    n, second = len(people.phones), plants.second_accounts
    rest, emails = np.divmod(numbers, _N_EMAILS)
    rest, accounts = np.divmod(rest, _N_ACCOUNTS)
    customers, slots = np.divmod(rest, _N_DEVICES)
    own = np.where(customers < n, 2 * customers + slots, n + customers)
    persons = np.minimum(customers, n - 1)
    devices = np.select(
        [slots == _NO_DEVICE, slots == _LENT], [-1, plants.lent_devices[persons]], own
    )
    second_numbers = n + np.searchsorted(second.customers, customers)
    users = np.select(
        [accounts == _OWN_ACCOUNT, accounts == _SECOND_ACCOUNT], [customers, second_numbers], -1
    )
    n_devices = 2 * n + N_BOTS + len(plants.households.kiosks)
    texts = pl.Series([AGENT_EMAIL, *people.typed_emails, *people.listed_emails])
    email = np.select(
        [emails == _Email.TYPED, emails == _Email.LISTED, emails == _Email.AGENT],
        [1 + persons, 1 + n + persons, 0],
        -1,
    )
    return devices, pl.DataFrame(
        {
            "customer": customers,
            "anonymous_id": _look_up(pl.Series(anonymous_ids(n_devices, config.seed)), devices),
            "user_id": _look_up(pl.Series(user_ids(n + len(second.customers))), users),
            "email": _look_up(texts, email),
        }
    )


def _look_up(texts: pl.Series, rows: Array) -> pl.Series:
    """Return the text of each row, null for -1."""
    return texts.gather(pl.Series(rows).replace(-1, None))
