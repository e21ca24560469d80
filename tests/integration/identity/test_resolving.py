"""From records to persons, on a lake of a few literal rows."""

import json
import random
from datetime import UTC, datetime

import pytest

from jobs.errors import ConfigError
from jobs.identity.config import IdentityConfig
from jobs.identity.deciding import (
    customer_of,
    plan_merge,
    plan_split,
    record_decision,
    withdraw_decision,
)
from jobs.identity.evidence import read_decisions
from jobs.identity.resolving import STAGE, run
from jobs.keys import load_keys
from jobs.lake import connect, create_tables, transact
from jobs.sources.pseudonyms import make_pseudonym
from jobs.stages import StageRequest, digest_of
from tests.integration.dbt.shop import append

STARTED_AT = datetime(2026, 7, 1, 3, tzinfo=UTC)


def at(day, hour=0):
    return datetime(2026, 1, day, hour, tzinfo=UTC)


class Lake:
    """A lake to which a test adds records, and whose identities it asks for."""

    def __init__(self, settings):
        self.settings, self.keys = settings, load_keys(settings)
        self.count = 0
        transact(settings, create_tables, message="tables")

    def add(self, table, *rows):
        """Add rows with what every row needs."""
        full = []
        for row in rows:
            self.count += 1
            ids = dict.fromkeys(
                ("event_id", "order_line_id", "profile_record_id", "consent_id", "link_id"),
                f"r{self.count}",
            )
            full.append({"source": "shop", "file_id": "f1", "is_bot": False, **ids, **row})
        transact(self.settings, lambda con: append(con, f"raw.{table}", full), message="rows")

    def event(self, when, **who):
        return {"event_type": "login", "occurred_at": when, "received_at": when, **who}

    def resolve(self, as_of=datetime(2026, 2, 1, tzinfo=UTC), **config):
        config = IdentityConfig(**config)
        request = StageRequest(
            as_of=as_of, upstream_run_id="u", started_at=STARTED_AT, pipeline="shop"
        )
        return run(
            self.settings, request, digest_of(as_of, config, self.count), "d", config, self.keys
        )

    def query(self, text):
        con = connect(self.settings)
        try:
            return con.execute(text).fetchall()
        finally:
            con.close()

    def people(self):
        """Customer -> its identifiers."""
        rows = self.query(
            "SELECT customer_id, list(identifier ORDER BY identifier) FROM lake.identity.identifiers GROUP BY 1 ORDER BY 1"
        )
        return {customer: set(names) for customer, names in rows}

    def cuts(self):
        return self.query(
            "SELECT identifier, other_identifier, cut_reason FROM lake.identity.links WHERE cut_reason IS NOT NULL ORDER BY ALL"
        )


@pytest.fixture
def lake(settings):
    return Lake(settings)


def test_devices_addresses_and_accounts_become_one_person_of_the_oldest_id(lake):
    lake.add(
        "events",
        lake.event(at(1), anonymous_id="phone"),
        lake.event(at(3), anonymous_id="phone", user_id="u1"),
        lake.event(at(5), anonymous_id="laptop", user_id="u1"),
        lake.event(at(6), anonymous_id="tablet", email="ada"),
        lake.event(at(7), anonymous_id="bot", user_id="u1") | {"is_bot": True},
    )
    lake.add("profiles", {"user_id": "u1", "email": "ada", "updated_at": at(9)})

    counts = lake.resolve()

    assert lake.people() == {"phone": {"phone", "u1", "laptop", "ada", "tablet"}}
    assert (counts["identifiers"], counts["customers"], counts["links"], counts["cut_links"]) == (
        5,
        1,
        4,
        0,
    )


def test_what_was_not_known_yet_joins_nobody(lake):
    lake.add(
        "events",
        lake.event(at(1), anonymous_id="phone"),
        lake.event(at(3), anonymous_id="phone", user_id="u1"),
        lake.event(at(4), anonymous_id="phone", user_id="u1") | {"received_at": at(20)},
    )

    lake.resolve(as_of=at(2))

    assert lake.people() == {"phone": {"phone"}}


