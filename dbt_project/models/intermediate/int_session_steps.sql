{{ config(materialized='view') }}

with sessions as (
    select * from {{ ref('fct_sessions') }}
),

checkouts as (
    select
        session_id,
        count(*) as count_begin_checkouts
    from {{ ref('int_events') }}
    where event_type = 'begin_checkout' and session_id is not null
    group by session_id
),

final as (
    select
        sessions.session_id,
        sessions.customer_id,
        {{ utc_date('sessions.started_at') }} as day,
        coalesce(sessions.channel, 'unknown') as channel,
        coalesce(sessions.device, 'unknown') as device,
        sessions.duration_seconds,
        sessions.count_events,
        sessions.count_product_views,
        sessions.count_add_to_carts,
        coalesce(checkouts.count_begin_checkouts, 0) as count_begin_checkouts,
        sessions.count_orders,
        sessions.is_bounce,
        {{ is_engaged() }} as is_engaged
    from sessions
    left join checkouts on sessions.session_id = checkouts.session_id
)

select * from final
