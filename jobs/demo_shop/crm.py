"""What the shop's CRM exports: a profile of each account."""

import numpy as np
import polars as pl

from jobs.demo_shop.catalogue import Array
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.customers import DAY_MS, REGIONS, Customers
from jobs.demo_shop.identities import Accounts
from jobs.demo_shop.people import People, write_phones

# Net spend in EUR during the logs from which a card of that colour is sent.
LOYALTY_TIERS = ((1_500.0, "gold"), (500.0, "silver"), (100.0, "bronze"))


def timestamps(config: DemoShopConfig, ms: Array) -> pl.Series:
    """Return ISO 8601 UTC text for ms after the first midnight."""
    start = pl.Series([config.first_day]).cast(pl.Datetime("ms")).to_physical()[0]
    return pl.Series(ms + start).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def profiles_frame(
    config: DemoShopConfig,
    customers: Customers,
    people: People,
    accounts: Accounts,
    spend: dict[str, float],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return `crm/profiles.csv`: one row an account, ordered by user_id.

    Args:
        config: Period.
        customers: All customers.
        people: What they are called.
        accounts: Whose account is whose.
        spend: Net spend of each account during the logs, EUR; none for those that are missing.
        rng: Source of randomness.
    """
    who, created = accounts.customers.tolist(), accounts.opened_ms
    edited = rng.random(len(who))
    last_ms = config.n_days * DAY_MS - 1_000
    updated = np.where(edited < 0.6, created, created + (last_ms - created) * (edited - 0.6) / 0.4)
    regions = [REGIONS[region] for region in customers.regions[who]]
    return pl.DataFrame(
        {
            "user_id": accounts.user_ids,
            "email": [people.listed_emails[i] for i in who],
            "phone": write_phones(people.phones[who], rng),
            "first_name": [people.first_names[i] for i in who],
            "last_name": [people.last_names[i] for i in who],
            "country": [country for country, _, _ in regions],
            "region": [region for _, region, _ in regions],
            "postal_code": [people.postal_codes[i] for i in who],
            "birth_year": [year or None for year in people.birth_years[who].tolist()],
            "gender": [people.genders[i] for i in who],
            "signed_up_at": timestamps(config, created),
            "loyalty_tier": [_loyalty_tier(spend.get(user, 0.0)) for user in accounts.user_ids],
            "updated_at": timestamps(config, updated.astype(np.int64)),
        },
        schema_overrides={"phone": pl.String, "birth_year": pl.Int64, "gender": pl.String},
    )


def _loyalty_tier(spend: float) -> str | None:
    return next((tier for minimum, tier in LOYALTY_TIERS if spend >= minimum), None)
