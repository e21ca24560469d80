"""Customers as vectors: a row of `features.customer_features` becomes some fifteen comparable numbers.

Three things decide which clusters K-Means can find:

- Counts and days are heavy-tailed, so they enter as logarithms, and what is extreme is clipped.
- A rate that rests on few trials (the discount of one order) is mostly chance. It is drawn towards the rate of all customers,
  and weighs in the vector by the part of its spread that is the customers' own: a noisy trait cannot drown the others.
- Traits that tell one thing twice share its weight.

What a customer without orders cannot have (order value, discount share) is the mean of all orders: neutral, since `orders`
already tells buyers from others. How long a customer has been known and what it opened of the shop's e-mails are left out:
they tell of the calendar and of the consent to be written to, not of a behaviour.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel

FloatArray = npt.NDArray[np.float64]

_CLIP = 2.0  # standard deviations; a handful of extreme customers must not become a cluster
_VISIT_DAYS = 14  # a visit speaks for a fortnight: a customer of one day is no daily visitor
_MIN_STRENGTH = 1.0  # trials; a single order never speaks for itself alone
_NO_STRENGTH = 1e9  # trials; where customers do not differ beyond chance, no number of trials tells
_MIN_RELIABILITY = 0.05  # below it a trait is chance
_MIN_DEVIATION = 1e-6  # below it all customers are alike, up to rounding
_HALF = 0.5  # added to a count before its logarithm, so that zero has one


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
    Trait("silence", "recency", "silent for longer than usual", "visiting as usual"),
    Trait("recent_visits_share", "trend", "visits mostly of late", "hardly any visit of late"),
    Trait("orders", "buying", "many orders", "few orders"),
    Trait("orders_per_session", "buying", "purposeful visits", "visits without orders"),
    Trait("average_order_value", "order value", "high order value", "low order value"),
    Trait("price_level", "tastes", "premium tastes", "budget tastes"),
    Trait("discount_share", "discounts", "discount-driven", "full price"),
    Trait("refund_rate", "returns", "many returns", "few returns"),
    Trait("sessions_per_week", "browsing", "frequent visits", "rare visits"),
    Trait("views_per_session", "depth", "long visits", "short visits"),
    Trait("list_views_per_view", "lists", "fond of lists", "straight to products"),
    Trait("carts_per_view", "carting", "quick to the cart", "slow to the cart"),
    Trait("wishlists_per_view", "wishing", "keen on wish lists", "few wishes"),
)


class Rate(NamedTuple):
    """A trait that is a mean over a customer's trials.

    Attributes:
        value: the mean; null without trials.
        trials: how many orders, views, sessions or weeks it rests on.
        is_pace: a count by weeks, whose chance is known (Poisson's), and whose logarithm enters.
    """

    value: pl.Expr
    trials: pl.Expr
    is_pace: bool = False


class Prior(BaseModel, frozen=True, extra="forbid"):
    """What is known of a customer's rate before its first trial.

    Attributes:
        mean: of all customers' trials.
        strength: typical trials that stand behind every customer's own.
        reliability: the part (0-1) of the spread between customers that their trials reveal.
    """

    mean: float
    strength: float
    reliability: float


_first, _last = pl.col("days_since_first_seen"), pl.col("days_since_last_seen")
_orders, _sessions = pl.col("count_orders"), pl.col("count_sessions_365d")
_views = pl.col("count_product_views_365d")
# From first sight to last: a customer who left was as busy while here as the others are now.
_weeks = ((pl.min_horizontal(_first, pl.lit(365)) - _last).clip(0) + _VISIT_DAYS) / 7

RATES = {
    "orders_per_session": Rate(pl.col("count_orders_365d") / _sessions, _sessions),
    "average_order_value": Rate(pl.col("average_order_value").clip(0).log1p(), _orders),
    # The mean tier of what somebody looks at: 0 budget, a half in the middle, 1 luxury.
    "price_level": Rate(
        (1 + pl.col("luxury_share_90d") - pl.col("budget_share_90d")) / 2,
        pl.col("count_product_views_90d"),
    ),
    "discount_share": Rate(pl.col("discount_share").clip(0, 1), _orders),
    "refund_rate": Rate(pl.col("refund_rate").clip(0, 1), _orders),
    "sessions_per_week": Rate(_sessions / _weeks, _weeks, is_pace=True),
    "views_per_session": Rate(_views / _sessions, _sessions),
    "list_views_per_view": Rate(pl.col("count_list_views_365d") / _views, _views),
    "carts_per_view": Rate(pl.col("count_add_to_carts_365d") / _views, _views),
    "wishlists_per_view": Rate(pl.col("count_wishlists_365d") / _views, _views),
}
_COUNTED = {
    # In fortnights: whether the last visit was yesterday or the day before tells nothing.
    "days_since_last_seen": (_last / _VISIT_DAYS).log1p(),
    # In the customer's own pace: three weeks are long for a weekly visitor, and nothing for a monthly one.
    "silence": (_last / 7 * (_sessions + 1) / _weeks).log1p(),
    "recent_visits_share": ((pl.col("count_sessions_30d") + _HALF) / (_sessions + _HALF)).log(),
    "orders": (_orders + _HALF).log(),  # the first order is the largest step
}


class Scaling(BaseModel, frozen=True, extra="forbid"):
    """How raw traits become comparable: kept with the model, so that others are scaled alike.

    Attributes:
        names: the traits in use; those in which customers are alike, or differ by chance only, are left out.
        priors: of the rates, by trait.
        means: subtracted, in raw units; also the value of a customer who has none.
        deviations: divided by, in raw units.
        weights: sqrt(reliability / number of traits that share the dimension).
    """

    names: tuple[str, ...]
    priors: dict[str, Prior]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    weights: tuple[float, ...]


def measure_priors(features: pl.DataFrame) -> dict[str, Prior]:
    """Mean, strength and reliability of every rate, over all customers."""
    priors = {}
    for name, rate in RATES.items():
        known = features.select(
            rate.value.cast(pl.Float64).alias("value"), rate.trials.cast(pl.Float64).alias("trials")
        ).filter(pl.col("value").is_finite() & (pl.col("trials") > 0))
        values, trials = known["value"].to_numpy(), known["trials"].to_numpy()
        priors[name] = _measure_prior(values, trials, is_pace=rate.is_pace)
    return priors


def compute_traits(features: pl.DataFrame, priors: dict[str, Prior]) -> pl.DataFrame:
    """Raw traits, one row a customer in the given order; null where a customer has none.

    Args:
        features: rows of `features.customer_features` of one `as_of_date`.
        priors: from `measure_priors` of the customers that the model was trained on.
    """
    traits = _COUNTED | {name: _draw_in(rate, priors[name]) for name, rate in RATES.items()}
    return features.select(traits[trait.name].alias(trait.name) for trait in TRAITS)


def fit_scaling(traits: pl.DataFrame, priors: dict[str, Prior]) -> Scaling:
    """Learn means, deviations and weights; a trait that tells no customers apart is left out."""
    kept: list[tuple[Trait, float, float, float]] = []
    for trait in TRAITS:
        values = _finite(pl.col(trait.name))
        mean, deviation = traits.select(
            values.mean().alias("mean"), values.fill_null(values.mean()).std(ddof=0).alias("std")
        ).row(0)
        reliability = priors[trait.name].reliability if trait.name in priors else 1.0
        if (deviation or 0.0) > _MIN_DEVIATION and reliability >= _MIN_RELIABILITY:
            kept.append((trait, mean, deviation, reliability))
    sizes: dict[str, int] = {}
    for trait, *_ in kept:
        sizes[trait.dimension] = sizes.get(trait.dimension, 0) + 1
    return Scaling(
        names=tuple(trait.name for trait, *_ in kept),
        priors=priors,
        means=tuple(mean for _, mean, _, _ in kept),
        deviations=tuple(deviation for _, _, deviation, _ in kept),
        weights=tuple(
            (reliability / sizes[trait.dimension]) ** 0.5 for trait, _, _, reliability in kept
        ),
    )


def scale_traits(traits: pl.DataFrame, scaling: Scaling) -> FloatArray:
    """Vectors of shape (n_customers, n_traits), in weighted standard deviations from the mean."""
    filled = traits.select(
        _finite(pl.col(name)).fill_null(mean)
        for name, mean in zip(scaling.names, scaling.means, strict=True)
    ).to_numpy()
    standard = (filled - np.array(scaling.means)) / np.array(scaling.deviations)
    clipped = np.clip(standard, -_CLIP, _CLIP) * np.array(scaling.weights)
    return np.ascontiguousarray(clipped, dtype=np.float64)


def _measure_prior(values: FloatArray, trials: FloatArray, *, is_pace: bool) -> Prior:
    """Part the spread of a rate into what is the customers' own, and chance, which falls as 1 / trials.

    Squared deviations from the mean lie about the line own + chance / trials. It is credibility theory's model (Buehlmann and
    Straub 1970), fitted to means alone, since the features do not hold the single trials.
    """
    if not len(values):
        return Prior(mean=0.0, strength=_NO_STRENGTH, reliability=0.0)
    mean = float(np.average(values, weights=trials))
    squares, inverse = (values - mean) ** 2, 1 / trials
    # Squares of few trials scatter most, so they count least.
    weights = (inverse + 1 / np.median(trials)) ** -2
    x, y = (float(np.average(column, weights=weights)) for column in (inverse, squares))
    spread = float(np.average((inverse - x) ** 2, weights=weights))
    if is_pace:
        slope = mean
    elif spread > 1e-6 * x**2:
        slope = float(np.average((inverse - x) * (squares - y), weights=weights)) / spread
    else:
        slope = y / x / 2  # equal trials tell nothing: half of the spread is taken for chance
    chance = min(max(slope, 0.0), y / x)
    own = y - chance * x
    if own <= 1e-6 * y:
        return Prior(mean=mean, strength=_NO_STRENGTH, reliability=0.0)
    strength = max(chance / own, _MIN_STRENGTH)
    if is_pace:  # how often somebody came is a fact, as the orders are
        return Prior(mean=mean, strength=strength, reliability=1.0)
    drawn = (values * trials + mean * strength) / (trials + strength)
    return Prior(mean=mean, strength=strength, reliability=min(float(drawn.var()) / own, 1.0))


def _draw_in(rate: Rate, prior: Prior) -> pl.Expr:
    """The mean of the customer's own trials and of `prior.strength` typical ones."""
    own = pl.when(rate.trials > 0).then(_finite(rate.value) * rate.trials)
    total = own.fill_null(prior.mean * rate.trials.fill_null(0)) + prior.mean * prior.strength
    drawn = total / (rate.trials.fill_null(0) + prior.strength)
    return drawn.log() if rate.is_pace else drawn


def _finite(values: pl.Expr) -> pl.Expr:
    number = values.cast(pl.Float64)
    return pl.when(number.is_finite()).then(number)
