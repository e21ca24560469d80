"""Both stages on a lake of literal rows, see `shop.py`."""

import json
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pytest

from jobs.identity.deciding import plan_merge, record_decision, withdraw_decision
from jobs.keys import load_keys
from jobs.lake import connect
from jobs.settings import Settings
from tests.integration.dbt import shop
from tests.integration.dbt.conftest import BuiltLake, hash_tables, resolve_identities, run_dbt

pytestmark = pytest.mark.integration

EARLY_DAY = date(2026, 1, 14)
JANUARY, FEBRUARY = date(2026, 1, 29), date(2026, 2, 28)


def rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple]:
    return con.execute(sql).fetchall()


def test_build_without_ml_rows_makes_every_table(built_lake: BuiltLake) -> None:
    empty = {name for name, digest in built_lake.without_ml.items() if digest.startswith("0 ")}
    assert set(built_lake.without_ml) == set(built_lake.first_hashes)
    assert {
        "marts.segment_memberships",
        "marts.recommendations",
        "exports.segments",
        "exports.recommendations",
    } <= empty
    assert "features.customer_features" not in empty


def test_second_build_changes_no_table(built_lake: BuiltLake) -> None:
    assert built_lake.second_hashes == built_lake.first_hashes


def test_selectors_share_out_every_node_once(built_lake: BuiltLake) -> None:
    assert sorted(built_lake.stage_nodes) == sorted(built_lake.all_nodes)


def test_unit_tests_pass(built_lake: BuiltLake) -> None:
    assert run_dbt(built_lake.folder, shop.MAIN, "test", "--selector", "unit_tests")


def test_events_of_both_devices_belong_to_the_user_who_signed_in(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        con,
        "SELECT event_id, customer_id FROM features.customer_events WHERE event_id < 'e08' ORDER BY 1",
    )
    assert found == [
        ("e01", shop.PHONE),
        ("e02", shop.PHONE),
        ("e03", shop.PHONE),
        ("e04", shop.PHONE),
        ("e05", "u2"),
        ("e06", "u3"),
        ("e07", shop.SHARED),
    ]


