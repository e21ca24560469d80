"""Rank items for customers, a chunk of customers at a time.

A ladder: what the customer's own history leads to (`item_to_item`), then what sells in the category that the customer
dwells on (`category_popular`), then what sells everywhere (`popular`). So everybody gets a full list, also those without
history. In `score` the whole part is the step of the ladder (2, 1, 0), the fraction the strength within it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from jobs.recommendations.config import RecommendationConfig
from jobs.recommendations.interactions import BoolArray, FloatArray, IntArray, Interactions
from jobs.recommendations.item_similarity import find_largest

SOURCES = ("popular", "category_popular", "item_to_item")  # by the whole part of the score
_DIGITS = 9
_MAX_FRACTION = 0.999999  # below 1, so that no strength reaches the next step
_MAX_CHUNK = 4_096  # customers: bounds the search for anchors, which grows with histories


@dataclass(frozen=True, eq=False)
class _Histories:
    """Interest of a chunk of customers, as rows that can be expanded."""

    interest: sparse.csr_array
    peak_interest: FloatArray
    peak_link: FloatArray


def iterate_chunks(customers: IntArray, n_items: int, max_cells: int) -> Iterator[IntArray]:
    """Customers in chunks whose dense scores fit into `max_cells`."""
    size = min(_MAX_CHUNK, max(1, max_cells // max(n_items, 1)))
    for start in range(0, len(customers), size):
        yield customers[start : start + size]


def find_blocked(
    interactions: Interactions, customers: IntArray, *, recommend_seen: bool
) -> BoolArray:
    """What must not be recommended: unavailable, or bought and not of the kind that is bought again.

    Returns:
        Shape (n_customers, n_items).
    """
    bought = interactions.bought[customers].toarray() > 0
    blocked = (bought & ~interactions.is_repurchasable) | ~interactions.is_available
    if not recommend_seen:
        blocked |= interactions.touched[customers].toarray() > 0
    return np.asarray(blocked, dtype=np.bool_)


def rank_items(
    interactions: Interactions,
    similarity: sparse.csr_array,
    customers: IntArray,
    config: RecommendationConfig,
) -> pl.DataFrame:
    """The best items of each customer.

    Returns:
        `customer` and `item` (numbers), `rank` (from 1), `score`, `source`, `anchor` (number of the item of the
        customer's history that adds most to the score; null for popularity); by customer and rank.
    """
    popularity = _to_fractions(interactions.popularity)
    link_keys = _list_link_keys(similarity)
    frames = [
        _rank_chunk(interactions, similarity, link_keys, popularity, chunk, config)
        for chunk in iterate_chunks(customers, len(interactions.item_ids), config.max_cells)
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema=_RANKED_SCHEMA)


_RANKED_SCHEMA = {
    "customer": pl.Int64,
    "item": pl.Int64,
    "rank": pl.Int32,
    "score": pl.Float64,
    "source": pl.String,
    "anchor": pl.Int64,
}


def _rank_chunk(
    interactions: Interactions,
    similarity: sparse.csr_array,
    link_keys: IntArray,
    popularity: FloatArray,
    customers: IntArray,
    config: RecommendationConfig,
) -> pl.DataFrame:
    interest = interactions.interest[customers]
    linked = (interest @ similarity).toarray()
    own = interest.toarray()
    histories = _Histories(interest, _peak(own), _peak(linked))
    linked /= histories.peak_link[:, None]
    own *= config.own_item_weight / histories.peak_interest[:, None]
    personal = (linked + own) / (1 + config.own_item_weight)
    likes = interactions.customer_categories[customers]
    in_category = (likes[:, None] == interactions.categories[None, :]) & (likes[:, None] >= 0)
    scores = popularity[None, :] + (in_category & (popularity > 0))
    scores = np.where(personal > 0, 2 + personal * _MAX_FRACTION, scores)
    blocked = find_blocked(interactions, customers, recommend_seen=config.recommend_seen)
    scores = np.where(blocked, -1.0, scores).round(_DIGITS)
    items = find_largest(scores, config.n_recommendations)
    values = np.take_along_axis(scores, items, axis=1)
    kept = values >= 0  # the shop may sell fewer items than asked for
    rows, positions = np.nonzero(kept)
    chosen, steps = items[kept], values[kept].astype(np.int64)
    anchors = np.full(len(rows), -1)
    is_personal = steps == len(SOURCES) - 1
    anchors[is_personal] = _find_anchors(
        histories, similarity, link_keys, rows[is_personal], chosen[is_personal], config
    )
    return pl.DataFrame(
        {
            "customer": customers[rows],
            "item": chosen,
            "rank": positions + 1,
            "score": values[kept],
            "source": np.array(SOURCES, dtype=object)[steps].tolist(),
            "anchor": anchors,
        },
        schema=_RANKED_SCHEMA,
    ).with_columns(pl.col("anchor").replace(-1, None))


def _find_anchors(
    histories: _Histories,
    similarity: sparse.csr_array,
    link_keys: IntArray,
    rows: IntArray,
    items: IntArray,
    config: RecommendationConfig,
) -> IntArray:
    """For each recommendation the item of the history that adds most; the first wins a tie."""
    if len(rows) == 0:
        return np.zeros(0, dtype=np.int64)
    interest = histories.interest
    lengths = np.diff(interest.indptr)[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    # Every recommendation against every item of its customer's history, in one long list.
    pair = np.repeat(np.arange(len(rows)), lengths)
    entry = np.arange(lengths.sum()) - starts[pair] + interest.indptr[rows][pair]
    past, weight, row = interest.indices[entry].astype(np.int64), interest.data[entry], rows[pair]
    target = items[pair]
    added = weight * _look_up_links(similarity, link_keys, past, target) / histories.peak_link[row]
    added += (past == target) * weight * config.own_item_weight / histories.peak_interest[row]
    added = added.round(_DIGITS)
    best = np.maximum.reduceat(added, starts)
    is_best = added == best[pair]
    first = np.minimum.reduceat(np.where(is_best, np.arange(len(added)), len(added)), starts)
    return np.asarray(past[first], dtype=np.int64)


def _list_link_keys(similarity: sparse.csr_array) -> IntArray:
    """Row and column of each link in one ascending number, for binary search."""
    n_items = similarity.shape[1]
    rows = np.repeat(np.arange(n_items, dtype=np.int64), np.diff(similarity.indptr))
    return np.asarray(rows * n_items + similarity.indices, dtype=np.int64)


def _look_up_links(
    similarity: sparse.csr_array, keys: IntArray, sources: IntArray, targets: IntArray
) -> FloatArray:
    if len(keys) == 0:
        return np.zeros(len(sources))
    wanted = sources * similarity.shape[1] + targets
    position = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[position] == wanted, similarity.data[position], 0.0)


def _to_fractions(values: FloatArray) -> FloatArray:
    return values / max(float(values.max(initial=0.0)), 1e-12) * _MAX_FRACTION


def _peak(values: FloatArray) -> FloatArray:
    """Largest value of each row, 1 where there is none."""
    peaks = values.max(axis=1, initial=0.0)
    return np.where(peaks > 0, peaks, 1.0)
