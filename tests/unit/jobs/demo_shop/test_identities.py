"""What the demo shop plants for identity resolution, read back from its files.

The ignored types are of polars' cells, which have none until the frame is read, and of
`canonical`, which may give None elsewhere but not for what the shop writes.
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from jobs.demo_shop import DemoShopConfig, generate_demo_shop
from jobs.demo_shop.catalogue import build_catalogue
from jobs.demo_shop.consents import draw_withdrawals
from jobs.demo_shop.customers import NEVER_MS, build_customers
from jobs.demo_shop.people import AGENT_EMAIL
from jobs.sources.pseudonyms import canonical
from tests.unit.jobs.demo_shop.conftest import SHARING
from tests.unit.jobs.demo_shop.logs import read_events

BOTS = ("bot", "python-requests", "Windows NT 6.1")
SERVER_EVENTS = ("Order Refunded", "Email Opened", "Email Clicked")
NOBODY_SHARES = {name: 0 for name in DemoShopConfig.model_fields if name.endswith("_rate")} | {
    name: getattr(SHARING, name)
    for name in ("duplicate_rate", "broken_rate", "bot_rate", "late_rate", "phone_rate")
}


class SharingShop(NamedTuple):
    events: pl.DataFrame  # of people, by time: one column an identifier, null where it is not told
    bots: pl.DataFrame
    profiles: pl.DataFrame
    consents: pl.DataFrame
    identities: pl.DataFrame
    customers: pl.DataFrame

    @property
    def records(self) -> list[list[tuple[str, str]]]:
        """The identifiers of each line and each profile."""
        columns = {"device": "device", "user": "user_id", "email": "email", "phone": "phone"}
        rows = [
            *self.events.select("device", "user_id", "email").unique().to_dicts(),
            *self.profiles.select("user_id", "email", "phone").to_dicts(),
        ]
        return [
            [(kind, row[name]) for kind, name in columns.items() if row.get(name)] for row in rows
        ]

    @property
    def persons(self) -> dict[tuple[str, str], set[int]]:
        """Whom each identifier stood for."""
        persons = defaultdict(set)
        for kind, identifier, person in self.identities.select(
            "kind", "identifier", "person"
        ).iter_rows():
            persons[kind, identifier].add(person)
        return persons

    def shared(self, kind: str) -> pl.DataFrame:
        """The shared identifiers of a kind, with their persons and how many these are."""
        of_kind = self.identities.filter(pl.col("kind") == kind)
        return (
            of_kind.group_by("identifier")
            .agg("person", count_persons=pl.len())
            .filter(pl.col("count_persons") > 1)
        )


def read_shop(directory: Path) -> SharingShop:
    lines = [
        {
            "at": event["ts"],
            "event": event["event"],
            "device": event.get("anonymous_id"),
            "user_id": event.get("user_id"),
            "email": event.get("contact", {}).get("email"),
            "order_id": event.get("order_id"),
            "medium": event.get("utm", {}).get("medium"),
            "is_landing": "referrer" in event.get("page", {}),
            "has_agreed": event.get("consent", {}).get("analytics"),
            "is_bot": any(bot in event.get("user_agent", "") for bot in BOTS),
        }
        for event in read_events(directory)
    ]
    events = (
        pl.DataFrame(lines, infer_schema_length=None)
        .with_columns(pl.col("at").str.to_datetime(time_zone="UTC"))
        .sort("at")
    )
    crm = directory / "crm"
    return SharingShop(
        events=events.filter(~pl.col("is_bot")),
        bots=events.filter("is_bot"),
        profiles=pl.read_csv(crm / "profiles.csv", schema_overrides={"phone": pl.String}),
        consents=pl.read_csv(crm / "consents.csv"),
        identities=pl.read_csv(directory / "truth" / "identities.csv"),
        customers=pl.read_csv(directory / "truth" / "customers.csv"),
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SharingShop:
    directory = tmp_path_factory.mktemp("sharing") / "shop"
    generate_demo_shop(SHARING, directory)
    return read_shop(directory)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> SharingShop:
    """The same shop, where nobody shares anything."""
    directory = tmp_path_factory.mktemp("alone") / "shop"
    generate_demo_shop(SHARING.model_copy(update=NOBODY_SHARES), directory)
    return read_shop(directory)


@pytest.fixture(scope="module")
def second_accounts(shop: SharingShop) -> pl.DataFrame:
    """One row a person with two accounts: `person`, `older`, `newer`."""
    users = shop.identities.filter(pl.col("kind") == "user").group_by("person")
    return (
        users.agg(pl.col("identifier").sort())
        .filter(pl.col("identifier").list.len() == 2)
        .select(
            "person",
            older=pl.col("identifier").list.first(),
            newer=pl.col("identifier").list.last(),
        )
    )


def test_identities_are_exactly_those_of_the_files(shop: SharingShop) -> None:
    told = {identifier for record in shop.records for identifier in record}
    assert set(shop.persons) == told


def test_identities_of_one_record_have_a_person_in_common(shop: SharingShop) -> None:
    persons = shop.persons
    assert all(set.intersection(*(persons[told] for told in record)) for record in shop.records)


def test_identities_shared_rows_are_those_of_several_persons(shop: SharingShop) -> None:
    users = defaultdict(set)
    for (kind, identifier), persons in shop.persons.items():
        users[canonical(kind, identifier, "DE")] |= persons  # type: ignore[arg-type]
    rows = shop.identities.select("kind", "identifier").iter_rows()
    expected = [len(users[canonical(*row, "DE")]) > 1 for row in rows]  # type: ignore[arg-type]
    assert shop.identities["is_shared"].to_list() == expected


def test_identities_linkable_rows_stand_beside_one_that_is_the_persons_alone(
    shop: SharingShop,
) -> None:
    is_shared = {
        row[:2]: row[2]
        for row in shop.identities.select("kind", "identifier", "is_shared").iter_rows()
    }
    persons = shop.persons
    linkable = {
        (canonical(*told, "DE"), person)  # type: ignore[arg-type]
        for record in shop.records
        for told in record
        for other in record
        if other != told and not is_shared[other]
        for person in persons[other]
    }
    rows = shop.identities.select("kind", "identifier", "person").iter_rows()
    expected = [(canonical(*row[:2], "DE"), row[2]) in linkable for row in rows]  # type: ignore[arg-type]
    assert shop.identities["is_linkable"].to_list() == expected
    assert 0.02 < expected.count(False) / len(expected) < 0.2


def test_customers_are_persons_by_their_first_account(
    shop: SharingShop, second_accounts: pl.DataFrame
) -> None:
    users = shop.customers["user_id"].drop_nulls()
    assert users.is_unique().all()
    assert set(users) == set(shop.profiles["user_id"]) - set(second_accounts["newer"])


def test_second_accounts_have_the_same_name_and_address(
    shop: SharingShop, second_accounts: pl.DataFrame
) -> None:
    names = ["email", "first_name", "last_name", "postal_code", "birth_year"]
    older, newer = (
        second_accounts.join(shop.profiles, left_on=column, right_on="user_id").sort("person")
        for column in ("older", "newer")
    )
    assert 27 <= second_accounts.height <= 33  # 6 % of some 510 accounts
    assert older.select(names).equals(newer.select(names), null_equal=True)
    assert (newer["signed_up_at"] > older["signed_up_at"]).all()


def test_second_accounts_take_over_one_device_with_a_sign_in(
    shop: SharingShop, second_accounts: pl.DataFrame
) -> None:
    used = shop.events.filter(pl.col("device").is_not_null()).join(
        second_accounts, left_on="user_id", right_on="newer"
    )
    takings = used.group_by("person", "older", maintain_order=True).agg(
        pl.col("event").first(), pl.col("device").first(), since=pl.col("at").first(),
        others=pl.col("device").filter(pl.col("device") != pl.col("device").first()).unique(),
    )  # fmt: skip
    later = takings.join(
        shop.events, left_on=["device", "older"], right_on=["device", "user_id"]
    ).filter((pl.col("at") > pl.col("since")) & ~pl.col("event_right").is_in(SERVER_EVENTS))
    assert takings.height == second_accounts.height
    assert set(takings["event"]) == {"Signed In"}
    assert set(takings["others"].explode().drop_nulls()) <= set(shop.shared("device")["identifier"])
    assert later.is_empty()


def test_refunds_go_to_the_account_that_has_ordered(
    shop: SharingShop, second_accounts: pl.DataFrame
) -> None:
    users = pl.concat([second_accounts["older"], second_accounts["newer"]])
    money = shop.events.filter(
        pl.col("order_id").is_not_null(), pl.col("user_id").is_in(users.implode())
    )
    accounts = money.group_by("order_id").agg(
        pl.col("user_id").n_unique(), pl.col("event").unique()
    )
    assert set(accounts["user_id"]) == {1}
    assert (accounts["event"].list.len() == 2).any()


def test_couples_share_an_address_and_are_two(shop: SharingShop) -> None:
    couples = shop.shared("email").filter(count_persons=2)
    partners = (
        shop.profiles.with_columns(pl.col("email").str.to_lowercase())
        .join(couples, left_on="email", right_on="identifier", how="semi")
        .unique(["email", "first_name"])
        .group_by("email")
        .agg("first_name", "last_name", "birth_year")
    )
    assert couples.height == partners.height == 15  # 5 % of 600 customers
    assert set(partners["first_name"].list.n_unique()) == {2}
    assert set(partners["last_name"].list.n_unique()) == {1}
    assert set(partners["birth_year"].list.n_unique()) == {2}


def test_companies_share_an_address_of_an_office(shop: SharingShop) -> None:
    offices = shop.shared("email").filter(count_persons=3)
    kinds = {canonical("email", address)[0] for address in offices["identifier"]}  # type: ignore[index]
    assert offices.height == 6  # 3 % of 600 customers, three to each
    assert kinds == {"shared_email"}


def test_call_centre_orders_for_dozens_with_its_own_address(shop: SharingShop) -> None:
    called = shop.events.filter(pl.col("email") == AGENT_EMAIL)
    orders = shop.events.filter(pl.col("event") == "Order Completed")
    users = shop.identities.filter(pl.col("identifier") == AGENT_EMAIL)
    assert canonical("email", AGENT_EMAIL) == ("email", AGENT_EMAIL)
    assert set(called["event"]) == {"Order Completed"}
    assert called["user_id"].null_count() == 0
    assert 0.08 < called["order_id"].n_unique() / orders["order_id"].n_unique() < 0.11
    assert users.height >= 24
    assert users["is_shared"].all()


def test_family_devices_have_an_owner_and_a_guest(shop: SharingShop) -> None:
    families = shop.shared("device").filter(count_persons=2)
    people = shop.identities.filter(pl.col("kind") == "user").join(
        shop.profiles, left_on="identifier", right_on="user_id"
    )
    homes = families.explode("person").join(people, on="person").group_by("identifier")
    regions = homes.agg(pl.col("region").n_unique())["region"]
    assert 30 <= families.height <= 36  # 6 % of 600 customers; not every owner uses it in the logs
    assert set(regions) == {1}


def test_kiosks_are_signed_in_on_in_every_visit(shop: SharingShop) -> None:
    kiosks = shop.shared("device").filter(pl.col("count_persons") >= 20)
    visits = (
        shop.events.filter(~pl.col("event").is_in(SERVER_EVENTS))
        .join(kiosks, left_on="device", right_on="identifier", how="semi")
        .with_columns(
            visit=(pl.col("at").diff() > pl.duration(minutes=30)).cum_sum().over("device")
        )
        .group_by("device", pl.col("visit").fill_null(0))
        .agg((pl.col("event") == "Signed In").any(), pl.col("user_id").is_null().any())
    )
    assert 3 <= kiosks.height <= 7  # a quarter of 600 customers, 20 to 60 on each
    assert kiosks["count_persons"].max() <= 60  # type: ignore[operator]
    assert visits["event"].all()
    assert visits["user_id"].any()  # looked around before


def test_phones_are_written_in_many_ways(shop: SharingShop) -> None:
    phones = shop.profiles["phone"].drop_nulls()
    kinds = {canonical("phone", phone, "DE")[0] for phone in phones}  # type: ignore[index]
    ways = {phone.translate(str.maketrans("123456789", "9" * 9))[:6] for phone in phones}
    assert 0.55 < len(phones) / shop.profiles.height < 0.68
    assert kinds == {"phone"}
    assert {"+99 99", "+99999", "0099 9", "009999", "+99 (0", "099/99", "099 99"} <= ways


def test_households_share_a_number_and_are_two(shop: SharingShop) -> None:
    shared = shop.identities.filter(pl.col("kind") == "phone", pl.col("is_shared"))
    numbers = defaultdict(set)
    for phone, person in shared.select("identifier", "person").iter_rows():
        numbers[canonical("phone", phone, "DE")].add(person)
    assert sorted(len(persons) for persons in numbers.values()) == [2] * 18  # 6 % of 600


def test_addresses_are_told_at_the_checkout_and_by_newsletters(shop: SharingShop) -> None:
    is_order = pl.col("event") == "Order Completed"
    is_from_mail = pl.col("is_landing") & (pl.col("medium") == "email")
    told = shop.events.filter(pl.col("email").is_not_null())
    assert told.equals(shop.events.filter(is_order | is_from_mail.fill_null(False)))
    assert told.filter(is_from_mail, pl.col("user_id").is_null()).height > 20


def test_guests_who_order_have_an_address(shop: SharingShop) -> None:
    orders = shop.events.filter(pl.col("event") == "Order Completed").select(identifier="email")
    buyers = orders.join(shop.identities, on="identifier").unique("person")
    users = shop.identities.filter(pl.col("kind") == "user")
    guests = buyers.join(users, on="person", how="anti")
    assert 3 <= guests.height <= 15
    assert guests["is_linkable"].all()
    assert not guests["is_shared"].any()


def test_banner_says_what_the_crm_says(shop: SharingShop) -> None:
    decisions = (
        shop.consents.filter(pl.col("purpose") == "analytics")
        .join(shop.identities, left_on="user_id", right_on="identifier")
        .select("person", "state", at=pl.col("recorded_at").str.to_datetime(time_zone="UTC"))
        .sort("at")
    )
    own = shop.identities.filter(pl.col("kind") == "device", ~pl.col("is_shared"))
    answers = (
        shop.events.join(own, left_on="device", right_on="identifier")
        .filter(pl.col("has_agreed").is_not_null())
        .join_asof(decisions, on="at", by="person", check_sortedness=False)
        .drop_nulls("state")
    )
    pairs = answers.group_by("has_agreed", "state").len()
    assert set(pairs.select("has_agreed", "state").iter_rows()) == {
        (True, "granted"),
        (False, "withdrawn"),
    }


def test_banner_is_not_asked_by_servers_nor_of_bots(shop: SharingShop) -> None:
    by_server = pl.col("event").is_in(SERVER_EVENTS)
    from_browsers = shop.events.filter(~by_server)["has_agreed"]
    assert shop.events.filter(by_server)["has_agreed"].is_null().all()
    assert shop.bots["has_agreed"].is_null().all()
    assert 0.02 < from_browsers.null_count() / len(from_browsers) < 0.2


def test_analytics_is_refused_by_three_to_four_in_a_hundred() -> None:
    config, rng = DemoShopConfig(n_customers=20_000), np.random.default_rng(1)
    customers = build_customers(config, build_catalogue(config, rng), rng)
    signed_up_ms = np.where(customers.is_registered, -1, NEVER_MS)
    withdrawn_ms = draw_withdrawals(config, customers, signed_up_ms, rng)
    refuses = ~customers.granted[:, 0] | (withdrawn_ms[:, 0] < NEVER_MS)
    assert 0.03 < refuses.mean() < 0.043


def test_nobody_shares_where_all_rates_are_zero(alone: SharingShop) -> None:
    users = alone.identities.filter(pl.col("kind") == "user")
    assert not alone.identities["is_shared"].any()
    assert users["person"].is_unique().all()
    assert AGENT_EMAIL not in alone.identities["identifier"]


def test_people_do_the_same_whoever_shares_what(shop: SharingShop, alone: SharingShop) -> None:
    what = ["at", "event", "order_id", "medium", "is_landing"]
    assert alone.events.select(what).equals(shop.events.select(what))
    assert alone.customers.equals(shop.customers)
