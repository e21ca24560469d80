with daily_customers as (
    select * from {{ ref('int_daily_customers') }}
),

sessions as (
    select
        {% for name in session_measures() -%}
            cast(sum({{ name }}) as bigint) as {{ name }},
        {% endfor -%}
        day
    from {{ ref('session_kpis_daily') }}
    group by day
),

orders as (
    select
        {{ utc_date('ordered_at') }} as day,
        count(*) as n_orders,
        count(distinct customer_id) as n_buyers,
        sum(cast(gross_value as decimal(18, 2))) as gross_value,
        sum(cast(discount_value as decimal(18, 2))) as discount_value,
        sum(cast(refunded_value as decimal(18, 2))) as refunded_value,
        sum(cast(net_value as decimal(18, 2))) as net_value
    from {{ ref('fct_orders') }}
    group by 1
),

first_day as (
    select min(day) as day
    from (
        select day from daily_customers
        union all
        select day from orders
    ) as days
),

-- Days without any event are rows of zeros, so that a chart shows the gap.
days as (
    select cast(unnest(generate_series(day, {{ as_of_date() }}, interval 1 day)) as date) as day
    from first_day
),

measured as (
    select
        days.day,
        coalesce(daily_customers.n_events, 0) as n_events,
        {% for name in session_measures() -%}
            coalesce(sessions.{{ name }}, 0) as {{ name }},
        {% endfor -%}
        coalesce(daily_customers.n_customers, 0) as n_customers,
        coalesce(daily_customers.n_new_customers, 0) as n_new_customers,
        coalesce(daily_customers.n_customers - daily_customers.n_new_customers, 0) as n_returning_customers,
        cast(
            sum(coalesce(daily_customers.n_became_active - daily_customers.n_became_inactive, 0)) over (
                order by days.day rows between unbounded preceding and current row
            ) as bigint
        ) as n_customers_28d,
        coalesce(orders.n_orders, 0) as n_orders,
        coalesce(orders.n_buyers, 0) as n_buyers,
        {{ total('orders.gross_value') }} as gross_value,
        {{ total('orders.discount_value') }} as discount_value,
        {{ total('orders.refunded_value') }} as refunded_value,
        {{ total('orders.net_value') }} as net_value
    from days
    left join daily_customers on days.day = daily_customers.day
    left join sessions on days.day = sessions.day
    left join orders on days.day = orders.day
),

final as (
    select
        *,
        {% for name in [
            'conversion_rate', 'bounce_rate', 'engagement_rate', 'average_session_seconds', 'events_per_session',
            'average_order_value', 'discount_rate', 'refund_rate',
        ] -%}
            {{ metric(name) }} as {{ name }},
        {% endfor -%}
        {{ metric('stickiness') }} as stickiness
    from measured
)

select * from final
order by day