def test_each_identifier_tells_since_when_it_is_the_customers(lake):
    """By the surest identifier, the account: what the device did before the sign-in is known to be the account's from then on."""
    lake.add(
        "events",
        lake.event(at(1), anonymous_id="phone"),
        lake.event(at(2), user_id="u1"),
        lake.event(at(3), anonymous_id="phone", user_id="u1"),
        lake.event(at(5), anonymous_id="laptop", user_id="u1"),
    )

    lake.resolve()

    assert lake.query(
        "SELECT identifier, kind, customer_id, timezone('UTC', first_known_at)::DATE::VARCHAR, "
        "timezone('UTC', linked_at)::DATE::VARCHAR, link_kind FROM lake.identity.identifiers ORDER BY 1"
    ) == [
        ("laptop", "device", "phone", "2026-01-05", "2026-01-05", "login"),
        ("phone", "device", "phone", "2026-01-01", "2026-01-03", "login"),
        ("u1", "user", "phone", "2026-01-02", "2026-01-02", None),
    ]


def test_shared_device_joins_nobody_and_is_listed(lake):
    lake.add(
        "events",
        lake.event(at(1), anonymous_id="tablet", user_id="u1"),
        lake.event(at(2), anonymous_id="tablet", user_id="u2"),
    )

    lake.resolve()

    assert lake.people() == {"tablet": {"tablet"}, "u1": {"u1"}, "u2": {"u2"}}
    assert lake.cuts() == [
        ("u1", "tablet", "too_many_persons"),
        ("u2", "tablet", "too_many_persons"),
    ]


def test_two_people_with_one_address_stay_two(lake):
    lake.add(
        "profiles",
        {"user_id": "u1", "email": "both", "name_key": "n1", "updated_at": at(1)},
        {"user_id": "u2", "email": "both", "name_key": "n2", "updated_at": at(2)},
        {"user_id": "u3", "email": "one", "name_key": "n3", "birth_year": 1980, "updated_at": at(1)},
        {"user_id": "u4", "email": "one", "name_key": "n3", "birth_year": 1980, "updated_at": at(2)},
    )  # fmt: skip

    lake.resolve()

    assert lake.people() == {
        "both": {"both"},
        "u1": {"u1"},
        "u2": {"u2"},
        "u3": {"u3", "u4", "one"},
    }
    assert {reason for *_, reason in lake.cuts()} == {"conflicting_profiles"}


def test_order_joins_the_device_that_nobody_signed_in_on(lake):
    bought = {"event_type": "purchase", "order_id": "o1"}
    sold = {"order_id": "o1", "line_type": "sale", "ordered_at": at(2)}
    lake.add("events", lake.event(at(2), anonymous_id="phone") | bought, lake.event(at(1), anonymous_id="pc", user_id="u2"),
             lake.event(at(2), anonymous_id="pc") | bought | {"order_id": "o2"})  # fmt: skip
    lake.add(
        "orders",
        sold | {"user_id": "u1", "email": "ada"},
        sold | {"order_id": "o2", "user_id": "u3"},
    )

    lake.resolve()

    assert lake.people() == {"u1": {"u1", "ada", "phone"}, "u2": {"u2", "pc"}, "u3": {"u3"}}


def test_links_of_other_methods_count_from_their_probability_on(lake):
    stated = {"link_kind": "match", "linked_at": at(2)}
    lake.add(
        "links",
        stated | {"user_id": "u1", "other_user_id": "u2", "probability": 0.99},
        stated | {"user_id": "u3", "other_user_id": "u4", "probability": 0.90},
        {"link_kind": "alias", "linked_at": at(2), "user_id": "u5", "other_user_id": "u6"},
        {"link_kind": "alias", "linked_at": at(3), "user_id": "u6", "other_user_id": "u7"},
        {"link_kind": "alias", "linked_at": at(4), "user_id": "u7", "other_user_id": "u5"},
    )

    lake.resolve()

    assert lake.people() == {
        "u1": {"u1", "u2"},
        "u3": {"u3"},
        "u4": {"u4"},
        "u5": {"u5", "u6", "u7"},
    }
    assert lake.cuts() == [("u3", "u4", "improbable")]


def test_account_in_two_places_at_once_keeps_the_device_at_home(lake):
    home, away = {"country": "DE"}, {"country": "US"}
    lake.add(
        "events",
        *(lake.event(at(day, 8), anonymous_id="pc", user_id="u1") | home for day in range(1, 5)),
        *(lake.event(at(day, 9), anonymous_id="other", user_id="u1") | away for day in range(2, 4)),
        lake.event(at(10), anonymous_id="hotel", user_id="u1") | away,
    )

    lake.resolve()

    assert lake.people() == {"u1": {"u1", "pc", "hotel"}, "other": {"other"}}
    assert lake.cuts() == [("u1", "other", "two_places")]


