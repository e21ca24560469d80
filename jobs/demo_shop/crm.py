"""What the shop's CRM exports: profiles and consents of customers with an account."""

import numpy as np
import polars as pl

from jobs.demo_shop.catalogue import Array
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.customers import DAY_MS, PURPOSES, REGIONS, Customers
from jobs.demo_shop.log_lines import user_ids

# Invented, so that no row can be taken for a person.
FIRST_NAMES = (
    "Aldra", "Brivo", "Celmo", "Dorvi", "Elbra", "Fennor", "Gildo", "Hevra", "Ilmar", "Jorvi",
    "Kelba", "Lumro", "Mirda", "Nolvo", "Orbela", "Pelko", "Quilma", "Runvo", "Selbra", "Tarnio",
)  # fmt: skip
SURNAMES = ("mondfeld", "silberbach", "rotweiler", "grunental", "nordhain", "ostberg", "quellmann")
GENDERS = ("f", "m", "x", None)
# Net spend in EUR during the logs from which a card of that colour is sent.
LOYALTY_TIERS = ((1_500.0, "gold"), (500.0, "silver"), (100.0, "bronze"))


def timestamps(config: DemoShopConfig, ms: Array) -> pl.Series:
    """Return ISO 8601 UTC text for ms after the first midnight."""
    start = pl.Series([config.first_day]).cast(pl.Datetime("ms")).to_physical()[0]
    return pl.Series(ms + start).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def account_rows(config: DemoShopConfig, customers: Customers, signed_up_ms: Array) -> Array:
    """Return the numbers of the customers who have an account when the logs end."""
    return np.flatnonzero(customers.is_registered & (signed_up_ms < config.n_days * DAY_MS))


def profiles_frame(
    config: DemoShopConfig,
    customers: Customers,
    signed_up_ms: Array,
    spend: Array,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return `crm/profiles.csv`: one row an account, ordered by user_id.

    Args:
        config: Period.
        customers: All customers.
        signed_up_ms: Time of each sign-up.
        spend: Net spend of each customer during the logs, EUR.
        rng: Source of randomness.
    """
    rows = account_rows(config, customers, signed_up_ms)
    n = len(rows)
    ids = user_ids(len(customers))
    first_names = [FIRST_NAMES[i] for i in rng.integers(0, len(FIRST_NAMES), n)]
    surnames = [SURNAMES[i] for i in rng.integers(0, len(SURNAMES), n)]
    domains = rng.integers(0, 2, n)
    shouts = rng.random(n) < 0.03  # typed with capitals: a normaliser has something to do
    emails = [
        f"{first if shout else first.lower()}.{last}{row + 1}@example.{('com', 'org')[domain]}"
        for first, last, row, domain, shout in zip(
            first_names, surnames, rows, domains, shouts, strict=True
        )
    ]
    birth_years = rng.normal(1985, 13, n).clip(1938, 2007).astype(int)
    has_birth_year = rng.random(n) < 0.9
    edited = rng.random(n)
    last_ms = config.n_days * DAY_MS - 1_000
    created = signed_up_ms[rows]
    updated = np.where(edited < 0.6, created, created + (last_ms - created) * (edited - 0.6) / 0.4)
    return pl.DataFrame(
        {
            "user_id": [ids[row] for row in rows],
            "email": emails,
            "first_name": first_names,
            "country": [REGIONS[r][0] for r in customers.regions[rows]],
            "region": [REGIONS[r][1] for r in customers.regions[rows]],
            "birth_year": [
                int(y) if known else None
                for y, known in zip(birth_years, has_birth_year, strict=True)
            ],
            "gender": [GENDERS[g] for g in rng.choice(4, n, p=[0.46, 0.40, 0.02, 0.12])],
            "signed_up_at": timestamps(config, created),
            "loyalty_tier": [_loyalty_tier(s) for s in spend[rows].tolist()],
            "updated_at": timestamps(config, updated.astype(np.int64)),
        }
    )


def _loyalty_tier(spend: float) -> str | None:
    return next((tier for minimum, tier in LOYALTY_TIERS if spend >= minimum), None)


def consents_frame(
    config: DemoShopConfig, customers: Customers, signed_up_ms: Array, rng: np.random.Generator
) -> pl.DataFrame:
    """Return `crm/consents.csv`: one row a decision, ordered by user_id, purpose and time."""
    rows = account_rows(config, customers, signed_up_ms)
    ids = np.array(user_ids(len(customers)))
    parts = []
    for number, purpose in enumerate(PURPOSES):
        granted = customers.granted[rows, number]
        withdrawn_ms = customers.withdrawn_days[rows, number] * DAY_MS + rng.integers(
            0, DAY_MS, len(rows)
        )
        # Who signs up after the drawn day, or never agreed, has nothing to withdraw.
        leaves = granted & (withdrawn_ms > signed_up_ms[rows] + DAY_MS)
        leaves &= withdrawn_ms < config.n_days * DAY_MS
        source = "unsubscribe_link" if purpose == "marketing" else "preference_centre"
        parts += [
            _decisions(config, ids[rows], purpose, granted, "signup_form", signed_up_ms[rows]),
            _decisions(
                config, ids[rows[leaves]], purpose, granted[leaves] & False, source,
                withdrawn_ms[leaves],
            ),
        ]  # fmt: skip
    return pl.concat(parts).sort("user_id", "purpose", "recorded_at")


def _decisions(
    config: DemoShopConfig, ids: Array, purpose: str, granted: Array, source: str, at_ms: Array
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": pl.Series(ids.tolist(), dtype=pl.String),
            "purpose": pl.Series([purpose] * len(ids), dtype=pl.String),
            "state": pl.Series(np.where(granted, "granted", "withdrawn").tolist(), dtype=pl.String),
            "source": pl.Series([source] * len(ids), dtype=pl.String),
            "recorded_at": timestamps(config, at_ms),
        }
    )
