import json
from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pytest

from jobs.lake import TABLES
from jobs.recommendations import RecommendationConfig, evaluate, recommend
from jobs.stages import StageRequest

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
REQUEST = StageRequest(AS_OF, "features", AS_OF)
CONFIG = RecommendationConfig(n_recommendations=3, min_test_customers=1, min_interactions=1)

# Ann, Bob and Cid know the lamp and the bulb; Dan knows the lamp only.
EVENTS = [
    ("ann", "product_view", "lamp", "2026-06-01"),
    ("ann", "purchase", "bulb", "2026-06-02"),
    ("bob", "product_view", "lamp", "2026-06-01"),
    ("bob", "purchase", "bulb", "2026-06-03"),
    ("cid", "product_view", "lamp", "2026-06-01"),
    ("cid", "product_view", "bulb", "2026-06-03"),
    ("cid", "purchase", "vase", "2026-06-04"),
    ("dan", "product_view", "lamp", "2026-06-20"),
]
CATEGORIES = {"lamp": "light", "bulb": "light", "candle": "light", "vase": "decor", "rug": "decor"}


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.execute("CREATE SCHEMA features; CREATE SCHEMA core")
    con.execute(
        "CREATE TABLE features.customer_events (customer_id VARCHAR, event_type VARCHAR, item_id VARCHAR, "
        "category VARCHAR, occurred_at TIMESTAMPTZ, known_at TIMESTAMPTZ)"
    )
    con.execute(
        "CREATE TABLE core.items (item_id VARCHAR, category VARCHAR, is_in_stock BOOLEAN, "
        "available_from TIMESTAMPTZ, available_until TIMESTAMPTZ)"
    )
    con.execute("CREATE TABLE core.customers (customer_id VARCHAR)")
    con.execute("INSERT INTO core.customers VALUES ('ann'), ('bob'), ('cid'), ('dan'), ('eve')")
    for item, category in CATEGORIES.items():
        con.execute("INSERT INTO core.items VALUES (?, ?, true, null, null)", [item, category])
    for event in EVENTS:
        add_event(con, *event)
    yield con
    con.close()


def add_event(
    con: duckdb.DuckDBPyConnection, customer: str, event_type: str, item: str | None, day: str,
    category: str | None = None,
) -> None:  # fmt: skip
    category = category or CATEGORIES.get(item or "")
    con.execute(
        "INSERT INTO features.customer_events VALUES (?, ?, ?, ?, ?, ?)",
        [customer, event_type, item, category, day, day],
    )


def list_items(
    con: duckdb.DuckDBPyConnection, customer: str, config: RecommendationConfig = CONFIG
) -> list[tuple[str, str, str, str | None]]:
    frame = recommend(con, REQUEST, "r1", config)["ml.recommendations"]
    rows = frame.filter(customer_id=customer).sort("rank")
    return rows.select("item_id", "source", "reason_code", "anchor_item_id").rows()


def test_recommend_follows_history_then_category_then_popularity(
    con: duckdb.DuckDBPyConnection,
) -> None:
    config = CONFIG.model_copy(update={"recommend_seen": False})
    con.execute("DELETE FROM features.customer_events WHERE customer_id = 'cid'")
    add_event(con, "fay", "purchase", "candle", "2026-06-10")
    add_event(con, "gus", "purchase", "rug", "2026-06-10")

    assert list_items(con, "dan", config) == [
        ("bulb", "item_to_item", "because_you_viewed", "lamp"),
        ("candle", "category_popular", "popular_in_category", None),
        ("rug", "popular", "popular", None),
    ]


def test_recommend_without_history_lists_what_is_popular(con: duckdb.DuckDBPyConnection) -> None:
    found = list_items(con, "eve")

    assert [row[0] for row in found] == ["bulb", "lamp", "vase"]
    assert {row[1:] for row in found} == {("popular", "popular", None)}


