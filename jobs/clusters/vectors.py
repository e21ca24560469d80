"""Customers as vectors: a row of `features.customer_features` becomes about a dozen comparable numbers.

Counts are heavy-tailed, so they enter as logarithms, rates as square roots. A rate that rests on one order says little,
so it is drawn towards the mean of all customers. What a customer without orders cannot have (order value, discount share) is set to
the mean of those who have it: neutral, since `orders` already tells buyers from others.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel

FloatArray = npt.NDArray[np.float64]

_PRIOR_ORDERS = 2.0  # two typical orders stand behind every order-based rate
_PRIOR_SESSIONS = 4.0  # four typical sessions stand behind every session-based rate
_PRIOR_VIEWS = 10.0  # ten typical product views stand behind every view-based rate
_MIN_WEEKS = 4.0  # a customer of two days with one visit is not a daily visitor
_CLIP = 3.0  # standard deviations; a handful of extreme customers must not become a cluster


class Trait(NamedTuple):
    """One number of the vector.

    Attributes:
        name: column name in vectors and centroids.
        dimension: traits of one dimension share its weight, so that no behaviour counts twice.
        high: what a cluster is called that is far above the mean.
        low: what a cluster is called that is far below it.
    """

    name: str
    dimension: str
    high: str
    low: str


TRAITS = (
    Trait("days_since_last_seen", "recency", "not seen lately", "recently active"),
    Trait("orders", "buying", "many orders", "few orders"),
    Trait("orders_per_session", "buying", "purposeful visits", "visits without orders"),
    Trait("average_order_value", "price level", "high order value", "low order value"),
    Trait("viewed_price_percentile", "price level", "premium tastes", "budget tastes"),
    Trait("discount_share", "deals", "discount-driven", "full price"),
    Trait("refund_rate", "deals", "many returns", "few returns"),
    Trait("sessions_per_week", "browsing", "frequent visits", "rare visits"),
    Trait("carts_per_view", "carting", "quick to the cart", "slow to the cart"),
    Trait("wishlists_per_view", "wishing", "keen on wish lists", "no wish lists"),
    Trait("days_since_first_seen", "tenure", "long known", "new"),
    Trait("email_opens_per_week", "e-mail", "e-mail readers", "few e-mail opens"),
)


class Scaling(BaseModel, frozen=True, extra="forbid"):
    """How raw traits become comparable: kept with the model, so that others are scaled alike.

    Attributes:
        names: the traits in use; those that were equal for all customers are left out.
        fills: value for a customer who has none, in raw units.
        priors: mean rates that small samples are drawn towards, by trait.
        means: subtracted, in raw units.
        deviations: divided by, in raw units.
        weights: 1 / sqrt(number of traits that share the dimension).
    """

    names: tuple[str, ...]
    fills: tuple[float, ...]
    priors: dict[str, float]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]


def measure_priors(features: pl.DataFrame) -> dict[str, float]:
    """Mean rates over all customers, each customer weighing as much as what it did."""

    def rate(count: pl.Expr, per: str) -> pl.Expr:
        return count.sum() / pl.max_horizontal(pl.col(per).sum(), pl.lit(1))

    rates = features.select(
        rate(pl.col("discount_share") * pl.col("count_orders"), "count_orders")
        .alias("discount_share"),
        rate(pl.col("refund_rate") * pl.col("count_orders"), "count_orders").alias("refund_rate"),
        rate(pl.col("count_orders_365d"), "count_sessions_365d").alias("orders_per_session"),
        rate(pl.col("count_add_to_carts_365d"), "count_product_views_365d").alias("carts_per_view"),
        rate(pl.col("count_wishlists_365d"), "count_product_views_365d")
        .alias("wishlists_per_view"),
    )  # fmt: skip
    return {
        name: min(max(float(value), 0.0), 1.0) for name, value in rates.row(0, named=True).items()
    }


def compute_traits(features: pl.DataFrame, priors: dict[str, float]) -> pl.DataFrame:
    """Raw traits, one row a customer in the given order; null where a customer has none.

    Args:
        features: rows of `features.customer_features` of one `as_of_date`.
        priors: from `measure_priors` of the customers that the model was trained on.
    """
    weeks = pl.min_horizontal(pl.col("days_since_first_seen"), pl.lit(365)) / 7
    weeks = pl.max_horizontal(weeks, pl.lit(_MIN_WEEKS))
    # From first sight to last: a customer who left was as busy while here as the others are now.
    active_days = pl.col("days_since_first_seen") - pl.col("days_since_last_seen")
    active_weeks = pl.max_horizontal(
        pl.min_horizontal(active_days, 365 - pl.col("days_since_last_seen")) / 7,
        pl.lit(_MIN_WEEKS),
    )
    has_orders = pl.col("count_orders") > 0

    def draw_in(name: str, total: pl.Expr, count: pl.Expr, prior_count: float) -> pl.Expr:
        return (total + prior_count * priors[name]) / (count + prior_count)

    orders, views = pl.col("count_orders"), pl.col("count_product_views_365d")
    return features.select(
        pl.col("days_since_last_seen").log1p().alias("days_since_last_seen"),
        orders.log1p().alias("orders"),
        pl.when(has_orders).then(pl.col("average_order_value").clip(0).log1p())
        .alias("average_order_value"),
        pl.col("viewed_price_percentile_90d").alias("viewed_price_percentile"),
        pl.when(has_orders).then(
            draw_in("discount_share", pl.col("discount_share").clip(0, 1) * orders, orders, _PRIOR_ORDERS)
        ).sqrt().alias("discount_share"),
        pl.when(has_orders).then(
            draw_in("refund_rate", pl.col("refund_rate").clip(0, 1) * orders, orders, _PRIOR_ORDERS)
        ).sqrt().alias("refund_rate"),
        (pl.col("count_sessions_365d") / active_weeks).log1p().alias("sessions_per_week"),
        draw_in(
            "orders_per_session", pl.col("count_orders_365d"), pl.col("count_sessions_365d"),
            _PRIOR_SESSIONS,
        ).sqrt().alias("orders_per_session"),
        draw_in("carts_per_view", pl.col("count_add_to_carts_365d"), views, _PRIOR_VIEWS)
        .sqrt().alias("carts_per_view"),
        draw_in("wishlists_per_view", pl.col("count_wishlists_365d"), views, _PRIOR_VIEWS)
        .sqrt().alias("wishlists_per_view"),
        pl.col("days_since_first_seen").log1p().alias("days_since_first_seen"),
        (pl.col("count_email_opens_365d") / weeks).sqrt().alias("email_opens_per_week"),
    )  # fmt: skip


def fit_scaling(traits: pl.DataFrame, priors: dict[str, float]) -> Scaling:
    """Learn fills, means and deviations; a trait without spread (or without values) is left out."""
    kept: list[tuple[Trait, float, float, float]] = []
    for trait in TRAITS:
        values = traits[trait.name].drop_nulls().drop_nans()
        fill = _number(values.mean())
        filled = traits[trait.name].fill_nan(None).fill_null(fill)
        deviation = _number(filled.std(ddof=0))
        if deviation > 1e-9:  # below it all customers are alike, up to rounding
            kept.append((trait, fill, _number(filled.mean()), deviation))
    sizes: dict[str, int] = {}
    for trait, *_ in kept:
        sizes[trait.dimension] = sizes.get(trait.dimension, 0) + 1
    return Scaling(
        names=tuple(trait.name for trait, *_ in kept),
        fills=tuple(fill for _, fill, _, _ in kept),
        priors=priors,
        means=tuple(mean for _, _, mean, _ in kept),
        deviations=tuple(deviation for *_, deviation in kept),
        weights=tuple(1 / sizes[trait.dimension] ** 0.5 for trait, *_ in kept),
    )


def scale_traits(traits: pl.DataFrame, scaling: Scaling) -> FloatArray:
    """Vectors of shape (n_customers, n_traits), in weighted standard deviations from the mean."""
    filled = traits.select(
        pl.col(name).fill_nan(None).fill_null(fill)
        for name, fill in zip(scaling.names, scaling.fills, strict=True)
    ).to_numpy()
    standard = (filled - np.array(scaling.means)) / np.array(scaling.deviations)
    clipped = np.clip(standard, -_CLIP, _CLIP) * np.array(scaling.weights)
    return np.ascontiguousarray(clipped, dtype=np.float64)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