def test_what_the_shop_calls_shared_joins_nobody(lake):
    kiosk = make_pseudonym(lake.keys, "device", "kiosk-7")
    shared = make_pseudonym(lake.keys, "email", "info@example.com")
    lake.add(
        "events",
        lake.event(at(1), anonymous_id=kiosk, user_id="u1"),
        lake.event(at(1), anonymous_id="pc", email=shared),
        lake.event(at(2), user_id="u1", email=shared),
    )

    lake.resolve(shared=("kiosk-7",))

    assert lake.people() == {kiosk: {kiosk}, "u1": {"u1"}, "pc": {"pc"}}
    assert {reason for *_, reason in lake.cuts()} == {"shared_address"}


def test_ten_thousand_devices_of_one_account_are_one_customer(lake):
    lake.add(
        "events",
        *(
            lake.event(at(1 + number % 28), anonymous_id=f"d{number}", user_id="u1")
            for number in range(10_000)
        ),
    )

    counts = lake.resolve()

    assert (counts["identifiers"], counts["customers"]) == (10_001, 1)


def _records(lake, seed):
    """Events of some people who share devices and addresses, in any order."""
    draw = random.Random(seed)
    rows = [
        lake.event(
            at(draw.randint(1, 28), draw.randint(0, 23)),
            anonymous_id=f"d{draw.randint(0, 9)}",
            user_id=draw.choice([None, f"u{draw.randint(0, 5)}"]),
            email=draw.choice([None, None, f"e{draw.randint(0, 5)}"]),
        )
        for _ in range(40)
    ]
    return rows, draw


