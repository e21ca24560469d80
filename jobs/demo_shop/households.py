"""Who shares what with whom: addresses, telephones and devices that are not one person's alone."""

from dataclasses import dataclass

import numpy as np

from jobs.demo_shop.catalogue import Array
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.customers import Customers

COMPANY_SIZE = 3  # colleagues who give the address of their company
KIOSK_SIZES = (20, 60)  # customers who sign in on one terminal


@dataclass(frozen=True, eq=False)
class Households:
    """Customer numbers. Nobody shares in two of these ways, but for owners of devices and kiosks.

    Pairs live in one region: a family's device is not in two places at once.
    """

    couples: Array  # shape (n, 2): one e-mail address, two accounts
    phone_sharers: Array  # shape (n, 2): one telephone number, two accounts
    device_sharers: Array  # shape (n, 2): a device's owner, and who signs in on it now and then
    companies: Array  # shape (n, COMPANY_SIZE): the address of a company
    kiosks: tuple[Array, ...]  # who signs in on each

    @property
    def pairs(self) -> Array:
        """Everybody who lives with somebody, shape (n, 2)."""
        return np.concatenate([self.couples, self.phone_sharers, self.device_sharers])


def draw_households(
    config: DemoShopConfig,
    customers: Customers,
    holders: Array,
    visitors: Array,
    rng: np.random.Generator,
) -> Households:
    """Draw who shares what. In a shop too small for a rate there are fewer, or none.

    Args:
        config: Rates.
        customers: All customers.
        holders: Those with an account.
        visitors: Those who sign in now and then; only they can do so on another one's device.
        rng: Source of randomness.
    """
    n = len(customers)
    neighbours = _sort_by_region(holders, customers.regions, rng)
    pairs = neighbours[: len(neighbours) // 2 * 2].reshape(-1, 2)
    pairs = pairs[customers.regions[pairs[:, 0]] == customers.regions[pairs[:, 1]]]
    rng.shuffle(pairs)
    n_couples = round(n * config.couple_rate / 2)
    n_phones = round(n * config.shared_phone_rate / 2)
    couples, phone_sharers, rest = np.split(pairs, [n_couples, n_couples + n_phones])
    can_visit = np.isin(rest, visitors)
    chosen = np.flatnonzero(can_visit.any(axis=1))[: round(n * config.shared_device_rate)]
    # The second of a pair is the guest on the first one's device.
    device_sharers = np.where(can_visit[chosen, 1:], rest[chosen], rest[chosen, ::-1])
    colleagues = np.delete(rest, chosen, axis=0).ravel()
    n_companies = round(n * config.company_address_rate / COMPANY_SIZE)
    n_companies = min(n_companies, len(colleagues) // COMPANY_SIZE)
    return Households(
        couples=couples,
        phone_sharers=phone_sharers,
        device_sharers=device_sharers,
        companies=colleagues[: n_companies * COMPANY_SIZE].reshape(-1, COMPANY_SIZE),
        kiosks=_draw_kiosks(
            round(n * config.kiosk_rate),
            _sort_by_region(np.setdiff1d(visitors, device_sharers[:, 1]), customers.regions, rng),
            rng,
        ),
    )


def _sort_by_region(people: Array, regions: Array, rng: np.random.Generator) -> Array:
    """Order by region, and at random within it."""
    return np.asarray(people[np.lexsort((rng.random(len(people)), regions[people]))])


def _draw_kiosks(n_users: int, visitors: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    """Return who uses each kiosk: neighbours, since a kiosk stands in one place.

    Args:
        n_users: Of all kiosks together, about.
        visitors: Who may be one of them, ordered by region.
        rng: Source of randomness.
    """
    fewest, most = KIOSK_SIZES
    sizes = rng.integers(fewest, most + 1, n_users // fewest)
    sizes = sizes[np.cumsum(sizes) <= min(n_users, len(visitors))]
    if len(sizes) == 0:
        return ()
    # Spread over the list, and so over the country.
    gap = (len(visitors) - sizes.sum()) // len(sizes)
    starts = np.cumsum(sizes) - sizes + np.arange(len(sizes)) * gap
    return tuple(visitors[a : a + size] for a, size in zip(starts, sizes, strict=True))
