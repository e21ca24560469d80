"""Labelled examples: what was known of a customer at a past cut-off, and whether an order followed."""

from collections.abc import Sequence
from datetime import date

import duckdb
import polars as pl

# 365-day windows and lifetime values are left out: in a shop with two years of logs they still grow with the calendar, so
# a model would learn the date.
_WINDOWS = (7, 30, 90)
_COUNTS = (
    "sessions",
    "active_days",
    "events",
    "product_views",
    "list_views",
    "searches",
    "add_to_carts",
    "wishlists",
    "orders",
    "email_opens",
    "email_clicks",
)
FEATURES = (
    "is_registered",
    "days_since_first_seen",
    "days_since_last_seen",
    "count_orders",
    "total_value",
    "average_order_value",
    "days_since_first_order",
    "days_since_last_order",
    "mean_days_between_orders",
    "refund_rate",
    "discount_share",
    *(f"count_{count}_{window}d" for window in _WINDOWS for count in _COUNTS),
    *(f"value_{window}d" for window in _WINDOWS),
    "session_seconds_mean_90d",
    "bounce_rate_90d",
    "cart_to_view_rate_90d",
    "order_to_session_rate_90d",
    "average_viewed_price_90d",
    "luxury_share_90d",
    "budget_share_90d",
    "count_categories_90d",
    "top_category_share_90d",
    "count_open_cart_items",
    "open_cart_value",
)

_columns = ", ".join(f"cast({feature} as double) as {feature}" for feature in FEATURES)

# A cut-off D is the end of day D, so the horizon runs from the first instant of D + 1.
_EXAMPLES_SQL = f"""
with buyers as (
    select features.customer_id, features.as_of_date
    from features.customer_features as features
    inner join core.orders as orders
        on features.customer_id = orders.customer_id
        and cast(orders.ordered_at at time zone 'UTC' as date) > features.as_of_date
        and cast(orders.ordered_at at time zone 'UTC' as date) <= features.as_of_date + cast($horizon_days as integer)
    where list_contains($cutoffs, features.as_of_date)
    group by features.customer_id, features.as_of_date
)
select features.customer_id, features.as_of_date, buyers.customer_id is not null as is_buyer, {_columns}
from features.customer_features as features
left join buyers
    on features.customer_id = buyers.customer_id and features.as_of_date = buyers.as_of_date
where list_contains($cutoffs, features.as_of_date)
order by features.as_of_date, features.customer_id
"""


def read_examples(
    con: duckdb.DuckDBPyConnection, cutoffs: Sequence[date], horizon_days: int
) -> pl.DataFrame:
    """One row a customer and cut-off: `customer_id`, `as_of_date`, `is_buyer` and the features as doubles.

    `is_buyer` is true when the customer has an order in the `horizon_days` days after the cut-off.
    """
    return con.execute(_EXAMPLES_SQL, {"cutoffs": list(cutoffs), "horizon_days": horizon_days}).pl()
