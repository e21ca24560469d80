with events as (
    select
        {{ utc_date('occurred_at') }} as day,
        count(*) as n_events,
        count(distinct customer_id) as n_customers
    from {{ ref('ftr_customer_events') }}
    group by 1
),

sessions as (
    select
        {{ utc_date('started_at') }} as day,
        count(*) as n_sessions,
        count(*) filter (where count_orders > 0) as n_sessions_with_order,
        count(*) filter (where is_bounce) as n_bounces,
        sum(duration_seconds) as seconds
    from {{ ref('fct_sessions') }}
    where monster_reason is null
    group by 1
),

orders as (
    select
        {{ utc_date('ordered_at') }} as day,
        count(*) as n_orders,
        sum(cast(gross_value as decimal(18, 2))) as gross_value,
        sum(cast(refunded_value as decimal(18, 2))) as refunded_value,
        sum(cast(net_value as decimal(18, 2))) as net_value
    from {{ ref('fct_orders') }}
    group by 1
),

-- Days without any event are rows of zeros, so that a chart shows the gap.
days as (
    select cast(unnest(generate_series(min(day), {{ as_of_date() }}, interval 1 day)) as date) as day
    from events
),

final as (
    select
        days.day,
        coalesce(events.n_events, 0) as n_events,
        coalesce(sessions.n_sessions, 0) as n_sessions,
        coalesce(events.n_customers, 0) as n_customers,
        coalesce(orders.n_orders, 0) as n_orders,
        {{ total('orders.gross_value') }} as gross_value,
        {{ total('orders.refunded_value') }} as refunded_value,
        {{ total('orders.net_value') }} as net_value,
        {{ rate('sessions.n_sessions_with_order', 'sessions.n_sessions') }} as conversion_rate,
        {{ rate('sessions.n_bounces', 'sessions.n_sessions') }} as bounce_rate,
        {{ average('orders.net_value', 'orders.n_orders') }} as average_order_value,
        {{ rate('sessions.seconds', 'sessions.n_sessions') }} as average_session_seconds
    from days
    left join events on days.day = events.day
    left join sessions on days.day = sessions.day
    left join orders on days.day = orders.day
)

select * from final
order by day