def test_recommend_shows_what_was_viewed_but_not_what_was_bought(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert list_items(con, "dan")[0] == ("lamp", "item_to_item", "viewed_before", "lamp")
    assert [row[0] for row in list_items(con, "ann")] == ["lamp", "vase", "candle"]
    assert list_items(con, "ann")[0][1:] == ("item_to_item", "because_you_bought", "bulb")


def test_recommend_shows_bought_items_again_where_buyers_come_back(
    con: duckdb.DuckDBPyConnection,
) -> None:
    add_event(con, "bob", "purchase", "bulb", "2026-06-13")

    assert list_items(con, "ann")[0] == ("bulb", "item_to_item", "buy_again", "bulb")


@pytest.mark.parametrize(
    "change",
    [
        "is_in_stock = false",
        "available_until = '2026-07-01 00:00:00+00'",
        "available_from = '2026-07-02 00:00:00+00'",
    ],
)
def test_recommend_leaves_out_what_cannot_be_bought_though_it_informs(
    con: duckdb.DuckDBPyConnection, change: str
) -> None:
    con.execute(f"UPDATE core.items SET {change} WHERE item_id = 'lamp'")

    frames = recommend(con, REQUEST, "r1", CONFIG)

    assert "lamp" not in frames["ml.recommendations"]["item_id"]
    assert "lamp" not in frames["ml.item_to_items"]["similar_item_id"]
    assert list_items(con, "dan")[0] == ("bulb", "item_to_item", "because_you_viewed", "lamp")


def test_recommend_knows_nothing_of_what_came_after(con: duckdb.DuckDBPyConnection) -> None:
    before = recommend(con, REQUEST, "r1", CONFIG)
    add_event(con, "ann", "purchase", "rug", "2026-07-01")

    after = recommend(con, REQUEST, "r1", CONFIG)

    assert all(frame.equals(after[table]) for table, frame in before.items())


def test_recommend_in_any_chunk_size_is_equal_and_fits_the_lake(
    con: duckdb.DuckDBPyConnection,
) -> None:
    whole = recommend(con, REQUEST, "r1", CONFIG)
    pieces = recommend(con, REQUEST, "r1", CONFIG.model_copy(update={"max_cells": 1}))

    for table, frame in whole.items():
        assert set(frame.columns) == set(TABLES[table].columns) - {"as_of_date", "run_id"}
        assert frame.drop("model_version").equals(pieces[table].drop("model_version"))
    expiries = whole["ml.recommendations"]["expires_at"].unique().to_list()
    assert expiries == [datetime(2026, 7, 8, tzinfo=UTC)]


def test_recommend_relates_items_that_customers_share(con: duckdb.DuckDBPyConnection) -> None:
    related = recommend(con, REQUEST, "r1", CONFIG)["ml.item_to_items"]

    # The vase shares one customer only, which is a coincidence.
    assert related.select("item_id", "rank", "similar_item_id", "n_customers").rows() == [
        ("bulb", 1, "lamp", 3),
        ("lamp", 1, "bulb", 3),
    ]


def test_recommend_in_a_shop_without_events_uses_the_catalogue(
    con: duckdb.DuckDBPyConnection,
) -> None:
    con.execute("DELETE FROM features.customer_events")

    assert [row[0] for row in list_items(con, "eve")] == ["bulb", "candle", "lamp"]


def test_evaluate_compares_with_baselines_on_later_purchases(
    con: duckdb.DuckDBPyConnection,
) -> None:
    config = CONFIG.model_copy(update={"horizon_days": 10, "n_recommendations": 1})
    add_event(con, "dan", "purchase", "lamp", "2026-06-25")
    add_event(con, "new", "purchase", "lamp", "2026-06-25")  # unknown at the cut

    run = evaluate(con, REQUEST, "r1", config)["ml.model_runs"].row(0, named=True)

    assert (run["status"], run["n_train"], run["n_test"]) == ("ok", 8, 1)
    assert json.loads(run["metrics"])["hit_rate_at_1"] == 1.0
    rates = {
        name: metrics["hit_rate_at_1"]
        for name, metrics in json.loads(run["baseline_metrics"]).items()
    }
    assert rates == {"popular": 0, "popular_recent": 0, "last_viewed": 1, "last_bought": 0}


def test_evaluate_without_purchases_reports_not_enough_data(
    con: duckdb.DuckDBPyConnection,
) -> None:
    config = CONFIG.model_copy(update={"horizon_days": 5})

    run = evaluate(con, REQUEST, "r1", config)["ml.model_runs"].row(0, named=True)

    assert (run["status"], run["message"]) == (
        "not_enough_data",
        "0 known customers who bought since, at least 1 needed",
    )
