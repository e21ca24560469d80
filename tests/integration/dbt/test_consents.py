"""What the shipped consent policy does to a shop of a few literal rows, before and after somebody withdraws."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.lake import connect, create_tables, transact
from jobs.pipeline.dbt import consent_variables
from jobs.run_config import load_run_config
from jobs.settings import Settings
from tests.integration.dbt.conftest import run_dbt
from tests.integration.dbt.shop import append, at

pytestmark = pytest.mark.integration

CONFIG = """
name: shop
sources:
  - {name: web, format: ga4, path: x}
  - {name: app, format: segment, path: x, consented: [analytics]}
"""


def _event(event_id: str, device: str, when: str, country: str | None, **fields: Any) -> dict:
    return {
        "event_id": event_id,
        "source": "web",
        "event_type": "product_view",
        "occurred_at": at(when),
        "received_at": at(when),
        "anonymous_id": device,
        "item_id": "lamp",
        "country": country,
        "is_bot": False,
        "file_id": "f",
        **fields,
    }


def _consent(consent_id: str, purpose: str, state: str, when: str, **fields: Any) -> dict:
    return {
        "consent_id": consent_id,
        "source": "desk",
        "purpose": purpose,
        "state": state,
        "evidence": "form",
        "recorded_at": at(when),
        "received_at": at(fields.pop("received_at", when)),
        "file_id": "f",
        **fields,
    }


ROWS: dict[str, list[Mapping[str, Any]]] = {
    "raw.events": [
        # Ana agreed to everything; in February she withdraws by e-mail.
        _event("a1", "d-ana", "2026-01-10 10:00", "Germany"),
        _event(
            "a2", "d-ana", "2026-01-10 10:05", "Germany", event_type="purchase", order_id="o-ana",
            price=20.0, user_id="ana",
        ),
        # Ben says nothing and lives where that means no; his order is an order.
        _event("b1", "d-ben", "2026-01-10 10:00", "DE"),
        _event("b2", "d-ben", "2026-01-10 10:05", "DE", event_type="purchase", price=30.0, channel="email"),
        # Cem's visit says that he agreed, Dee's tracker sends nothing otherwise, Eva lives elsewhere, Fay nobody knows where.
        _event("c1", "d-cem", "2026-01-10 10:00", "DE", consent_flags="ads=denied,analytics=granted"),
        _event("d1", "d-dee", "2026-01-10 10:00", "DE", source="app"),
        _event("e1", "d-eva", "2026-01-10 10:00", "United States"),
        _event("f1", "d-fay", "2026-01-10 10:00", None),
        _event("f2", "d-fay", "2026-01-11 10:00", None, consent_flags="Analytics: no"),
    ],
    "raw.consents": [
        _consent("k1", "all", "granted", "2026-01-01 09:00", user_id="ana"),
        _consent("k2", "all", "withdrawn", "2026-02-10 09:00", email="e-ana"),
        # Told a month late, so that it is not known in February.
        _consent("k3", "marketing", "granted", "2026-01-05 09:00", anonymous_id="d-eva", received_at="2026-02-20 09:00"),
    ],
    "identity.identifiers": [
        {
            "identifier": identifier, "kind": kind, "customer_id": customer, "first_known_at": at("2026-01-01"),
            "linked_at": at("2026-01-01"), "run_id": "r",
        }
        for identifier, kind, customer in [
            ("ana", "user", "ana"), ("d-ana", "device", "ana"), ("e-ana", "email", "ana"),
            ("d-eva", "device", "d-eva"),
        ]
    ],
}  # fmt: skip


class Shop:
    """The lake as dbt builds it for an instant, and what its tables say then."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings = folder, Settings(data_dir=folder)
        path = folder / "run.yml"
        path.write_text(CONFIG)
        self.variables = consent_variables(load_run_config(path), path)

        def fill(con: duckdb.DuckDBPyConnection) -> None:
            create_tables(con)
            for table, rows in ROWS.items():
                append(con, table, rows)

        transact(self.settings, fill, message="rows of the test")

    def build(self, as_of: str, cutoff: str) -> dict[str, list[tuple]]:
        instant = datetime.fromisoformat(as_of).replace(tzinfo=UTC).isoformat()
        variables = {"as_of": instant, "cutoff_dates": [cutoff], **self.variables}
        run_dbt(self.folder, variables, "build", "--exclude", "test_type:unit")
        con = connect(self.settings)
        try:
            return {
                name: con.execute(query).fetchall()
                for name, query in {
                    "events": "SELECT event_id FROM features.customer_events ORDER BY 1",
                    "sessions": "SELECT customer_id, count_events FROM core.sessions ORDER BY 1",
                    "orders": "SELECT customer_id, net_value FROM core.orders ORDER BY 1",
                    "refused": "SELECT event_id, rule FROM intermediate.int_refused_events ORDER BY 1",
                    "ledger": "SELECT consent_id, customer_id, state, valid_to, is_current FROM core.consents "
                    "WHERE purpose = 'marketing' ORDER BY 1",
                    "analytics": "SELECT customer_id, state FROM core.consents WHERE purpose = 'analytics' AND is_current",
                    "contactable": "SELECT customer_id FROM core.customers WHERE has_marketing_consent ORDER BY 1",
                    "exportable": "SELECT customer_id FROM intermediate.int_current_consents WHERE has_consent ORDER BY 1",
                    "quality": "SELECT source, sum(n_events), sum(n_without_consent) FROM marts.data_quality_daily "
                    "GROUP BY 1 ORDER BY 1",
                }.items()
            }
        finally:
            con.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("consents"))


