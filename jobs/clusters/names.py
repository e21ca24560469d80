"""Names and descriptions of clusters, from what sets each apart from the average customer."""

import polars as pl

from jobs.clusters.vectors import TRAITS

_FEW_BUYERS = 0.2  # below that share of buyers a cluster is one of visitors, not of buyers
_MOST_BUYERS = 0.6  # below it a name that says "buyers" would be wrong of too many
_MORE_ORDERS = 1.2  # times the orders of the average buyer from which buyers count as frequent
_FEWER_ORDERS = 0.8  # and below which as occasional
_APART = 0.6  # standard deviations from the mean that a person would notice
_AWAY = 0.8  # standard deviations of recency from which a cluster counts as gone
# What the head of the name says already.
_IN_HEAD_OF_LAPSED = ("days_since_last_seen", "silence", "recent_visits_share")
_IN_HEAD_OF_ACTIVE = ("orders", "orders_per_session")
# Worth more in a name than habits of clicking, since an offer can follow from it.
_TELLING = {"average_order_value": 1.5, "price_level": 1.5, "discount_share": 1.5}
_TRAITS = {trait.name: trait for trait in TRAITS}


def name_clusters(centres: pl.DataFrame) -> pl.DataFrame:
    """Name clusters uniquely and describe them.

    Args:
        centres: one row a cluster, in order of importance: `buyer_share` (0-1), `order_ratio` (orders of a buyer, against those of
            the average buyer), and a column a trait with the mean of its members in standard deviations from all customers' mean.

    Returns:
        Columns `cluster_name` and `description`, in the same order.
    """
    names: list[str] = []
    descriptions: list[str] = []
    for row in centres.iter_rows(named=True):
        scores = {name: row[name] for name in row if name in _TRAITS}
        ranked = sorted(scores, key=lambda name: (-abs(scores[name]), name))
        head = _choose_head(row["buyer_share"], row["order_ratio"], scores)
        said = _IN_HEAD_OF_LAPSED if _is_away(scores) else _IN_HEAD_OF_ACTIVE
        notable = [name for name in ranked if name not in said and abs(scores[name]) > _APART]
        notable.sort(key=lambda name: (-abs(scores[name]) * _TELLING.get(name, 1.0), name))
        phrases = [_phrase(name, scores[name]) for name in notable]
        names.append(_make_unique(head, phrases, names))
        descriptions.append(_describe(row["buyer_share"], ranked, scores))
    return pl.DataFrame(
        {"cluster_name": names, "description": descriptions},
        schema={"cluster_name": pl.String, "description": pl.String},
    )


def _is_away(scores: dict[str, float]) -> bool:
    return scores.get("days_since_last_seen", 0.0) > _AWAY


def _choose_head(buyer_share: float, order_ratio: float, scores: dict[str, float]) -> str:
    is_away = _is_away(scores)
    if buyer_share < _FEW_BUYERS:
        return "Lapsed browsers" if is_away else "Browsers without orders"
    if buyer_share < _MOST_BUYERS:
        return "Lapsed visitors" if is_away else "Visitors who rarely order"
    if is_away:
        return "Lapsed buyers"
    # Against buyers, not all customers: where few buy, a single order is far above the mean.
    if order_ratio > _MORE_ORDERS:
        return "Frequent buyers"
    return "Occasional buyers" if order_ratio < _FEWER_ORDERS else "Buyers"


def _phrase(name: str, score: float) -> str:
    return _TRAITS[name].high if score > 0 else _TRAITS[name].low


def _make_unique(head: str, phrases: list[str], taken: list[str]) -> str:
    """The head and the strongest phrase; more phrases, then a number, while another cluster has that name."""
    for count in range(1, len(phrases) + 1):
        name = ", ".join([head, *phrases[:count]])
        if name not in taken:
            return name
    if head not in taken:
        return head
    number = 2
    while f"{head} ({number})" in taken:
        number += 1
    return f"{head} ({number})"


def _describe(buyer_share: float, ranked: list[str], scores: dict[str, float]) -> str:
    differences = ", ".join(
        f"{name} {scores[name]:+.1f} sd" for name in ranked[:4] if abs(scores[name]) >= 0.05
    )
    return f"{buyer_share:.0%} have ordered; against the average customer: {differences or 'no difference'}"
