"""Public data sets through the loader, by the shipped examples: each number stands in the data's own description."""

from decimal import Decimal

import pytest

from jobs.lake import connect
from jobs.run_config import load_run_config
from jobs.settings import PROJECT_ROOT, Settings
from jobs.sources.extraction import extract
from tests.integration.sources.loading import STARTED_AT, counts

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def load(real_data, tmp_path_factory):
    """Load an example, once for all tests; gives its counts and a function that asks its lake."""
    lakes = {}

    def load(name):
        if name not in lakes:
            settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp(name))
            path = PROJECT_ROOT / f"config/examples/{name}.yml"
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PERSONALAKE_REAL_DATA", str(real_data))
                result = extract(settings, load_run_config(path), path, started_at=STARTED_AT)
            lakes[name] = counts(result), connect(settings)
        counted, con = lakes[name]
        return counted, lambda text: con.execute(text).fetchall()

    yield load
    for _, con in lakes.values():
        con.close()


def test_retailrocket_all_events_are_in(load):
    counted, query = load("retailrocket")

    assert counted == (97381, 97381, 0, 0)
    assert query("SELECT event_type, count(*) FROM lake.raw.events GROUP BY 1 ORDER BY 1") == [
        ("add_to_cart", 12456),
        ("product_view", 75374),
        ("purchase", 9551),
    ]
    assert query(
        "SELECT count(DISTINCT anonymous_id), count(DISTINCT item_id), "
        "strftime(timezone('UTC', min(occurred_at)), '%Y-%m-%d %H:%M:%S'), "
        "strftime(timezone('UTC', max(occurred_at)), '%Y-%m-%d %H:%M:%S') FROM lake.raw.events"
    ) == [(2174, 29905, "2015-05-03 03:25:10", "2015-09-18 02:51:41")]


def test_rees46_repeated_rows_and_the_cut_off_one_are_told(load):
    counted, query = load("rees46")

    assert counted == (17435, 17429, 5, 1)
    assert query(
        "SELECT count(DISTINCT user_id), count(DISTINCT session_id), count(DISTINCT item_id), "
        "count(*) FILTER (price = 0) FROM lake.raw.events"
    ) == [(4504, 5066, 6493, 19)]
    assert query("SELECT line_number, reason_code FROM lake.raw.rejects") == [(17436, "malformed")]


def test_online_retail_signed_value_is_the_published_one(load):
    counted, query = load("online_retail")

    assert counted == (541909, 541909, 0, 0)
    assert query(
        "SELECT round(sum(CASE WHEN line_type = 'return' THEN -1 ELSE 1 END * price * quantity), 2) FROM lake.raw.orders"
    ) == [(Decimal("9747747.93"),)]
    assert query("SELECT line_type, count(*) FROM lake.raw.orders GROUP BY 1 ORDER BY 1") == [
        ("adjustment", 2),
        ("return", 10624),
        ("sale", 531283),
    ]
    assert query(
        "SELECT count(DISTINCT order_id), count(DISTINCT item_id), count(DISTINCT user_id), count(DISTINCT country), "
        "count(*) FILTER (user_id IS NULL), count(*) FILTER (title IS NULL) FROM lake.raw.orders"
    ) == [(25900, 4070, 4372, 38, 135080, 1454)]


def test_online_retail_equal_lines_are_all_kept(load):
    _, query = load("online_retail")

    assert query(
        "SELECT count(*) - count(DISTINCT order_line_id), "
        "count(*) - count(DISTINCT (order_id, item_id, title, line_type, quantity, ordered_at, price, user_id, country)) "
        "FROM lake.raw.orders"
    ) == [(0, 5268)]


def test_online_retail_times_are_britains(load):
    _, query = load("online_retail")

    # 12:50 on a winter's day, 07:37 in British summer time.
    assert query(
        "SELECT timezone('UTC', max(ordered_at))::VARCHAR, "
        "timezone('UTC', min(ordered_at) FILTER (order_id = '555156'))::VARCHAR FROM lake.raw.orders"
    ) == [("2011-12-09 12:50:00", "2011-06-01 06:37:00")]