@pytest.mark.parametrize("seed", range(4))
def test_ids_do_not_depend_on_the_order_of_arrival_nor_on_batches(settings, tmp_path, seed):
    found = []
    for number, n_batches in enumerate((1, 3)):
        lake = Lake(settings.model_copy(update={"data_dir": tmp_path / str(number)}))
        rows, draw = _records(lake, seed)
        if number:
            draw.shuffle(rows)
        size = -(-len(rows) // n_batches)
        for start in range(0, len(rows), size):
            lake.add("events", *rows[start : start + size])
            lake.resolve()
        found.append(lake.query(
            "SELECT * EXCLUDE (run_id) FROM lake.identity.identifiers ORDER BY ALL"
        ) + lake.query("SELECT * EXCLUDE (run_id) FROM lake.identity.links ORDER BY ALL"))  # fmt: skip

    assert found[0] == found[1]


def test_merge_is_followed_and_written_down_and_taken_back_restores_all(lake):
    lake.add(
        "events",
        lake.event(at(1), user_id="u1"),
        lake.event(at(2), user_id="u2", anonymous_id="pc"),
    )
    lake.resolve()
    before = lake.query("SELECT * EXCLUDE (run_id) FROM lake.identity.identifiers ORDER BY ALL")
    con = connect(lake.settings)
    decision = plan_merge(con, lake.keys, "u1", "pc")
    con.close()

    written = record_decision(lake.settings, decision, "called us", STARTED_AT)
    lake.resolve()
    merged = lake.people()
    withdraw_decision(lake.settings, written.decision_id, STARTED_AT)
    lake.resolve()

    assert decision.identifiers == ("u1", "u2")
    assert merged == {"u1": {"u1", "u2", "pc"}}
    assert (
        lake.query("SELECT * EXCLUDE (run_id) FROM lake.identity.identifiers ORDER BY ALL")
        == before
    )
    assert lake.query(
        "SELECT change, customer_id, new_customer_id, count_identifiers, cause FROM lake.identity.changes ORDER BY rowid"
    ) == [("merged", "u2", "u1", 2, "manual"), ("split", "u1", "u2", 2, "link_withdrawn")]


def test_split_outlives_new_evidence(lake):
    lake.add(
        "events",
        lake.event(at(1), user_id="u1", anonymous_id="pc"),
        lake.event(at(2), user_id="u1", anonymous_id="other"),
    )
    lake.resolve()
    con = connect(lake.settings)
    decision = plan_split(con, lake.keys, ["other"])
    con.close()

    record_decision(lake.settings, decision, "the neighbour's", STARTED_AT)
    lake.add("events", lake.event(at(9), user_id="u1", anonymous_id="other"))
    lake.resolve()

    assert lake.people() == {"u1": {"u1", "pc"}, "other": {"other"}}
    assert lake.cuts() == [("u1", "other", "split")]
    assert lake.query(
        "SELECT change, customer_id, new_customer_id, cause FROM lake.identity.changes"
    ) == [("split", "u1", "other", "split")]


def test_growing_customer_keeps_its_id_and_the_older_one_swallows_the_younger(lake):
    lake.add(
        "events",
        lake.event(at(1), anonymous_id="old"),
        lake.event(at(2), anonymous_id="new", user_id="u1"),
    )
    lake.resolve(as_of=at(5))
    lake.add("events", lake.event(at(6), anonymous_id="old", user_id="u1"))
    lake.resolve(as_of=at(10))
    lake.resolve(as_of=at(5), match_threshold=0.9)  # a run for an earlier day takes nothing back
    lake.resolve(as_of=at(11))

    assert lake.people() == {"old": {"old", "new", "u1"}}
    assert lake.query(
        "SELECT change, customer_id, new_customer_id, count_identifiers, cause, timezone('UTC', caused_at)::VARCHAR "
        "FROM lake.identity.changes"
    ) == [("merged", "u1", "old", 2, "login", "2026-01-06 00:00:00")]


def test_decisions_that_cannot_be_are_refused(lake):
    lake.add(
        "events",
        lake.event(at(1), user_id="u1", anonymous_id="pc"),
        lake.event(at(1), user_id="u2"),
    )
    lake.resolve()
    con = connect(lake.settings)

    with pytest.raises(ConfigError, match="nobody is known"):
        customer_of(con, lake.keys, "ada@example.com")
    with pytest.raises(ConfigError, match="both are u1 already"):
        plan_merge(con, lake.keys, "u1", "pc")
    with pytest.raises(ConfigError, match="all of its 2 identifiers"):
        plan_split(con, lake.keys, ["u1", "pc"])
    with pytest.raises(ConfigError, match="2 customers"):
        plan_split(con, lake.keys, ["pc", "u2"])
    with pytest.raises(ConfigError, match="none of that id holds"):
        withdraw_decision(lake.settings, "nothing", STARTED_AT)
    assert read_decisions(con) == []
    con.close()


def test_truth_judges_the_links_pair_by_pair(lake, tmp_path):
    """Of u1's three identifiers two are joined; the pair of u2 and pc is right; u3 and u4 are wrongly one."""
    named = {text: make_pseudonym(lake.keys, kind, text) for kind, text in (
        ("user", "u1"), ("device", "a"), ("device", "b"), ("user", "u2"), ("device", "pc"), ("user", "u3"), ("user", "u4"),
        ("device", "family"))}  # fmt: skip
    lake.add(
        "events",
        lake.event(at(1), user_id=named["u1"], anonymous_id=named["a"]),
        lake.event(at(1), anonymous_id=named["b"]),
        lake.event(at(2), user_id=named["u2"], anonymous_id=named["pc"]),
        lake.event(at(3), user_id=named["u1"], anonymous_id=named["family"]),
        lake.event(at(4), user_id=named["u2"], anonymous_id=named["family"]),
    )
    lake.add(
        "links",
        {
            "link_kind": "alias",
            "linked_at": at(2),
            "user_id": named["u3"],
            "other_user_id": named["u4"],
        },
    )
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "kind,identifier,person,is_shared,is_linkable\nuser,u1,1,false,true\ndevice,a,1,false,true\ndevice,b,1,false,false\n"
        "user,u2,2,false,true\ndevice,pc,2,false,true\nuser,u3,3,false,true\nuser,u4,4,false,true\n"
        "device,family,1,true,true\ndevice,family,2,true,true\n"
    )

    lake.resolve(truth=truth)

    [(metrics, baseline)] = lake.query(
        "SELECT metrics, baseline_metrics FROM lake.ml.model_runs WHERE model_name = 'identity_links'"
    )
    assert json.loads(metrics) == {
        "pair_precision": round(2 / 3, 6),
        "pair_recall": 1.0,
        "pair_recall_of_all": 0.5,
        "n_pairs_found": 3,
        "n_pairs_true": 4,
        "n_pairs_linkable": 2,
    }
    assert json.loads(baseline)["sign_in"]["pair_precision"] == 1.0


def test_stage_is_on_record(lake):
    lake.add("events", lake.event(at(1), user_id="u1"))
    lake.resolve()

    assert lake.query(f"SELECT count(*) FROM lake.ops.runs WHERE stage = '{STAGE}'") == [(1,)]
