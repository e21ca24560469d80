"""What customers did with items up to a cut, as sparse matrices.

Sums over events are taken in whole millionths: integers add up the same in any order, so runs are equal to the last bit.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from jobs.recommendations.config import RecommendationConfig

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
_MILLION = 1e6


@dataclass(frozen=True, eq=False)
class Interactions:
    """Everything that ranking needs; customers and items are numbered in the order of their ids.

    Attributes:
        customer_ids: shape (n_customers,).
        item_ids: shape (n_items,); items with history and items of the catalogue.
        interest: customers x items, decayed weights of events; the newest view of a customer counts 1.
        touched: customers x items, 1 where there was any interaction.
        bought: customers x items, 1 where the customer bought the item.
        pairs: the same as a frame: customer and item numbers, last_at, last_bought_at (null), interest.
        popularity: shape (n_items,), decayed interactions of all customers.
        total_popularity: shape (n_items,), customers who ever bought the item.
        categories: shape (n_items,), category number, -1 if unknown.
        customer_categories: shape (n_customers,), the category the customer dwells on most, -1 if none.
        is_available: shape (n_items,), may be recommended.
        is_repurchasable: shape (n_items,), bought again by enough of its buyers.
    """

    customer_ids: pl.Series
    item_ids: pl.Series
    interest: sparse.csr_array
    touched: sparse.csr_array
    bought: sparse.csr_array
    pairs: pl.DataFrame
    popularity: FloatArray
    total_popularity: FloatArray
    categories: IntArray
    customer_categories: IntArray
    is_available: BoolArray
    is_repurchasable: BoolArray


_EVENTS = """
with weights as (
    select unnest($event_types) as event_type, unnest($event_weights) as weight
),
events as (
    select events.customer_id, events.item_id, events.category, events.event_type, events.occurred_at, weights.weight
    from features.customer_events as events
    left join weights on events.event_type = weights.event_type
    where events.occurred_at < $cut and events.occurred_at >= $since
        and coalesce(events.known_at, events.occurred_at) < $cut
),
"""

# Interest decays from each customer's own last event: a factor common to all items of a customer changes no ranking, and
# the numbers of somebody long away do not vanish.
_PAIRS_SQL = (
    _EVENTS
    + """
weighted as (
    select
        *,
        max(occurred_at) over (partition by customer_id) as customer_last_at
    from events
    where item_id is not null and weight is not null
),
pairs as (
    select
        customer_id,
        item_id,
        max(occurred_at) as last_at,
        max(occurred_at) filter (where event_type = 'purchase') as last_bought_at,
        count(distinct cast(occurred_at as date)) filter (where event_type = 'purchase') as count_purchase_days,
        sum(cast(round($million * weight * pow(
            0.5, date_diff('second', occurred_at, customer_last_at) / 86400.0 / $interest_half_life
        )) as bigint)) as interest,
        cast(round($million * max(weight * pow(
            0.5, date_diff('second', occurred_at, cast($cut as timestamptz)) / 86400.0 / $popularity_half_life
        ))) as bigint) as popularity
    from weighted
    group by customer_id, item_id
)
select
    customer_id, item_id, last_at, last_bought_at, count_purchase_days, popularity,
    cast(interest as double) / $million as interest,
    row_number() over (partition by customer_id order by last_at desc, item_id) <= $max_history as is_recent
from pairs
order by customer_id, item_id
"""
)

_CATEGORIES_SQL = (
    _EVENTS
    + """
sums as (
    select
        customer_id, category,
        sum(cast(round($million * coalesce(weight, 0.5) * pow(
            0.5, date_diff('second', occurred_at, cast($cut as timestamptz)) / 86400.0 / $interest_half_life
        )) as bigint)) as interest
    from events
    where category is not null
    group by customer_id, category
)
select customer_id, category
from sums
qualify row_number() over (partition by customer_id order by interest desc, category) = 1
order by customer_id
"""
)

_ITEMS_SQL = """
select
    item_id, category,
    coalesce(is_in_stock, true) as is_in_stock,
    (available_from is null or available_from < $cut) and (available_until is null or available_until > $cut)
        as is_on_sale
