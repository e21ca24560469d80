"""Tables and queries of a real PostgreSQL as sources."""

from datetime import UTC, datetime
from decimal import Decimal

import psycopg2
import pytest

from jobs.errors import ConfigError, TransientError

pytestmark = pytest.mark.integration

ORDERS = """
file_type: parquet
entity: orders
columns: {order_line_id: id, order_id: number, ordered_at: placed_at, user_id: customer, price: price, quantity: pieces}
constants: {currency: EUR}
"""


class Shop:
    def __init__(self, url):
        self.url = url
        self.execute(
            "CREATE TABLE lines (id bigint, number text, placed_at timestamptz, changed_at timestamptz, "
            "customer text, price numeric(12, 4), pieces int)"
        )

    def execute(self, *statements):
        con = psycopg2.connect(self.url)
        with con, con.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        con.close()

    def sell(self, *ids, minute=0, price="2.5001"):
        at = f"2026-06-01 10:{minute:02}:00+02"
        self.execute(
            *(
                f"INSERT INTO lines VALUES ({id_}, 'A{id_}', '{at}', '{at}', 'u1', {price}, 2)"
                for id_ in ids
            )
        )


@pytest.fixture
def shop(postgres_server):
    return Shop(postgres_server.make_database())


@pytest.fixture
def erp(deployment, shop):
    def configure(more="table: lines, watermark: changed_at"):
        deployment.configure(
            f"name: erp, path: '{shop.url}', mapping: orders.yml, {more}", orders=ORDERS
        )

    configure()
    deployment.configure_erp = configure
    return deployment


def test_rows_beyond_the_watermark_are_read_once(erp, shop):
    shop.sell(1, 2)
    first = erp.extract()
    shop.sell(3, minute=5)
    second, third = erp.extract(), erp.extract()

    assert (first.loaded, second.loaded, third.loaded) == (2, 1, 0)
    assert erp.query(
        "SELECT order_line_id, ordered_at, price, quantity FROM raw.orders ORDER BY 1"
    ) == [
        ("erp:1", datetime(2026, 6, 1, 8, tzinfo=UTC), Decimal("2.5001"), 2),
        ("erp:2", datetime(2026, 6, 1, 8, tzinfo=UTC), Decimal("2.5001"), 2),
        ("erp:3", datetime(2026, 6, 1, 8, 5, tzinfo=UTC), Decimal("2.5001"), 2),
    ]


def test_rows_that_were_committed_late_are_found_within_the_overlap(erp, shop):
    shop.sell(1, minute=8)
    erp.extract()
    shop.sell(2, minute=1)  # 7 minutes before the watermark

    assert erp.extract().loaded == 1


def test_row_without_a_watermark_is_read_whole_and_the_newest_telling_counts(erp, shop):
    erp.configure_erp("query: 'SELECT * FROM lines WHERE pieces > 0'")
    shop.sell(1, 2)
    erp.extract()
    shop.execute("DELETE FROM lines WHERE id = 1", "UPDATE lines SET pieces = 9 WHERE id = 2")
    shop.sell(3)
    erp.extract()

    assert erp.query("SELECT order_line_id, quantity FROM raw.orders ORDER BY 1") == [
        ("erp:2", 9),
        ("erp:3", 2),
    ]
    assert erp.query("SELECT state FROM raw.files ORDER BY rowid") == [("superseded",), ("loaded",)]


def test_password_stands_nowhere(erp, shop):
    shop.sell(1)
    erp.extract()
    erp.configure_erp("table: no_such_table")

    with pytest.raises(ConfigError, match="no_such_table") as fault:
        erp.extract()

    assert "not-a-secret" not in str(fault.value)
    assert "not-a-secret" not in str(erp.query("SELECT * FROM raw.files"))


def test_unreachable_server_is_worth_a_retry(erp, shop):
    shop.url = "postgresql://user:not-a-secret@127.0.0.1:9/shop"
    erp.configure_erp()

    with pytest.raises(TransientError) as fault:
        erp.extract()

    assert "not-a-secret" not in str(fault.value)


def test_sample_of_a_table_is_shown_before_it_is_loaded(erp, shop):
    from jobs.run_config import load_run_config
    from jobs.sources.sampling import sample_sources

    shop.sell(1, 2)

    [sample] = sample_sources(
        load_run_config(erp.config_path), erp.config_path, datetime(2026, 7, 1, tzinfo=UTC)
    )

    [table] = sample.tables
    assert (table.entity, table.count_rows, table.count_good) == ("orders", 2, 2)
    assert {column.name: column.source for column in table.columns}["ordered_at"] == "placed_at"
