"""How far each customer has come on the way to the next purchase.

Reads `features.customer_events`; writes `ml.customer_stages`, one row a customer of `features.customer_features`.
"""

from datetime import timedelta

import duckdb
import polars as pl

from jobs.journeys.config import JourneyConfig
from jobs.model_runs import make_model_version
from jobs.stages import Frames, StageRequest

# From the entrance to the till. Any other event makes a visitor.
STAGES = ("inactive", "visitor", "browsing", "considering", "carting", "checkout", "customer")
_ALGORITHM = "furthest stage since the last purchase"
_STAGE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "customer_id": pl.String,
    "stage": pl.String,
    "reached_at": pl.Datetime("us", "UTC"),
}

# A purchase ends a journey, and so does its session: a look round after paying is not a new intention. What the shop sends
# or books by itself (refund, impression, opened e-mail) is no step of the customer.
_STAGES_SQL = """
with events as (
    select
        customer_id, session_id, event_type, occurred_at,
        case
            when event_type in ('list_view', 'search') then 2
            when event_type in ('product_view', 'add_to_wishlist', 'review', 'recommendation_click') then 3
            when event_type in ('add_to_cart', 'remove_from_cart') then 4
            when event_type = 'begin_checkout' then 5
            when event_type = 'purchase' then 6
            else 1
        end as stage_number
    from features.customer_events
    where occurred_at < $as_of
        and event_type not in (
            'refund', 'email_open', 'push_open', 'recommendation_impression', 'identify', 'custom'
        )
),
purchases as (
    select customer_id, max(occurred_at) as purchased_at, arg_max(session_id, (occurred_at, session_id)) as session_id
    from events
    where event_type = 'purchase'
    group by customer_id
),
recent as (
    select events.*
    from events
    left join purchases on events.customer_id = purchases.customer_id
    where events.occurred_at >= $since
        and (
            purchases.customer_id is null
            or (events.occurred_at > purchases.purchased_at and events.session_id is distinct from purchases.session_id)
        )
),
furthest as (
    select customer_id, max(stage_number) as stage_number
    from recent
    group by customer_id
),
reached as (
    select recent.customer_id, recent.stage_number, min(recent.occurred_at) as reached_at
    from recent
    inner join furthest
        on recent.customer_id = furthest.customer_id and recent.stage_number = furthest.stage_number
    group by recent.customer_id, recent.stage_number
),
seen as (
    select customer_id, max(occurred_at) as last_seen_at
    from events
    group by customer_id
)
select
    customers.customer_id,
    coalesce(
        reached.stage_number, case when purchases.purchased_at >= $since then 6 else 0 end
    ) as stage_number,
    epoch_us(coalesce(
        reached.reached_at,
        case when purchases.purchased_at >= $since then purchases.purchased_at end,
        seen.last_seen_at
    )) as reached_us
from features.customer_features as customers
left join reached on customers.customer_id = reached.customer_id
left join purchases on customers.customer_id = purchases.customer_id
left join seen on customers.customer_id = seen.customer_id
where customers.as_of_date = $as_of_date
order by customers.customer_id
"""


def find_stages(
    con: duckdb.DuckDBPyConnection, request: StageRequest, run_id: str, config: JourneyConfig
) -> Frames:
    """Find each customer's furthest stage within `stage_days` and since the last purchase.

    Returns:
        `ml.customer_stages`. `reached_at` is when the stage was first reached on this journey; for `customer` the
        last purchase, for `inactive` (nothing within `stage_days`) the last time seen.
    """
    found = con.execute(
        _STAGES_SQL,
        {
            "as_of": request.as_of,
            "as_of_date": request.as_of_date,
            "since": request.as_of - timedelta(days=config.stage_days),
        },
    ).pl()
    stages = found.select(
        pl.col("customer_id"),
        pl.col("stage_number")
        .replace_strict(dict(enumerate(STAGES)), return_dtype=pl.String)
        .alias("stage"),
        pl.from_epoch("reached_us", time_unit="us").dt.replace_time_zone("UTC").alias("reached_at"),
    )
    version = make_model_version(_ALGORITHM, config, run_id)
    return {
        "ml.customer_stages": stages.match_to_schema(_STAGE_SCHEMA).with_columns(
            pl.lit(version).alias("model_version")
        )
    }
