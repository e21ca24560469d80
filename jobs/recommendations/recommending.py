"""Recommend items to every customer, and tell how good that would have been a month ago.

Reads `features.customer_events`, `core.customers`, `core.items`; writes `ml.recommendations`, `ml.item_to_items`
(`recommend`) and `ml.model_runs` (`evaluate`). Equal inputs give equal rows.
"""

from datetime import datetime, timedelta

import duckdb
import numpy as np
import polars as pl
from scipy import sparse

from jobs.model_runs import ModelRun, make_model_version, tabulate_model_run
from jobs.recommendations.config import RecommendationConfig
from jobs.recommendations.evaluation import list_baselines, measure_lists
from jobs.recommendations.interactions import Interactions, read_interactions
from jobs.recommendations.item_similarity import build_similarity
from jobs.recommendations.ranking import rank_items
from jobs.stages import Frames, StageRequest

MODEL_NAME = "recommendations"
ALGORITHM = "item-item graph filter"
_DIGITS = 6

_PURCHASES_SQL = """
select distinct customer_id, item_id
from features.customer_events
where event_type = 'purchase' and item_id is not null and occurred_at >= ? and occurred_at < ?
order by customer_id, item_id
"""


def recommend(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, config: RecommendationConfig
) -> Frames:
    """Rank `n_recommendations` items for every customer known at the request's `as_of`.

    Returns:
        `ml.recommendations` by customer and rank, and `ml.item_to_items` by item and rank.
    """
    version = make_model_version(ALGORITHM, config, run_id)
    interactions = read_interactions(con, request.as_of, config)
    similarity, shared = build_similarity(interactions.touched, config)
    customers = np.arange(len(interactions.customer_ids))
    ranked = rank_items(interactions, similarity, customers, config)
    return {
        "ml.recommendations": _tabulate_recommendations(
            ranked, interactions, request.as_of + timedelta(days=config.expiry_days)
        ).with_columns(pl.lit(version).alias("model_version")),
        "ml.item_to_items": _tabulate_similar_items(
            similarity, shared, interactions, config
        ).with_columns(pl.lit(version).alias("model_version")),
    }


def evaluate(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, config: RecommendationConfig
) -> Frames:
    """Recommend as `horizon_days` ago, and compare with the purchases since, beside baselines.

    Customers count who were known at the cut and bought since. Items that came into the shop later count as missed.

    Returns:
        `ml.model_runs`, one row; `not_enough_data` when there are too few purchases or interactions.
    """
    cut = request.as_of - timedelta(days=config.horizon_days)
    interactions = read_interactions(con, cut, config, use_stock=False)
    purchases = _read_purchases(con, cut, request.as_of, interactions)
    customers = purchases["customer"].unique().sort().to_numpy().astype(np.int64)
    run = ModelRun(
        model_name=MODEL_NAME,
        algorithm=ALGORITHM,
        n_train=interactions.pairs.height,
        n_test=len(customers),
        parameters=config.model_dump(mode="json") | {"test_cutoff": cut.isoformat()},
        model_version=make_model_version(ALGORITHM, config, run_id),
    )
    lacks = [
        f"{count} {what}, at least {needed} needed"
        for count, what, needed in (
            (run.n_train, f"interactions before {cut.date()}", config.min_interactions),
            (run.n_test, "known customers who bought since", config.min_test_customers),
        )
        if count < needed
    ]
    if lacks:
        run = run.model_copy(update={"status": "not_enough_data", "message": "; ".join(lacks)})
        return {"ml.model_runs": tabulate_model_run(run)}
    similarity, _ = build_similarity(interactions.touched, config)
    ranked = rank_items(interactions, similarity, customers, config)
    n_sellable = int(interactions.is_available.sum())
    n = config.n_recommendations
    baselines = list_baselines(interactions, customers, config)
    run = run.model_copy(
        update={
            "metrics": measure_lists(ranked, purchases, n_sellable, n),
            "baseline_metrics": {
                name: measure_lists(lists, purchases, n_sellable, n)
                for name, lists in baselines.items()
            },
        }
    )
    return {"ml.model_runs": tabulate_model_run(run)}


