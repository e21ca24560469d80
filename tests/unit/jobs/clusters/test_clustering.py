import json
from collections.abc import Iterator
from datetime import UTC, date, datetime

import duckdb
import numpy as np
import polars as pl
import pytest

from jobs.clusters import ClusterConfig, assign, train
from jobs.clusters.clustering import choose_n_clusters, find_nearest
from jobs.lake import TABLES
from jobs.stages import Frames, StageRequest
from tests.unit.jobs.clusters.test_vectors import BASE, BUYER

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
REQUEST = StageRequest(AS_OF, "features", AS_OF)
CONFIG = ClusterConfig(min_customers=10, max_clusters=4, n_init=2, n_resamples=4)


def write(con: duckdb.DuckDBPyConnection, frames: Frames) -> None:
    for table, frame in frames.items():
        rows = frame.with_columns(
            pl.lit(date(2026, 6, 30)).alias("as_of_date"), pl.lit("r1").alias("run_id")
        ).to_arrow()
        con.register("rows", rows)
        con.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM rows")


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect()
    con.execute("CREATE SCHEMA features; CREATE SCHEMA ml")
    con.execute("CREATE TABLE ml.models (model_name VARCHAR, payload BLOB, model_version VARCHAR, as_of_date DATE)")  # fmt: skip
    browsers = [
        BASE | {"count_sessions_365d": 20 + n, "days_since_last_seen": n} for n in range(12)
    ]
    buyers = [BUYER | {"count_orders": 4 + n, "count_orders_365d": 4 + n} for n in range(8)]
    rows = pl.DataFrame(browsers + buyers, infer_schema_length=None).with_columns(
        pl.format("u{}", pl.int_range(pl.len()) + 100).alias("customer_id"),
        pl.lit(date(2026, 6, 30)).alias("as_of_date"),
    )
    con.register("rows", rows.to_arrow())
    con.execute("CREATE TABLE features.customer_features AS SELECT * FROM rows")
    yield con
    con.close()


def test_train_parts_buyers_from_browsers_largest_first(con: duckdb.DuckDBPyConnection) -> None:
    config = CONFIG.model_copy(update={"n_clusters": 2})

    clusters = train(con, REQUEST, "r1", config)["ml.clusters"]

    assert clusters["cluster_id"].to_list() == ["c1", "c2"]
    assert clusters["n_customers"].to_list() == [12, 8]
    assert clusters["cluster_name"][0].startswith("Browsers without orders")
    assert clusters["cluster_name"][1].startswith("Buyers")
    assert json.loads(clusters["centroid"][1])["orders"] > 0


def test_train_twice_gives_equal_frames_with_the_columns_of_the_lake(
    con: duckdb.DuckDBPyConnection,
) -> None:
    first, second = (train(con, REQUEST, "r1", CONFIG) for _ in range(2))

    assert set(first) == {"ml.clusters", "ml.models", "ml.model_runs"}
    for table, frame in first.items():
        assert set(frame.columns) == set(TABLES[table].columns) - {"as_of_date", "run_id", "job"}
        assert frame.equals(second[table])


def test_train_with_few_customers_reports_not_enough_data(con: duckdb.DuckDBPyConnection) -> None:
    frames = train(con, REQUEST, "r1", ClusterConfig(min_customers=21))

    assert frames["ml.clusters"].is_empty()
    assert frames["ml.models"].is_empty()
    assert frames["ml.model_runs"].select("status", "message").row(0) == (
        "not_enough_data",
        "20 customers, at least 21 are needed",
    )


def test_train_with_equal_customers_reports_not_enough_data(
    con: duckdb.DuckDBPyConnection,
) -> None:
    con.execute("DELETE FROM features.customer_features WHERE count_orders > 0")
    con.execute("UPDATE features.customer_features SET count_sessions_365d = 1, days_since_last_seen = 1")  # fmt: skip

    assert train(con, REQUEST, "r1", CONFIG)["ml.model_runs"]["status"][0] == "not_enough_data"


def test_assign_uses_the_stored_model_for_every_customer(con: duckdb.DuckDBPyConnection) -> None:
    trained = train(con, REQUEST, "r1", CONFIG.model_copy(update={"n_clusters": 2}))
    write(con, trained)

    assigned = assign(con, REQUEST, "r2", CONFIG)["ml.customer_clusters"]

    assert assigned["cluster_id"].to_list() == ["c1"] * 12 + ["c2"] * 8
    assert assigned["runner_up_cluster_id"].to_list() == ["c2"] * 12 + ["c1"] * 8
    assert (assigned["distance"] <= assigned["runner_up_distance"]).all()
    assert assigned["model_version"].unique().to_list() == trained["ml.models"]["model_version"].to_list()  # fmt: skip


def test_assign_without_a_model_is_empty(con: duckdb.DuckDBPyConnection) -> None:
    assert assign(con, REQUEST, "r2", CONFIG)["ml.customer_clusters"].is_empty()


def test_choose_n_clusters_finds_three_blobs() -> None:
    rng = np.random.default_rng(1)
    blobs = np.concatenate([rng.normal(centre, 0.1, (30, 2)) for centre in (0.0, 5.0, 10.0)])

    choice = choose_n_clusters(blobs, CONFIG)

    assert choice.n_clusters == 3
    assert choice.stabilities[3] == 1
    assert 2 not in choice.stabilities  # not clear enough to be measured
    assert set(choice.silhouettes) == {2, 3, 4}


def test_choose_n_clusters_takes_no_clear_split_that_other_customers_would_not_give() -> None:
    # Two even clouds: each can be halved anywhere, and every half of the customers halves another.
    rng = np.random.default_rng(1)
    clouds = np.concatenate([rng.normal(centre, 1.0, (100, 6)) for centre in (0.0, 3.0)])
    config = CONFIG.model_copy(update={"silhouette_tolerance": 0.99})

    choice = choose_n_clusters(clouds, config)

    assert choice.n_clusters == 2
    assert choice.stabilities[2] > 0.9 > max(choice.stabilities[3], choice.stabilities[4])


def test_train_with_hardly_more_customers_than_clusters_chooses(
    con: duckdb.DuckDBPyConnection,
) -> None:
    config = CONFIG.model_copy(update={"max_clusters": 19})

    assert train(con, REQUEST, "r1", config)["ml.model_runs"]["status"][0] == "ok"


def test_train_records_why_it_chose(con: duckdb.DuckDBPyConnection) -> None:
    metrics = json.loads(train(con, REQUEST, "r1", CONFIG)["ml.model_runs"]["metrics"][0])

    stabilities = {
        row["n_clusters"]: row["stability"] for row in metrics["stability_by_n_clusters"]
    }
    assert set(metrics["silhouette_by_n_clusters"]) == {"2", "3", "4"}
    assert metrics["stability"] == stabilities[metrics["n_clusters"]]


def test_find_nearest_with_a_tie_takes_the_first_centre() -> None:
    nearest, distances = find_nearest(np.array([[0.0]]), np.array([[9.0], [-1.0], [1.0]]))

    assert nearest.tolist() == [[1, 2]]
    assert distances.tolist() == [[1.0, 1.0]]
