"""What only tests and benchmarks may read: who the people are, and what they buy next."""

import polars as pl

from jobs.demo_shop.catalogue import Array, Catalogue
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.crm import timestamps
from jobs.demo_shop.customers import ARCHETYPE_NAMES, Customers
from jobs.demo_shop.events import Events
from jobs.demo_shop.identities import Accounts, Told, anonymous_ids, user_ids
from jobs.demo_shop.people import People


def customers_frame(
    config: DemoShopConfig, customers: Customers, holders: Array, told: Told
) -> pl.DataFrame:
    """Return `truth/customers.csv`: everybody who left a trace in the logs or in the CRM.

    One row a person, with the first account and the main device, whether or not the logs show it.
    """
    n = len(customers)
    seen = told.combinations["customer"].filter(told.combinations["customer"] < n)
    rows = pl.concat([seen, pl.Series("customer", holders)]).unique().sort().to_list()
    with_account = set(holders.tolist())
    users, anonymous = user_ids(n), anonymous_ids(2 * n, config.seed)
    return pl.DataFrame(
        {
            "user_id": [users[row] if row in with_account else None for row in rows],
            "anonymous_id": [anonymous[2 * row] for row in rows],
            "archetype": [ARCHETYPE_NAMES[customers.archetypes[row]] for row in rows],
        },
        schema_overrides={"user_id": pl.String},
    )


def identities_frame(
    told: Told, people: People, accounts: Accounts, profiles: pl.DataFrame
) -> pl.DataFrame:
    """Return `truth/identities.csv`: one row an identifier and a person whom it stood for.

    Args:
        told: What stands in the lines.
        people: All customers; `person` counts them from 1.
        accounts: Whose profile each row of `profiles` is.
        profiles: `crm/profiles.csv`.

    Returns:
        kind (user, email, phone, device), identifier as it is written, person, is_linkable (told
        once at least in one line or profile with another one that is this person's alone, so that
        it can be found to be theirs) and is_shared (it stood for others too). Ordered by kind,
        identifier and person. Two ways to write an address or a number are two rows.
    """
    phone_numbers = people.phones[accounts.customers]
    crm = profiles.select("user_id", "email", "phone").with_columns(
        customer=pl.Series(accounts.customers), phone_number=pl.Series(phone_numbers)
    )
    lines = told.combinations.filter(pl.col("customer") < len(people.phones))
    records = pl.concat([lines, crm], how="diagonal_relaxed").with_row_index("record")
    # What makes two texts one identifier.
    kinds = {
        "device": ("anonymous_id", pl.col("anonymous_id")),
        "email": ("email", pl.col("email").str.to_lowercase()),
        "phone": ("phone", pl.col("phone_number").cast(pl.String)),
        "user": ("user_id", pl.col("user_id")),
    }
    sightings = pl.concat(
        records.select(
            "record", person=pl.col("customer") + 1, kind=pl.lit(kind), identifier=column, key=key
        ).drop_nulls("identifier")
        for kind, (column, key) in kinds.items()
    )
    # Of one identifier, the least person and the greatest are the same unless it is shared.
    users = sightings.group_by("kind", "key").agg(
        is_shared=pl.col("person").min() != pl.col("person").max()
    )
    sightings = sightings.join(users, on=["kind", "key"])
    own = sightings.group_by("record").agg(count_own=(~pl.col("is_shared")).sum())
    is_beside_own = pl.col("count_own") > (~pl.col("is_shared")).cast(pl.UInt32)
    names = ("kind", "key", "person")
    links = sightings.join(own, on="record").group_by(names).agg(is_linkable=is_beside_own.any())
    return (
        sightings.join(links, on=names)
        .select("kind", "identifier", "person", "is_linkable", "is_shared")
        .unique()
        .sort("kind", "identifier", "person")
    )


def next_purchases_frame(
    config: DemoShopConfig, catalogue: Catalogue, n_customers: int, future: Events
) -> pl.DataFrame:
    """Return `truth/next_purchases.csv`: order lines after the last day, by the first account.

    Args:
        config: Period.
        catalogue: All items.
        n_customers: Of the shop.
        future: Order lines of people with an account. Guests are left out: nothing that they get
            could be addressed to them.
    """
    users = user_ids(n_customers)
    return pl.DataFrame(
        {
            "user_id": [users[c] for c in future.customers],
            "item_id": [catalogue.item_ids[i] for i in future.arguments],
            "purchased_at": timestamps(config, future.occurred_ms),
        },
        schema_overrides={"user_id": pl.String, "item_id": pl.String},
    ).sort("user_id", "purchased_at", "item_id")