@pytest.fixture(scope="module")
def february(shop: Shop) -> dict[str, list[tuple]]:
    return shop.build("2026-02-01", "2026-01-31")


@pytest.fixture(scope="module")
def march(shop: Shop, february: dict[str, list[tuple]]) -> dict[str, list[tuple]]:
    return shop.build("2026-03-01", "2026-02-28")


def test_behaviour_is_that_of_people_who_agree(february: dict[str, list[tuple]]) -> None:
    assert february["events"] == [("a1",), ("a2",), ("b2",), ("c1",), ("d1",), ("e1",), ("f1",)]
    assert february["refused"] == [("b1", "silence"), ("b2", "silence"), ("f2", "flag")]
    assert february["sessions"] == [("ana", 2), ("d-cem", 1), ("d-dee", 1), ("d-eva", 1), ("d-fay", 1)]  # fmt: skip
    assert february["orders"] == [("ana", 20.0), ("d-ben", 30.0)]
    assert february["quality"] == [("app", 1, 0), ("web", 8, 2)]


def test_a_withdrawal_takes_what_came_before_it_and_leaves_the_orders(
    march: dict[str, list[tuple]],
) -> None:
    assert march["events"] == [("a2",), ("b2",), ("c1",), ("d1",), ("e1",), ("f1",)]
    assert march["sessions"] == [("d-cem", 1), ("d-dee", 1), ("d-eva", 1), ("d-fay", 1)]
    assert march["orders"] == [("ana", 20.0), ("d-ben", 30.0)]
    assert march["quality"] == [("app", 1, 0), ("web", 8, 3)]


def test_the_ledger_is_as_was_known(
    february: dict[str, list[tuple]], march: dict[str, list[tuple]]
) -> None:
    assert february["ledger"] == [("k1", "ana", "granted", None, True)]
    assert february["analytics"] == [("ana", "granted")]
    assert march["ledger"] == [
        ("k1", "ana", "granted", at("2026-02-10 09:00"), False),
        ("k2", "ana", "withdrawn", None, True),
        ("k3", "d-eva", "granted", None, True),
    ]
    assert march["analytics"] == [("ana", "withdrawn")]


def test_exports_ask_what_is_known_by_now(
    february: dict[str, list[tuple]], march: dict[str, list[tuple]]
) -> None:
    assert february["contactable"] == [("ana",)]
    assert february["exportable"] == [("d-eva",)]
    assert march["contactable"] == march["exportable"] == [("d-eva",)]
