from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import duckdb
import numpy as np
import polars as pl
import pytest

from jobs.lake import TABLES
from jobs.predictions import PropensityConfig, find_cutoff_dates, score, train
from jobs.predictions.examples import FEATURES, read_examples
from jobs.stages import StageRequest

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
TODAY = date(2026, 6, 30)
REQUEST = StageRequest(AS_OF, "features", AS_OF)
CONFIG = PropensityConfig(min_rows=10, min_buyers=2)


@pytest.mark.parametrize(
    ("as_of", "cutoffs"),
    [
        (datetime(2026, 3, 6, tzinfo=UTC), ["2026-03-05", "2026-02-23", "2026-02-13"]),
        (
            datetime(2026, 3, 6, 14, 30, tzinfo=UTC),  # March 6 is not over
            ["2026-03-06", "2026-03-05", "2026-02-23", "2026-02-13"],
        ),
        (
            datetime(2026, 3, 6, tzinfo=timezone(timedelta(hours=1))),  # 23:00 of March 5 in UTC
            ["2026-03-05", "2026-03-04", "2026-02-22", "2026-02-12"],
        ),
    ],
    ids=["midnight", "mid-day", "another time zone"],
)
def test_find_cutoff_dates_are_today_and_a_horizon_apart_from_the_last_complete_day(
    as_of: datetime, cutoffs: list[str]
) -> None:
    config = PropensityConfig(horizon_days=10, n_training_cutoffs=2)

    assert [day.isoformat() for day in find_cutoff_dates(as_of, config)] == cutoffs


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Sixty customers; the first thirty were seen lately, and two thirds of them buy each month."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.execute("CREATE SCHEMA features; CREATE SCHEMA core; CREATE SCHEMA ml")
    con.execute("CREATE TABLE ml.models (model_name VARCHAR, payload BLOB, model_version VARCHAR, as_of_date DATE)")  # fmt: skip
    customers, orders = [], []
    rng = np.random.default_rng(1)
    for cutoff in find_cutoff_dates(AS_OF, CONFIG):
        for number in range(60):
            row = dict.fromkeys(FEATURES, 0.0) | {"days_since_last_seen": float(number)}
            customers.append({"customer_id": f"u{number:02}", "as_of_date": cutoff} | row)
            if number < 30 and rng.random() < 2 / 3:
                at = datetime.combine(cutoff, datetime.min.time(), UTC) + timedelta(days=5)
                orders.append({"customer_id": f"u{number:02}", "ordered_at": at})
    con.register("customers", pl.DataFrame(customers).to_arrow())
    con.execute("CREATE TABLE features.customer_features AS SELECT * FROM customers")
    con.register("orders", pl.DataFrame(orders).to_arrow())
    con.execute("CREATE TABLE core.orders AS SELECT * FROM orders WHERE ordered_at < '2026-07-01'")
    yield con
    con.close()


def store_model(con: duckdb.DuckDBPyConnection, as_of_date: date) -> None:
    rows = train(con, REQUEST, "r1", CONFIG)["ml.models"].to_arrow()
    con.register("rows", rows)
    con.execute("INSERT INTO ml.models BY NAME SELECT *, ?::DATE AS as_of_date FROM rows", [as_of_date])  # fmt: skip


@pytest.mark.parametrize(
    ("ordered_at", "is_buyer"),
    [
        ("2026-05-31 23:59:59+00", False),  # still the day of the cut-off
        ("2026-06-01 00:00:00+00", True),
        ("2026-06-30 23:59:59+00", True),
        ("2026-07-01 00:00:00+00", False),  # after the horizon
    ],
)
def test_read_examples_labels_orders_after_the_cutoff_within_the_horizon(
    con: duckdb.DuckDBPyConnection, ordered_at: str, is_buyer: bool
) -> None:
    con.execute("DELETE FROM core.orders")
    con.execute("INSERT INTO core.orders VALUES ('u07', ?), ('u07', ?)", [ordered_at, ordered_at])

    examples = read_examples(con, [date(2026, 5, 31)], 30)

    assert examples.height == 60
    assert examples.filter("is_buyer")["customer_id"].to_list() == (["u07"] if is_buyer else [])


