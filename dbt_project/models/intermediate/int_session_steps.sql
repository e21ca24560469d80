{{ config(materialized='view') }}

with sessions as (
    select * from {{ ref('fct_sessions') }}
),

-- A monster is no visit, so it is no KPI's.
final as (
    select
        session_id,
        customer_id,
        {{ utc_date('started_at') }} as day,
        coalesce(channel, 'unknown') as channel,
        coalesce(device, 'unknown') as device,
        duration_seconds,
        count_events,
        count_product_views,
        count_add_to_carts,
        count_begin_checkouts,
        count_orders,
        is_bounce,
        is_engaged
    from sessions
    where monster_reason is null
)

select * from final
