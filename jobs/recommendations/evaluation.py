"""How good top-n lists are against what customers bought afterwards, beside simple baselines."""

from collections.abc import Callable

import numpy as np
import polars as pl

from jobs.recommendations.config import RecommendationConfig
from jobs.recommendations.interactions import FloatArray, IntArray, Interactions
from jobs.recommendations.item_similarity import find_largest
from jobs.recommendations.ranking import find_blocked, iterate_chunks


def measure_lists(
    lists: pl.DataFrame, purchases: pl.DataFrame, n_sellable: int, n: int
) -> dict[str, float]:
    """Metrics at n, averaged over the customers who bought something.

    Args:
        lists: `customer`, `item`, `rank` (1..n).
        purchases: `customer`, `item`, distinct; an item that no list could hold is null and counts as missed.
        n_sellable: number of items that could be recommended.
        n: length of the lists.

    Returns:
        hit_rate, recall, ndcg, map (each 0-1) and coverage (share of the sellable items that anybody is shown).
    """
    sizes = purchases.group_by("customer").agg(pl.len().alias("size"))
    ranked = lists.join(
        purchases.drop_nulls().with_columns(pl.lit(1.0).alias("hit")),
        on=["customer", "item"],
        how="left",
    ).with_columns(pl.col("hit").fill_null(0.0))
    ranked = ranked.sort("customer", "rank").with_columns(
        (pl.col("hit").cum_sum().over("customer") / pl.col("rank") * pl.col("hit"))
        .alias("precision"),
        (pl.col("hit") / (pl.col("rank") + 1).log(2)).alias("gain"),
    )  # fmt: skip
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, n + 2)))])
    found = (
        ranked.group_by("customer")
        .agg(pl.col("hit").sum(), pl.col("precision").sum(), pl.col("gain").sum())
        .join(sizes, on="customer", how="right")
        .sort("customer")
        .fill_null(0.0)
    )
    size = found["size"].cast(pl.Int64).to_numpy()
    hits = found["hit"].to_numpy()
    capped = np.minimum(size, n)
    return {
        f"hit_rate_at_{n}": float((hits > 0).mean()),
        f"recall_at_{n}": float((hits / size).mean()),
        f"ndcg_at_{n}": float((found["gain"].to_numpy() / ideal[capped]).mean()),
        f"map_at_{n}": float((found["precision"].to_numpy() / capped).mean()),
        "coverage": lists["item"].n_unique() / max(n_sellable, 1),
    }


def list_baselines(
    interactions: Interactions, customers: IntArray, config: RecommendationConfig
) -> dict[str, pl.DataFrame]:
    """Top-n lists of methods that need no model, under the same rules of what may be shown.

    `popular` counts buyers of all time; `popular_recent` lets interactions fade; `last_viewed` and `last_bought` show the
    customer's own latest items again (the latter also those that are seldom bought twice), then what is popular now.
    """
    popular = interactions.total_popularity / max(interactions.total_popularity.max(initial=0), 1)
    recent = interactions.popularity / max(interactions.popularity.max(initial=0), 1e-12)
    seen = _order_by_time(interactions, "last_at")
    bought = _order_by_time(interactions, "last_bought_at")

    def build(score: Callable[[IntArray], FloatArray], *, may_repeat: bool = False) -> pl.DataFrame:
        return _list_best(interactions, customers, config, score, may_repeat=may_repeat)

    return {
        "popular": build(lambda rows: np.tile(popular, (len(rows), 1))),
        "popular_recent": build(lambda rows: np.tile(recent, (len(rows), 1))),
        "last_viewed": build(lambda rows: seen(rows) + recent),
        "last_bought": build(lambda rows: bought(rows) + recent, may_repeat=True),
    }


def _order_by_time(interactions: Interactions, column: str) -> Callable[[IntArray], FloatArray]:
    """Scores that put each customer's own items first, the latest of them on top."""
    shape = (len(interactions.customer_ids), len(interactions.item_ids))
    ordered = (
        interactions.pairs.filter(pl.col(column).is_not_null())
        .sort("customer", column, "item")
        .with_columns(pl.int_range(1, pl.len() + 1).over("customer").alias("place"))
        .select("customer", "item", "place")
    )
    customers, items = ordered["customer"].to_numpy(), ordered["item"].to_numpy()
    places = ordered["place"].to_numpy().astype(np.float64) + 1  # above every popularity
    first = np.searchsorted(customers, np.arange(shape[0] + 1))

    def score(rows: IntArray) -> FloatArray:
        scores = np.zeros((len(rows), shape[1]))
        for position, customer in enumerate(rows):
            span = slice(first[customer], first[customer + 1])
            scores[position, items[span]] = places[span]
        return scores

    return score


def _list_best(
    interactions: Interactions,
    customers: IntArray,
    config: RecommendationConfig,
    score: Callable[[IntArray], FloatArray],
    *,
    may_repeat: bool,
) -> pl.DataFrame:
    frames = []
    for chunk in iterate_chunks(customers, len(interactions.item_ids), config.max_cells):
        blocked = np.tile(~interactions.is_available, (len(chunk), 1))
        if not may_repeat:
            blocked = find_blocked(interactions, chunk, recommend_seen=config.recommend_seen)
        scores = np.where(blocked, -1.0, score(chunk))
        items = find_largest(scores, config.n_recommendations)
        rows, positions = np.nonzero(np.take_along_axis(scores, items, axis=1) >= 0)
        frames.append(
            pl.DataFrame(
                {"customer": chunk[rows], "item": items[rows, positions], "rank": positions + 1}
            )
        )
    return pl.concat(frames)