def test_train_tests_on_the_newest_labelled_cutoff_beside_baselines(
    con: duckdb.DuckDBPyConnection,
) -> None:
    frames = train(con, REQUEST, "r1", CONFIG)

    run = frames["ml.model_runs"].row(0, named=True)
    metrics, baselines, parameters = (
        pl.Series([run[name]]).str.json_decode(infer_schema_length=None).struct.unnest().row(0, named=True)
        for name in ("metrics", "baseline_metrics", "parameters")
    )  # fmt: skip
    assert (run["status"], run["n_train"], run["n_test"]) == ("ok", 120, 60)
    assert parameters["test_cutoff"] == "2026-05-31"
    assert parameters["training_cutoffs"] == ["2026-05-01", "2026-04-01"]
    assert metrics["auc"] > 0.75
    assert set(baselines) == {"recency", "base_rate"}


def test_train_at_mid_day_tests_on_a_horizon_that_is_complete(
    con: duckdb.DuckDBPyConnection,
) -> None:
    at_mid_day = StageRequest(datetime(2026, 7, 1, 12, tzinfo=UTC), "features", AS_OF)

    run = train(con, at_mid_day, "r1", CONFIG)["ml.model_runs"].row(0, named=True)

    assert (run["n_train"], run["n_test"]) == (120, 60)
    assert '"test_cutoff": "2026-05-31"' in run["parameters"]


def test_train_twice_gives_equal_frames_with_the_columns_of_the_lake(
    con: duckdb.DuckDBPyConnection,
) -> None:
    first, second = (train(con, REQUEST, "r1", CONFIG) for _ in range(2))

    for table, frame in first.items():
        assert set(frame.columns) == set(TABLES[table].columns) - {"as_of_date", "run_id", "job"}
        assert frame.equals(second[table])


def test_train_without_history_says_what_is_missing(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DELETE FROM features.customer_features WHERE as_of_date < '2026-05-01'")
    con.execute("DELETE FROM core.orders WHERE ordered_at > '2026-06-01'")

    frames = train(con, REQUEST, "r1", CONFIG.model_copy(update={"n_training_cutoffs": 2}))

    assert frames["ml.models"].is_empty()
    assert frames["ml.model_runs"]["status"].to_list() == ["not_enough_data"]
    assert frames["ml.model_runs"]["message"][0].startswith(
        "0 buyers and 60 others among test rows, at least 2 of each needed"
    )


def test_train_on_an_empty_lake_is_not_enough_data(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("DELETE FROM features.customer_features")

    assert train(con, REQUEST, "r1", CONFIG)["ml.model_runs"]["status"][0] == "not_enough_data"


def test_score_gives_each_customer_a_probability_and_a_decile(
    con: duckdb.DuckDBPyConnection,
) -> None:
    store_model(con, TODAY)

    scores = score(con, REQUEST, "r2", CONFIG)["ml.scores"]

    assert set(scores.columns) == set(TABLES["ml.scores"].columns) - {"as_of_date", "run_id"}
    assert scores["customer_id"].to_list() == [f"u{number:02}" for number in range(60)]
    assert scores["score_name"].unique().to_list() == ["purchase_30d"]
    assert scores["decile"].value_counts().sort("decile")["count"].to_list() == [6] * 10
    assert scores["probability"].head(20).mean() > 2 * scores["probability"].tail(20).mean()


@pytest.mark.parametrize(
    ("trained_on", "horizon_days"),
    [(date(2026, 7, 1), 30), (TODAY, 14)],
    ids=["from the future", "of another horizon"],
)
def test_score_without_a_fitting_model_is_empty(
    con: duckdb.DuckDBPyConnection, trained_on: date, horizon_days: int
) -> None:
    store_model(con, trained_on)
    config = CONFIG.model_copy(update={"horizon_days": horizon_days})

    assert score(con, REQUEST, "r2", config)["ml.scores"].is_empty()
