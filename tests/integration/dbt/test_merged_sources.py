"""Facts of one shop that several sources tell, see `merged_shop.py`."""

from collections.abc import Iterator
from datetime import date

import duckdb
import pytest

from jobs.lake import connect, transact
from jobs.settings import Settings
from tests.integration.dbt import merged_shop
from tests.integration.dbt.conftest import resolve_identities, run_dbt

pytestmark = pytest.mark.integration
ANA = merged_shop.DEVICE  # her id: the device was seen before the shop told of her account


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    folder = tmp_path_factory.mktemp("merged_lake")
    settings = Settings(data_dir=folder)
    transact(settings, merged_shop.fill, message="rows of the test")
    resolve_identities(settings, merged_shop.MERGED)
    run_dbt(folder, merged_shop.MERGED, "build", "--exclude", "test_type:unit")
    con = connect(settings)
    yield con
    con.close()


def test_an_order_counts_once_as_the_shop_tells_it(merged: duckdb.DuckDBPyConnection) -> None:
    orders = merged.execute(
        "SELECT order_id, customer_id, count_lines, gross_value, discount_value, refunded_value, net_value, tax_value, "
        "shipping_value, currency, strftime(ordered_at, '%m-%d %H:%M:%S') "
        "FROM core.orders WHERE customer_id = $ana ORDER BY order_id",
        {"ana": ANA},
    ).fetchall()

    # At 0.9: 30 dollars less 3, of which the newest file says that 8 were given back.
    assert orders == [
        ("o1", ANA, 2, 27.0, 2.7, 7.2, 17.1, 3.6, 4.5, "EUR", "01-10 10:06:30"),
        ("o2", ANA, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "EUR", "02-20 15:00:00"),
    ]


def test_orders_are_flagged_and_test_orders_kept_apart(merged: duckdb.DuckDBPyConnection) -> None:
    flags = merged.execute(
        "SELECT order_id, order_number, is_refunded, is_cancelled, is_zero FROM core.orders "
        "WHERE customer_id = $ana ORDER BY order_id",
        {"ana": ANA},
    ).fetchall()
    tests = merged.execute("SELECT order_id, original_value FROM core.test_orders").fetchall()

    assert flags == [("o1", 1, True, False, False), ("o2", 2, False, False, True)]
    assert tests == [("o3", 20.0)]


def test_what_both_sides_tell_of_an_order_is_compared(merged: duckdb.DuckDBPyConnection) -> None:
    found = merged.execute(
        "SELECT order_id, web_sources, web_value, shop_sources, shop_value, status "
        "FROM marts.order_reconciliation ORDER BY order_id"
    ).fetchall()
    summed = merged.execute(
        "SELECT status, sum(count_orders) FROM marts.order_reconciliation_daily GROUP BY 1 ORDER BY 1"
    ).fetchall()

    assert found == [
        ("o1", "tracker", 30.0, "till", 27.0, "doubled_on_web"),
        ("o2", None, None, "till", 0.0, "not_comparable"),  # after the tracker's last order
        ("o5", "tracker", 7.0, None, None, "doubled_on_web"),
        ("o6", "tracker", 50.0, None, None, "missing_in_shop"),
    ]
    assert summed == [("doubled_on_web", 2), ("missing_in_shop", 1), ("not_comparable", 1)]


def test_lines_keep_price_and_currency_beside_the_converted_values(
    merged: duckdb.DuckDBPyConnection,
) -> None:
    lines = merged.execute(
        "SELECT order_line_id, price, currency, exchange_rate, gross_value, discount, refunded_value, net_value "
        "FROM core.order_lines WHERE order_id = 'o1' ORDER BY 1"
    ).fetchall()

    assert lines == [
        ("s01", 20.0, "USD", 0.9, 18.0, 1.8, 4.8, 11.4),
        ("s02", 5.0, "USD", 0.9, 9.0, 0.9, 2.4, 5.7),
    ]


def test_the_order_says_whose_device_it_was(merged: duckdb.DuckDBPyConnection) -> None:
    """The visit is hers, with the order in it, from the day on which the shop's export told so."""
    sessions = merged.execute(
        "SELECT customer_id, count_events, count_orders FROM core.sessions "
        "WHERE customer_id IN ('ana', $ana)",
        {"ana": ANA},
    ).fetchall()
    assert sessions == [(ANA, 6, 1)]
    known = merged.execute(
        "SELECT as_of_date, is_registered, count_orders, total_value, count_sessions_90d, count_email_opens_90d, "
        "count_email_clicks_90d FROM features.customer_features WHERE customer_id = $ana ORDER BY 1",
        {"ana": ANA},
    ).fetchall()
    assert known == [
        (date(2026, 1, 30), True, 0, 0.0, 0, 1, 1),  # the export came a day later
        (date(2026, 2, 28), True, 2, 17.1, 1, 1, 1),
    ]


def test_a_decision_on_the_device_is_hers(merged: duckdb.DuckDBPyConnection) -> None:
    found = merged.execute(
        "SELECT customers.customer_id FROM core.customers AS customers "
        "JOIN intermediate.int_current_consents AS current USING (customer_id) "
        "WHERE customers.has_marketing_consent AND current.has_consent"
    ).fetchall()
    assert found == [(ANA,)]


def test_purchases_told_again_count_once(merged: duckdb.DuckDBPyConnection) -> None:
    lines = merged.execute(
        "SELECT order_line_id, gross_value, exchange_rate FROM core.order_lines WHERE customer_id = $device ORDER BY 1",
        {"device": merged_shop.RELOADER},
    ).fetchall()
    assert lines == [("t09", 7.0, 1.0), ("t11", 7.0, 1.0), ("t13", 0.0, None)]
    assert merged.execute("SELECT count(*) FROM core.orders WHERE order_id = 'o3'").fetchall() == [
        (0,)
    ]


def test_items_are_described_as_of_the_run(merged: duckdb.DuckDBPyConnection) -> None:
    items = merged.execute(
        "SELECT item_id, title, category, price, currency, is_in_stock FROM core.items ORDER BY 1"
    ).fetchall()
    assert items == [
        ("bulb", "Bulb", None, 6.0, "EUR", False),
        ("lamp", "Lamp", "c2", 24.0, "EUR", None),
        ("vase", "Vase", None, 7.0, "EUR", None),
    ]
    categories = merged.execute(
        "SELECT category_id, path, depth FROM core.categories ORDER BY 1"
    ).fetchall()
    assert categories == [("c1", "Home", 1), ("c2", "Home/Light", 2), ("c3", None, None)]


def test_what_does_not_count_is_counted(merged: duckdb.DuckDBPyConnection) -> None:
    found = merged.execute(
        "SELECT source, sum(n_events), sum(n_bot_events), sum(n_bot_constant_pace), sum(n_told_by_shop), "
        "sum(n_double_firing), sum(n_repeated_order), sum(n_without_rate), sum(n_late_days) "
        "FROM marts.data_quality_daily GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert found == [
        ("mailer", 2, 0, 0, 0, 0, 0, 0, 0),
        ("till", 4, 0, 0, 0, 0, 0, 0, 0),
        ("tracker", 44, 31, 31, 5, 1, 1, 1, 1),
        ("web", 1, 0, 0, 0, 0, 0, 0, 0),
    ]