def test_online_retail_customers_are_the_published_ones(load):
    _, query = load("online_retail")

    assert query(
        "SELECT count(*), count(DISTINCT user_id), count(DISTINCT order_id), count(DISTINCT item_id), "
        "round(sum(price * quantity), 2) FROM lake.raw.orders "
        "WHERE line_type = 'sale' AND user_id IS NOT NULL AND price > 0"
    ) == [(397884, 4338, 18532, 3665, Decimal("8911407.90"))]


def test_ga4_merch_exact_duplicates_are_dropped(load):
    counted, query = load("ga4_merch")

    assert counted == (16003, 15957, 46, 0)
    assert query(
        "SELECT count(DISTINCT anonymous_id), count(DISTINCT (anonymous_id, occurred_at)), "
        "count(*) FILTER (price IS NULL AND quantity IS NULL) FROM lake.raw.events"
    ) == [(4418, 5690, 448)]
    assert query(
        "SELECT count(DISTINCT item_id), count(*) FILTER (item_id IS NULL) FROM lake.raw.events"
    ) == [(809, 448)]


def test_ga4_merch_double_firings_are_all_there(load):
    _, query = load("ga4_merch")

    # To be found by what counts orders: a purchase of the same items within a second of the one before.
    assert query(
        """
        WITH purchases AS (
            SELECT anonymous_id, occurred_at, list_sort(list(DISTINCT coalesce(item_id, ''))) AS items
            FROM lake.raw.events GROUP BY ALL
        ),
        followed AS (
            SELECT occurred_at - lag(occurred_at) OVER w <= INTERVAL 1 SECOND AS is_soon, items = lag(items) OVER w AS is_same
            FROM purchases WINDOW w AS (PARTITION BY anonymous_id ORDER BY occurred_at)
        )
        SELECT count(*), count(*) FILTER (is_same) FROM followed WHERE is_soon
        """
    ) == [(273, 273)]


def test_apache_requests_and_the_one_broken_line(load):
    counted, query = load("apache")

    assert counted == (10000, 9999, 0, 1)
    assert query(
        "SELECT properties ->> 'status', count(*) FROM lake.raw.events GROUP BY 1 HAVING count(*) > 2 ORDER BY 2 DESC"
    ) == [("200", 9125), ("304", 445), ("404", 213), ("301", 164), ("206", 45), ("500", 3)]
    assert query("SELECT line_number, reason_code FROM lake.raw.rejects") == [(8899, "malformed")]
    assert query("SELECT count(DISTINCT event_id) FROM lake.raw.events") == [(9999,)]


def test_apache_rules_say_what_requests_are(load):
    _, query = load("apache")

    assert query("SELECT event_type, count(*) FROM lake.raw.events GROUP BY 1 ORDER BY 1") == [
        ("custom", 5931),
        ("list_view", 1019),
        ("page_view", 1431),
        ("product_view", 1618),
    ]


def test_apache_bots_are_told_by_their_agents(load):
    _, query = load("apache")

    assert query(
        "SELECT is_bot, bot_rule, count(*) FROM lake.raw.events GROUP BY ALL ORDER BY 1"
    ) == [(False, None, 7398), (True, "user_agent", 2601)]


def test_cdnow_all_purchases_are_in(load):
    counted, query = load("cdnow")

    assert counted == (69659, 69659, 0, 0)
    assert query(
        "SELECT sum(amount), count(DISTINCT user_id), count(DISTINCT (user_id, ordered_at)), count(DISTINCT order_id), "
        "count(*) FILTER (amount = 0), count(DISTINCT order_line_id), min(ordered_at)::DATE::VARCHAR, "
        "max(ordered_at)::DATE::VARCHAR FROM lake.raw.orders"
    ) == [(Decimal("2500315.630000"), 23570, 67591, 67591, 80, 69659, "1997-01-01", "1998-06-30")]
