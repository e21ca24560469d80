"""One shop, told by four trackers and exports: the same orders, the same money, the same customers."""

from decimal import Decimal

import pytest
import yaml

from jobs.lake import connect
from jobs.run_config import load_run_config
from jobs.settings import Settings
from jobs.sources.extraction import extract
from tests.integration.dbt.conftest import resolve_identities, run_dbt
from tests.revealing import reveal
from tests.samples.one_shop import writers
from tests.samples.one_shop.facts import AS_OF, CURRENCY

pytestmark = pytest.mark.e2e

WRITERS = {
    "ga4": writers.write_ga4,
    "segment": writers.write_segment,
    "snowplow": writers.write_snowplow,
    "shopify_orders": writers.write_shopify,
}
TRACKERS = ["ga4", "segment", "snowplow"]
# Its prices are those after the discount on an item; all that follows from them is the same.
WITHOUT_LINE_DISCOUNTS = "snowplow"

# Order, lines, goods after discounts, tax, shipping, paid back, left.
ORDERS = [
    ("#1001", 2, "84.90", "16.13", "4.90", "0.00", "84.90"),
    ("#1002", 1, "46.00", "8.74", "0.00", "0.00", "46.00"),
    ("#1003", 1, "15.00", "2.85", "4.90", "0.00", "15.00"),
    ("#1004", 2, "101.75", "19.33", "0.00", "0.00", "101.75"),
    ("#1005", 2, "32.50", "6.18", "4.90", "32.50", "0.00"),
    ("#1006", 1, "69.17", "13.14", "0.00", "0.00", "69.17"),
    ("#1007", 2, "37.25", "7.08", "4.90", "15.00", "22.25"),
    ("#1008", 1, "49.90", "9.48", "4.90", "0.00", "49.90"),
]
# Order, item, pieces, goods after the discounts on the line and on the order.
LINES = [
    ("#1001", "HAT", "1.00", "47.12"),
    ("#1001", "SCARF", "2.00", "37.78"),
    ("#1002", "MUG", "4.00", "46.00"),
    ("#1003", "GLOVE", "1.00", "15.00"),
    ("#1004", "HAT", "2.00", "81.95"),
    ("#1004", "TEA", "3.00", "19.80"),
    ("#1005", "MUG", "1.00", "12.50"),
    ("#1005", "SCARF", "1.00", "20.00"),
    ("#1006", "TEA", "10.00", "69.17"),
    ("#1007", "GLOVE", "2.00", "30.00"),
    ("#1007", "TEA", "1.00", "7.25"),
    ("#1008", "HAT", "1.00", "49.90"),
]
# Order, item, price, what the lines cost before discounts: of the orders with discounts on lines.
FULL_PRICES = [
    ("#1002", "MUG", "12.50", "50.00"),
    ("#1004", "HAT", "49.90", "99.80"),
    ("#1004", "TEA", "7.25", "21.75"),
]
# Orders and what is left of their money, a row a customer.
CUSTOMERS = [(1, "0.00"), (1, "22.25"), (2, "99.90"), (2, "115.17"), (2, "151.65")]


class Shop:
    """A lake that was filled from one format and built up to the features."""

    def __init__(self, folder, format_):
        logs = folder / "logs"
        logs.mkdir()
        WRITERS[format_](logs)
        self.settings = Settings(_env_file=None, data_dir=folder / "data")
        config_path = folder / "run.yml"
        source = {"name": "shop", "format": format_, "path": str(logs)}
        config_path.write_text(yaml.safe_dump({"name": "one_shop", "sources": [source]}))
        self.loaded = extract(
            self.settings, load_run_config(config_path), config_path, started_at=AS_OF
        )
        variables = {
            "as_of": AS_OF.isoformat(),
            "cutoff_dates": ["2026-03-31"],
            "currency": CURRENCY,
        }
        resolve_identities(self.settings, variables)
        run_dbt(self.settings.data_dir, variables, "build", "--selector", "features")

    def query(self, text):
        """Rows; money and pieces as texts of two places."""
        con = connect(self.settings)
        try:
            rows = reveal(con.execute(text).fetchall())
        finally:
            con.close()
        return [
            tuple(f"{value:.2f}" if isinstance(value, float | Decimal) else value for value in row)
            for row in rows
        ]


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    return {format_: Shop(tmp_path_factory.mktemp(format_), format_) for format_ in WRITERS}


@pytest.mark.parametrize("format_", WRITERS)
def test_one_shop_every_record_is_read(shops, format_):
    loaded = shops[format_].loaded

    assert loaded.loaded > 0
    assert (loaded.rejected, loaded.duplicates) == (0, 0)


@pytest.mark.parametrize("format_", WRITERS)
def test_one_shop_orders_are_the_same(shops, format_):
    assert (
        shops[format_].query(
            "SELECT order_id, count_lines, gross_value - discount_value, tax_value, shipping_value, refunded_value, net_value "
            "FROM lake.core.orders ORDER BY order_id"
        )
        == ORDERS
    )


@pytest.mark.parametrize("format_", WRITERS)
def test_one_shop_order_lines_are_the_same(shops, format_):
    assert (
        shops[format_].query(
            "SELECT order_id, item_id, quantity, gross_value - discount FROM lake.core.order_lines ORDER BY order_id, item_id"
        )
        == LINES
    )


@pytest.mark.parametrize("format_", [name for name in WRITERS if name != WITHOUT_LINE_DISCOUNTS])
def test_one_shop_line_discounts_are_told_apart_from_prices(shops, format_):
    assert (
        shops[format_].query(
            "SELECT order_id, item_id, price, gross_value FROM lake.core.order_lines "
            "WHERE order_id IN ('#1002', '#1004') ORDER BY order_id, item_id"
        )
        == FULL_PRICES
    )


@pytest.mark.parametrize("format_", WRITERS)
def test_one_shop_customers_have_the_same_value(shops, format_):
    assert (
        shops[format_].query(
            "SELECT count_orders, net_value FROM lake.core.customers WHERE count_orders > 0 ORDER BY 1, 2"
        )
        == CUSTOMERS
    )


@pytest.mark.parametrize("format_", TRACKERS)
def test_one_shop_trackers_know_who_only_looked(shops, format_):
    assert shops[format_].query(
        "SELECT user_id, f.count_orders, count_product_views_90d, count_searches_90d, open_cart_value "
        "FROM lake.features.customer_features AS f JOIN lake.core.customers USING (customer_id) WHERE f.count_orders = 0"
    ) == [("C-6", 0, 2, 1, "49.90")]


@pytest.mark.parametrize("format_", ["segment", "snowplow"])
def test_one_shop_features_are_the_same(shops, format_):
    # A refund of two items is one event or two. Where a log tells no discounts on lines, prices are what was paid.
    discounts = ", 'discount_share', 'gross_value'" if format_ == WITHOUT_LINE_DISCOUNTS else ""
    features = (
        f"SELECT COLUMNS(lambda c: c NOT LIKE 'count_events_%' AND c NOT IN (''{discounts})) "
        "FROM lake.features.customer_features ORDER BY customer_id"
    )

    assert len(shops["ga4"].query(features)) == 6
    assert shops[format_].query(features) == shops["ga4"].query(features)