from core.items
order by item_id
"""


def read_interactions(
    con: duckdb.DuckDBPyConnection,
    cut: datetime,
    config: RecommendationConfig,
    *,
    use_stock: bool = True,
) -> Interactions:
    """Read what was known before `cut`.

    Args:
        con: the lake.
        cut: instant, exclusive.
        config: weights and half-lives.
        use_stock: leave out what is sold out now; off when `cut` is in the past, since stock has no history.
    """
    weights = dict(config.event_weights)
    parameters: dict[str, Any] = {
        "event_types": list(weights),
        "event_weights": list(weights.values()),
        "cut": cut,
        "since": cut - timedelta(days=config.lookback_days),
        "interest_half_life": config.interest_half_life_days,
        "million": _MILLION,
    }
    pairs = con.execute(
        _PAIRS_SQL,
        parameters
        | {
            "popularity_half_life": config.popularity_half_life_days,
            "max_history": config.max_history,
        },
    ).pl()
    dwelt = con.execute(_CATEGORIES_SQL, parameters).pl()
    catalogue = con.execute(_ITEMS_SQL, {"cut": cut}).pl()
    customers = con.execute(
        "SELECT customer_id FROM core.customers UNION SELECT customer_id FROM features.customer_events "
        "WHERE occurred_at < ? ORDER BY customer_id",
        [cut],
    ).pl()["customer_id"]
    return _arrange(pairs, dwelt, catalogue, customers, config, use_stock=use_stock)


def _arrange(
    pairs: pl.DataFrame,
    dwelt: pl.DataFrame,
    catalogue: pl.DataFrame,
    customers: pl.Series,
    config: RecommendationConfig,
    *,
    use_stock: bool,
) -> Interactions:
    items = pl.concat([pairs["item_id"], catalogue["item_id"]]).unique().sort()
    item_numbers = pl.DataFrame({"item_id": items}).with_row_index("item")
    customer_numbers = pl.DataFrame({"customer_id": customers}).with_row_index("customer")
    facts = item_numbers.join(catalogue, on="item_id", how="left", maintain_order="left")
    category_numbers = (
        facts.select(pl.col("category").drop_nulls().unique().sort()).with_row_index("number")
    )  # fmt: skip
    categories = _look_up(facts, category_numbers)
    dwelt = customer_numbers.join(dwelt, on="customer_id", how="left", maintain_order="left")
    numbered = pairs.join(item_numbers, on="item_id").join(customer_numbers, on="customer_id")
    numbered = numbered.sort("customer", "item")
    is_available = (
        facts["is_on_sale"].fill_null(catalogue.is_empty()).to_numpy()
        & (facts["is_in_stock"].fill_null(value=True).to_numpy() | (not use_stock))
    )  # fmt: skip
    recent = numbered.filter("is_recent")
    shape = (len(customers), len(items))
    bought = numbered.filter(pl.col("last_bought_at").is_not_null())
    return Interactions(
        customer_ids=customers,
        item_ids=items,
        interest=_to_matrix(recent, recent["interest"].to_numpy(), shape),
        touched=_to_matrix(recent, np.ones(recent.height), shape),
        bought=_to_matrix(bought, np.ones(bought.height), shape),
        pairs=numbered.select("customer", "item", "last_at", "last_bought_at", "interest"),
        popularity=np.bincount(
            numbered["item"].to_numpy(), numbered["popularity"].to_numpy(), minlength=len(items)
        )
        / _MILLION,
        total_popularity=np.bincount(bought["item"].to_numpy(), minlength=len(items)).astype(
            np.float64
        ),
        categories=categories,
        customer_categories=_look_up(dwelt, category_numbers),
        is_available=is_available,
        is_repurchasable=_find_repurchasable(bought, categories, config),
    )


def _look_up(rows: pl.DataFrame, category_numbers: pl.DataFrame) -> IntArray:
    joined = rows.join(category_numbers, on="category", how="left", maintain_order="left")
    return np.asarray(joined["number"].cast(pl.Int64).fill_null(-1).to_numpy(), dtype=np.int64)


def _to_matrix(
    pairs: pl.DataFrame, values: npt.NDArray[Any], shape: tuple[int, int]
) -> sparse.csr_array:
    coordinates = (pairs["customer"].to_numpy(), pairs["item"].to_numpy())
    return sparse.csr_array((values.astype(np.float64), coordinates), shape=shape)


def _find_repurchasable(
    bought: pl.DataFrame, categories: IntArray, config: RecommendationConfig
) -> BoolArray:
    """Items whose share of buyers on two days or more is high enough, small numbers drawn to their category's."""
    n_items = len(categories)
    items = bought["item"].to_numpy()
    again = (bought["count_purchase_days"].to_numpy() > 1).astype(np.float64)
    buyers = np.bincount(items, minlength=n_items).astype(np.float64)
    repeaters = np.bincount(items, again, minlength=n_items)
    groups = categories + 1
    rates = np.bincount(groups, repeaters) / np.maximum(np.bincount(groups, buyers), 1)
    prior = config.repurchase_prior_buyers
    rate = (repeaters + prior * rates[groups]) / np.maximum(buyers + prior, 1e-9)
    return np.asarray(rate >= config.min_repurchase_rate, dtype=np.bool_)
