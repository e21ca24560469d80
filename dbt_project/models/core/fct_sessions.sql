{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}", alias='sessions', on_schema_change='append_new_columns') }}

with events as (
    select * from {{ ref('int_events') }}
    where session_id is not null and {{ is_touched('customer_id') }}
),

orders as (
    select
        session_id,
        count(distinct order_id) as count_orders
    from {{ ref('int_order_lines') }}
    where {{ is_touched('customer_id') }}
    group by session_id
),

sessions as (
    select
        session_id,
        customer_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as count_events,
        count(*) filter (where event_type = 'product_view') as count_product_views,
        count(*) filter (where event_type = 'add_to_cart') as count_add_to_carts,
        {{ first_by('url_path', 'occurred_at', 'event_id') }} as entry_path,
        {{ last_by('url_path', 'occurred_at', 'event_id') }} as exit_path,
        {{ first_by('channel', 'occurred_at', 'event_id') }} as channel,
        {{ first_by('device', 'occurred_at', 'event_id') }} as device
    from events
    group by session_id, customer_id
),

final as (
    select
        sessions.session_id,
        sessions.customer_id,
        sessions.started_at,
        sessions.ended_at,
        {{ seconds_between('sessions.started_at', 'sessions.ended_at') }} as duration_seconds,
        sessions.count_events,
        sessions.count_product_views,
        sessions.count_add_to_carts,
        coalesce(orders.count_orders, 0) as count_orders,
        sessions.entry_path,
        sessions.exit_path,
        sessions.channel,
        sessions.device,
        sessions.count_events = 1 as is_bounce
    from sessions
    left join orders on sessions.session_id = orders.session_id
)

select * from final
