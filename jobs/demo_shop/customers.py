"""The people of the demo shop: archetype, latent taste, devices and consent."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jobs.demo_shop.catalogue import ALWAYS, N_CATEGORIES, Array, Catalogue
from jobs.demo_shop.config import DemoShopConfig

DAY_MS = 86_400_000
NEVER_MS = ALWAYS * DAY_MS
N_SLOTS = 6  # families that a customer cares about
N_PROPENSITIES = 3  # levels of readiness to buy within an archetype


class Archetype(NamedTuple):
    """Typical behaviour of a kind of customer; each customer varies around it."""

    name: str
    share: float
    sessions_per_week: float
    activity_sigma: float  # log-normal spread of the sessions
    wanting_rate: float  # chance a week that an intent to buy begins
    adds_per_view: float
    wishes_per_view: float
    checkouts_per_add: float
    orders_per_checkout: float
    exits_per_view: float
    list_taste: float  # weight of lists against single products when browsing
    tier_weights: tuple[float, float, float]
    discount_rate: float
    refund_rate: float
    email_open_rate: float
    registered_rate: float


# Rates are chosen so that neighbouring archetypes overlap: K-Means finds most of them, not all.
# Name, share, sessions a week, spread, wanting | adds, wishes a view, checkouts an add, orders a
# checkout, exits a view, lists | tiers, discounts, refunds, mail opens, registered.
ARCHETYPES = (
    Archetype("loyal_regular", 0.22, 0.95, 0.30, 0.28, 0.24, 0.03, 0.55, 0.85, 0.26, 1.0,
              (0.18, 0.74, 0.08), 0.12, 0.04, 0.60, 0.99),
    Archetype("big_spender", 0.13, 0.38, 0.30, 0.24, 0.32, 0.03, 0.42, 0.92, 0.24, 0.8,
              (0.01, 0.05, 0.94), 0.04, 0.04, 0.35, 0.99),
    Archetype("bargain_hunter", 0.18, 1.20, 0.32, 0.22, 0.16, 0.17, 0.32, 0.65, 0.20, 1.8,
              (0.93, 0.06, 0.01), 0.75, 0.22, 0.40, 0.98),
    Archetype("window_shopper", 0.21, 0.90, 0.40, 0.08, 0.018, 0.05, 0.10, 0.30, 0.18, 2.0,
              (0.30, 0.50, 0.20), 0.15, 0.05, 0.12, 0.45),
    Archetype("one_timer", 0.13, 1.00, 0.40, 1.00, 0.16, 0.02, 0.50, 0.80, 0.26, 1.0,
              (0.25, 0.60, 0.15), 0.20, 0.06, 0.06, 0.93),
    Archetype("lapsed", 0.13, 1.00, 0.32, 0.28, 0.21, 0.03, 0.50, 0.80, 0.26, 1.0,
              (0.25, 0.65, 0.10), 0.18, 0.06, 0.25, 0.97),
)  # fmt: skip
ARCHETYPE_NAMES = [archetype.name for archetype in ARCHETYPES]
ONE_TIMER = ARCHETYPE_NAMES.index("one_timer")
LAPSED = ARCHETYPE_NAMES.index("lapsed")

PURPOSES = ("analytics", "marketing", "personalisation")
# Of marketing and personalisation; how many refuse analytics is a setting.
GRANTED_AT_SIGN_UP = (0.83, 0.90)
WITHDRAWN_LATER = (0.012, 0.09, 0.03)

# Country, region, share of the customers.
REGIONS = (
    ("DE", "BE", 12), ("DE", "BY", 14), ("DE", "HH", 8), ("DE", "NW", 16), ("DE", "SN", 5),
    ("AT", "9", 6), ("AT", "6", 3), ("CH", "ZH", 5), ("CH", "BE", 3), ("FR", "IDF", 7),
    ("FR", "ARA", 4), ("NL", "NH", 5), ("NL", "ZH", 4), ("PL", "MZ", 4), ("IT", "25", 4),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Customers:
    """Customers as arrays of shape (n_customers,), fixed before the first visit."""

    archetypes: Array
    sessions_per_week: Array
    first_days: Array  # first day on which the customer may visit
    stop_days: Array  # day from which the customer stays away
    propensities: Array  # 0, 1, 2: how readily this customer buys
    tiers: Array
    families: Array  # shape (n_customers, N_SLOTS), the dearest first
    is_registered: Array  # has an account or will open one when signing in
    sign_up_ms: Array  # of accounts older than the logs, so negative; NEVER_MS without one
    has_second_device: Array
    agents: Array  # shape (n_customers, 2): user agent of each device
    regions: Array
    dayparts: Array  # which of the time-of-day profiles
    email_open_rates: Array
    discount_rates: Array
    refund_rates: Array
    granted: Array  # shape (n_customers, 3): consent when first asked
    withdrawn_days: Array  # shape (n_customers, 3): ALWAYS if it stays

    def __len__(self) -> int:
        """Return the number of customers."""
        return len(self.archetypes)

    def accepts_mail(self, day: int) -> Array:
        """Tell whose marketing consent holds on that day."""
        marketing = PURPOSES.index("marketing")
        return self.granted[:, marketing] & (self.withdrawn_days[:, marketing] > day)


def build_customers(
    config: DemoShopConfig, catalogue: Catalogue, rng: np.random.Generator
) -> Customers:
    """Draw the customers; archetype shares are expectations, not quotas."""
    n = config.n_customers
    archetypes = rng.choice(len(ARCHETYPES), n, p=[a.share for a in ARCHETYPES])
    sigma = _of(archetypes, "activity_sigma")
    first_days, stop_days = _lifetimes(config, archetypes, rng)
    tiers = _draw_rows(np.array([a.tier_weights for a in ARCHETYPES])[archetypes], rng)
    is_registered = rng.random(n) < _of(archetypes, "registered_rate")
    is_known = is_registered & (first_days < 0)
    mobile = rng.random((n, 2)) < 0.6
    withdraws = rng.random((n, 3)) < np.array(WITHDRAWN_LATER)
    shares = np.array([share for _, _, share in REGIONS])
    return Customers(
        archetypes=archetypes,
        sessions_per_week=_of(archetypes, "sessions_per_week") * rng.lognormal(0, sigma),
        first_days=np.maximum(first_days, 0),
        stop_days=stop_days,
        propensities=rng.integers(0, N_PROPENSITIES, n),
        tiers=tiers,
        families=_tastes(catalogue, tiers, rng),
        is_registered=is_registered,
        sign_up_ms=np.where(is_known, first_days * DAY_MS + rng.integers(0, DAY_MS, n), NEVER_MS),
        has_second_device=rng.random(n) < 0.3,
        agents=np.where(mobile, rng.integers(0, 3, (n, 2)), rng.integers(3, 9, (n, 2))),
        regions=rng.choice(len(REGIONS), n, p=shares / shares.sum()),
        dayparts=rng.integers(0, 3, n),
        email_open_rates=_around(_of(archetypes, "email_open_rate"), 5.0, rng),
        discount_rates=_around(_of(archetypes, "discount_rate"), 8.0, rng),
        refund_rates=_around(_of(archetypes, "refund_rate"), 8.0, rng),
        granted=rng.random((n, 3))
        < np.array([1 - config.analytics_refusal_rate, *GRANTED_AT_SIGN_UP]),
        withdrawn_days=np.where(withdraws, rng.integers(0, config.n_days, (n, 3)), ALWAYS),
    )


def account_holders(config: DemoShopConfig, customers: Customers, signed_up_ms: Array) -> Array:
    """Return the numbers of the customers who have an account when the logs end."""
    return np.flatnonzero(customers.is_registered & (signed_up_ms < config.n_days * DAY_MS))


def _of(archetypes: Array, field: str) -> Array:
    return np.array([getattr(archetype, field) for archetype in ARCHETYPES])[archetypes]


def _around(mean: Array, concentration: float, rng: np.random.Generator) -> Array:
    """Draw a beta-distributed rate for each customer, so that archetypes overlap."""
    return np.asarray(rng.beta(mean * concentration, (1 - mean) * concentration))


def _draw_rows(weights: Array, rng: np.random.Generator) -> Array:
    edges = np.cumsum(weights, axis=1)
    return np.asarray((rng.random(len(weights))[:, None] > edges[:, :-1]).sum(axis=1))


def _lifetimes(
    config: DemoShopConfig, archetypes: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return first and stop days: a third are new, one-timers come at any time, lapsed leave."""
    n, n_days = len(archetypes), config.n_days
    old = -rng.integers(1, 900, n)
    new = rng.integers(0, n_days * 3 // 4, n)
    first_days = np.where(rng.random(n) < 0.7, old, new)
    one_timer = archetypes == ONE_TIMER
    first_days[one_timer] = rng.integers(0, n_days - 7, one_timer.sum())
    lapsed = archetypes == LAPSED
    # Someone who arrived late has no first half to be active in.
    first_days[lapsed & (first_days >= n_days // 6)] = 0
    stop_days = np.full(n, ALWAYS)
    stop_days[lapsed] = (rng.uniform(0.3, 0.58, lapsed.sum()) * n_days).astype(np.int64)
    return first_days, stop_days


def _tastes(catalogue: Catalogue, tiers: Array, rng: np.random.Generator) -> Array:
    """Give each customer N_SLOTS families out of one to three favourite categories."""
    n = len(tiers)
    favourites = rng.integers(0, N_CATEGORIES, (n, 3))
    count_favourites = rng.integers(1, 4, n)
    slots = np.arange(N_SLOTS)[None, :] % count_favourites[:, None]
    category = np.take_along_axis(favourites, slots, axis=1)
    draws = rng.integers(0, 256, (n, N_SLOTS))
    return np.asarray(catalogue.families[category, tiers[:, None], draws])