def _read_purchases(
    con: duckdb.DuckDBPyConnection, start: datetime, end: datetime, interactions: Interactions
) -> pl.DataFrame:
    """Purchases of customers with a history, as numbers; `item` is null for what was unknown at the cut."""
    known = interactions.pairs.select("customer").unique()
    customers = pl.DataFrame({"customer_id": interactions.customer_ids}).with_row_index("customer")
    items = pl.DataFrame({"item_id": interactions.item_ids}).with_row_index("item")
    return (
        con.execute(_PURCHASES_SQL, [start, end])
        .pl()
        .join(customers, on="customer_id")
        .join(known, on="customer", how="semi")
        .join(items, on="item_id", how="left")
        .select(pl.col("customer").cast(pl.Int64), pl.col("item").cast(pl.Int64))
        .sort("customer", "item")
    )


def _tabulate_recommendations(
    ranked: pl.DataFrame, interactions: Interactions, expires_at: datetime
) -> pl.DataFrame:
    bought = interactions.pairs.filter(pl.col("last_bought_at").is_not_null()).select(
        pl.col("customer").cast(pl.Int64),
        pl.col("item").cast(pl.Int64).alias("anchor"),
        pl.lit(value=True).alias("is_bought"),
    )
    is_same = pl.col("anchor") == pl.col("item")
    is_bought = pl.col("is_bought").fill_null(value=False)
    reason_code = (
        pl.when(pl.col("source") == "category_popular")
        .then(pl.lit("popular_in_category"))
        .when(pl.col("source") == "popular")
        .then(pl.lit("popular"))
        .when(is_same & is_bought)
        .then(pl.lit("buy_again"))
        .when(is_same)
        .then(pl.lit("viewed_before"))
        .when(is_bought)
        .then(pl.lit("because_you_bought"))
        .otherwise(pl.lit("because_you_viewed"))
    )
    item_ids = interactions.item_ids
    return (
        ranked.join(bought, on=["customer", "anchor"], how="left")
        .with_columns(reason_code.alias("reason_code"))
        .sort("customer", "rank")
        .select(
            _name("customer", interactions.customer_ids).alias("customer_id"),
            "rank",
            _name("item", item_ids).alias("item_id"),
            pl.col("score").round(_DIGITS),
            "reason_code",
            _name("anchor", item_ids).alias("anchor_item_id"),
            "source",
            pl.lit(expires_at).dt.convert_time_zone("UTC").alias("expires_at"),
        )
    )


def _name(column: str, ids: pl.Series) -> pl.Expr:
    """The ids behind the numbers in a column."""
    numbers = pl.int_range(len(ids), eager=True)
    return pl.col(column).replace_strict(numbers, ids, return_dtype=pl.String)


def _tabulate_similar_items(
    similarity: sparse.csr_array,
    shared: sparse.csr_array,
    interactions: Interactions,
    config: RecommendationConfig,
) -> pl.DataFrame:
    links, together = similarity.tocoo(), shared.tocoo()
    counts = pl.DataFrame(
        {"item": together.row, "similar": together.col, "n_customers": together.data}
    )
    return (
        pl.DataFrame({"item": links.row, "similar": links.col, "score": links.data})
        .filter(interactions.is_available[links.col])
        .join(counts, on=["item", "similar"])
        .filter(pl.col("n_customers") >= config.min_shared_customers)
        .sort(["item", "score", "similar"], descending=[False, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1).over("item").cast(pl.Int32).alias("rank"))
        .filter(pl.col("rank") <= config.n_similar_items)
        .select(
            _name("item", interactions.item_ids).alias("item_id"),
            "rank",
            _name("similar", interactions.item_ids).alias("similar_item_id"),
            pl.col("score"),
            pl.col("n_customers").cast(pl.Int64),
        )
    )
