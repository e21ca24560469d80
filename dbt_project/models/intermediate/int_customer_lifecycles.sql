{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_day('customer_id') }}") }}

with sightings as (
    select * from {{ ref('int_customer_sightings') }}
    where {{ is_made_today() }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
    where {{ is_due_today('customer_id') }}
),

orders as (
    select * from {{ ref('int_customer_orders') }}
    where {{ is_made_today() }}
),

joined as (
    select
        coalesce(sightings.customer_id, profiles.customer_id) as customer_id,
        {{ utc_date('coalesce(sightings.first_seen_at, profiles.signed_up_at)') }} as first_date,
        {{ utc_date('coalesce(sightings.last_seen_at, profiles.signed_up_at)') }} as last_date
    from sightings
    full outer join profiles on sightings.customer_id = profiles.customer_id
),

measured as (
    select
        joined.customer_id,
        {{ days_between('joined.first_date', as_of_date()) }} as days_known,
        {{ days_between('joined.last_date', as_of_date()) }} as days_away,
        {{ days_between('orders.last_order_date', as_of_date()) }} as days_since_last_order,
        -- How long a usual pause lasts at most. Without a spread it would be over on the first late day.
        case
            when orders.count_order_days >= {{ var('min_order_days_for_rhythm') }}
                then orders.gap_days_mean + greatest(coalesce(orders.gap_days_spread, 0), orders.gap_days_mean / 4)
        end as order_rhythm_days
    from joined
    left join orders on joined.customer_id = orders.customer_id
),

final as (
    select
        customer_id,
        days_known,
        days_away,
        days_since_last_order,
        round(order_rhythm_days, 6) as order_rhythm_days,
        case
            when days_since_last_order <= order_rhythm_days then 'active'
            when days_since_last_order <= {{ var('at_risk_rhythms') }} * order_rhythm_days then 'at_risk'
            when days_since_last_order <= {{ var('lapsed_rhythms') }} * order_rhythm_days then 'lapsed'
            when order_rhythm_days is not null then 'lost'
            when days_known < {{ var('new_days') }} then 'new'
            when days_away < {{ var('active_days') }} then 'active'
            when days_away < {{ var('at_risk_days') }} then 'at_risk'
            when days_away < {{ var('lapsed_days') }} then 'lapsed'
            else 'lost'
        end as lifecycle_stage
    from measured
)

select * from final