def test_events_hold_neither_bots_nor_strangers_nor_the_future(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(con, "SELECT max(event_id), count(*) FROM features.customer_events")
    assert found == [("e13", 13)]
    assert rows(con, "SELECT actor_id, rule FROM intermediate.int_bots") == [("a-bot", "flagged")]


def test_features_of_a_past_cutoff_leave_out_what_was_known_later(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        con,
        "SELECT customer_id, as_of_date, count_events_365d, count_product_views_90d, count_orders "
        "FROM features.customer_features WHERE customer_id IN ('a-phone', 'u2') ORDER BY ALL",
    )
    assert found == [
        (shop.PHONE, date(2026, 1, 14), 2, 1, 0),
        (shop.PHONE, JANUARY, 2, 1, 0),  # the laptop's view was not yet linked
        (shop.PHONE, FEBRUARY, 7, 2, 1),
        ("u2", date(2026, 1, 14), 1, 0, 0),
        ("u2", JANUARY, 1, 0, 0),  # the order of January 25 arrived on February 2
        ("u2", FEBRUARY, 2, 0, 1),
    ]


def test_refunds_are_netted(con: duckdb.DuckDBPyConnection) -> None:
    lines = rows(
        con,
        "SELECT order_line_id, refunded_quantity, refunded_value, net_value "
        "FROM core.order_lines WHERE order_id = 'o1' ORDER BY 1",
    )
    assert lines == [("e09", 1.0, 9.0, 9.0), ("e10", 0.0, 0.0, 5.0)]
    orders = rows(
        con,
        "SELECT gross_value, discount_value, refunded_value, net_value, currency, is_refunded "
        "FROM core.orders WHERE order_id = 'o1'",
    )
    assert orders == [(25.0, 2.0, 9.0, 14.0, "EUR", True)]
    features = rows(
        con,
        "SELECT total_value, value_30d, refund_rate, discount_share FROM features.customer_features "
        f"WHERE customer_id = 'a-phone' AND as_of_date = '{FEBRUARY}'",
    )
    assert features == [(14.0, 14.0, 0.36, 0.08)]


def test_equal_buyers_get_equal_scores(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "SELECT customer_id, recency_score, frequency_score, monetary_score "
        f"FROM features.customer_features WHERE as_of_date = '{FEBRUARY}' ORDER BY 1",
    )
    assert found == [
        (shop.PHONE, 3, 1, 4),
        (shop.SHARED, None, None, None),
        ("u2", 2, 1, 3),
        ("u3", None, None, None),
        ("u4", 5, 1, 1),
        ("u5", 5, 1, 1),
    ]


def test_consent_is_history_in_core_and_the_latest_decision_for_exports(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(con, "SELECT customer_id, has_marketing_consent FROM core.customers ORDER BY 1")
    assert found == [
        (shop.PHONE, True),
        (shop.SHARED, False),
        ("u2", False),
        ("u3", False),
        ("u4", False),
        ("u5", True),
    ]
    current = rows(
        con,
        "SELECT customer_id FROM intermediate.int_current_consents WHERE has_consent ORDER BY 1",
    )
    assert current == [(shop.PHONE,), ("u4",)]


def test_history_keeps_what_changed_from_one_run_to_the_next(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """The lake was built for January 14th, then three times for February 28th."""
    found = rows(
        con,
        "SELECT customer_id, lifecycle_stage, archetype, valid_from, valid_to FROM core.customer_history ORDER BY 1, 4",
    )
    assert found == [
        (shop.PHONE, "new", "newcomer", EARLY_DAY, FEBRUARY),
        (shop.PHONE, "active", "buyer", FEBRUARY, None),
        (shop.SHARED, "new", "newcomer", EARLY_DAY, FEBRUARY),
        (shop.SHARED, "at_risk", "newcomer", FEBRUARY, None),
        ("u2", "new", "newcomer", EARLY_DAY, FEBRUARY),
        ("u2", "at_risk", "buyer", FEBRUARY, None),
        ("u3", "new", "newcomer", EARLY_DAY, FEBRUARY),
        ("u3", "at_risk", "newcomer", FEBRUARY, None),
        ("u4", "new", "buyer", FEBRUARY, None),
        ("u5", "new", "buyer", FEBRUARY, None),
    ]
    assert rows(con, "SELECT * FROM intermediate.int_customer_history_days ORDER BY 1") == [
        (EARLY_DAY,),
        (FEBRUARY,),
    ]


def test_memberships_are_islands_and_exports_hold_consenting_members(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        con,
        "SELECT customer_id, valid_from, valid_to FROM marts.segment_memberships "
        "WHERE kind = 'rule' ORDER BY ALL",
    )
    assert found == [
        (shop.PHONE, shop.DAYS[0], shop.DAYS[1]),
        (shop.PHONE, shop.DAYS[2], None),
        ("u2", shop.DAYS[0], None),
    ]
    exported = rows(
        con,
        "SELECT customer_id, segment_id, kind, member_since FROM exports.segments ORDER BY ALL",
    )
    assert exported == [
        (shop.PHONE, "c1", "cluster", FEBRUARY),
        (shop.PHONE, "keen", "rule", FEBRUARY),
        (shop.PHONE, "rfm_about_to_sleep", "rfm", FEBRUARY),
        ("u4", "rfm_new_customers", "rfm", FEBRUARY),
    ]


def test_recommendations_leave_out_sold_out_items_and_say_why(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = rows(
        con, "SELECT customer_id, rank, item_id, reason FROM marts.recommendations ORDER BY ALL"
    )
    assert found == [
        (shop.PHONE, 1, "i2", "because you viewed Lamp"),
        ("u5", 1, "i1", "popular this month"),
    ]
    exported = rows(con, "SELECT customer_id, rank, item_id FROM exports.recommendations")
    assert exported == [(shop.PHONE, 1, "i2")]


def test_kpis_of_all_tables_tell_of_the_same_orders(con: duckdb.DuckDBPyConnection) -> None:
    totals = {
        name: rows(con, f"SELECT {counted}, round(sum(net_value), 2) FROM {name} {condition}")
        for name, counted, condition in (
            ("core.orders", "count(*)", ""),
            ("marts.kpis_daily", "sum(n_orders)", ""),
            ("marts.cohort_retention", "sum(n_orders)", ""),
        )
    }
    assert list(totals.values()) == 3 * [[(4, 34.0)]]
    days = rows(
        con,
        "SELECT day, n_customers, n_new_customers, n_customers_28d, n_sessions, n_buyers, stickiness "
        "FROM marts.kpis_daily WHERE n_customers > 0 ORDER BY day LIMIT 3",
    )
    assert days == [
        (date(2026, 1, 10), 1, 1, 1, 1, 0, 1.0),
        (date(2026, 1, 11), 3, 3, 4, 3, 0, 0.75),
        (date(2026, 1, 12), 1, 0, 4, 1, 0, 0.25),
    ]


def test_items_are_measured_over_each_window(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        con,
        "SELECT item_id, window_days, n_views, n_orders, returned_quantity, net_value, rank_by_net_value "
        "FROM marts.item_performance ORDER BY ALL",
    )
    assert found == [
        ("i1", 30, 0, 1, 1.0, 9.0, 2),
        ("i1", 90, 2, 2, 1.0, 19.0, 1),
        ("i2", 30, 0, 3, 0.0, 15.0, 1),
        ("i2", 90, 1, 3, 0.0, 15.0, 2),
        ("i3", 30, 0, 0, 0.0, 0.0, None),
        ("i3", 90, 0, 0, 0.0, 0.0, None),
    ]


def test_segment_kpis_keep_earlier_dates_whatever_is_built(built_lake: BuiltLake) -> None:
    later = shop.MAIN | {"as_of": "2026-03-02T00:00:00+00:00"}
    found = []
    for arguments in ([], [], ["--full-refresh"]):
        run_dbt(built_lake.folder, later, "run", "--select", "segment_kpis", *arguments)
        con = connect(built_lake.settings)
        found.append(
            rows(
                con,
                "SELECT as_of_date, segment_id, n_customers, n_entered, n_left, share "
                "FROM marts.segment_kpis WHERE kind = 'rule' ORDER BY ALL",
            )
        )
        con.close()

    # Both are members in February, one of them anew; the evaluation of March is that of February still.
    share = pytest.approx(2 / 6, abs=1e-6)
    expected = [
        (FEBRUARY, "keen", 2, 1, 0, share),
        (date(2026, 3, 1), "keen", 2, 0, 0, share),
    ]
    assert found == 3 * [expected]


def test_documentation_is_generated_without_a_network(built_lake: BuiltLake) -> None:
    run_dbt(built_lake.folder, shop.MAIN, "docs", "generate")

    catalog = json.loads((built_lake.folder / "target" / "catalog.json").read_text("utf-8"))
    documented = {
        f"{table['metadata']['schema']}.{table['metadata']['name']}"
        for table in catalog["nodes"].values()
    }
    assert set(built_lake.first_hashes) <= documented


def _identities(settings: Settings) -> list[tuple[Any, ...]]:
    con = connect(settings)
    try:
        return [
            con.execute(
                f"SELECT * EXCLUDE (run_id) FROM lake.identity.{name} ORDER BY ALL"
            ).fetchall()
            for name in ("identifiers", "links")
        ]
    finally:
        con.close()


def _build(built_lake: BuiltLake) -> None:
    resolve_identities(built_lake.settings, shop.MAIN)
    run_dbt(built_lake.folder, shop.MAIN, "run")


def test_history_follows_a_merge_and_taking_it_back_restores_all_tables(
    built_lake: BuiltLake,
) -> None:
    """The last test of this file: it builds the lake anew, twice."""
    settings = built_lake.settings
    identities, tables = _identities(settings), hash_tables(settings)
    decided_at = datetime(2026, 3, 2, tzinfo=UTC)
    con = connect(settings)
    decision = plan_merge(con, load_keys(settings), shop.LAPTOP, "u2")
    con.close()

    written = record_decision(settings, decision, "one person, says the shop", decided_at)
    _build(built_lake)
    con = connect(settings)
    owners = {
        name: rows(con, f"SELECT DISTINCT customer_id FROM {name} WHERE customer_id IN ('u2', 'a-phone')")
        for name in (
            "core.customers", "core.orders", "features.customer_events", "marts.segment_memberships", "core.consents",
        )
    }  # fmt: skip
    # The run's cut-offs are computed anew; an earlier run's stay as they were known then.
    featured = rows(
        con,
        "SELECT as_of_date, list(customer_id ORDER BY 1) FROM features.customer_features "
        "WHERE customer_id IN ('u2', 'a-phone') GROUP BY 1 ORDER BY 1",
    )
    memberships = rows(
        con,
        "SELECT customer_id, valid_from, valid_to FROM marts.segment_memberships WHERE kind = 'rule'",
    )
    n_orders = rows(con, "SELECT count_orders FROM core.customers WHERE customer_id = 'a-phone'")
    histories = rows(
        con,
        "SELECT valid_from, valid_to FROM core.customer_history WHERE customer_id = 'u2' ORDER BY 1",
    )
    con.close()
    withdraw_decision(settings, written.decision_id, decided_at)
    _build(built_lake)

    assert list(owners.values()) == 5 * [[(shop.PHONE,)]]
    assert featured == [
        (date(2026, 1, 14), [shop.PHONE, "u2"]),
        (JANUARY, [shop.PHONE]),
        (FEBRUARY, [shop.PHONE]),
    ]
    assert memberships == [(shop.PHONE, shop.DAYS[0], None)]
    assert n_orders == [(2,)]
    assert histories == [(EARLY_DAY, FEBRUARY)]
    assert _identities(settings) == identities
    assert hash_tables(settings) == tables
    # A run for an earlier day finds later history and leaves it alone; a full refresh keeps it.
    history = ("int_customer_history_days", "dim_customer_history")
    run_dbt(built_lake.folder, shop.EARLY, "run", "--full-refresh", "--select", *history)
    assert hash_tables(settings) == tables
