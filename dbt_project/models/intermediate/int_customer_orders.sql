{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with orders as (
    select * from {{ ref('int_orders') }}
    where {{ is_made_now() }}
),

totals as (
    select
        customer_id,
        count(*) as count_orders,
        sum(gross_value) as gross_value,
        sum(discount_value) as discount_value,
        sum(net_value) as net_value
    from orders
    group by customer_id
),

-- Orders of one day are one purchase: no pause lies between them.
order_days as (
    select
        customer_id,
        order_date,
        {{ days_between('lag(order_date) over (partition by customer_id order by order_date)', 'order_date') }}
            as gap_days
    from orders
    group by customer_id, order_date
),

rhythms as (
    select
        customer_id,
        min(order_date) as first_order_date,
        max(order_date) as last_order_date,
        count(*) as count_order_days,
        {{ rate('sum(gap_days)', 'count(gap_days)') }} as gap_days_mean,
        {{ spread('gap_days') }} as gap_days_spread
    from order_days
    group by customer_id
),

final as (
    select
        totals.*,
        rhythms.first_order_date,
        rhythms.last_order_date,
        rhythms.count_order_days,
        rhythms.gap_days_mean,
        rhythms.gap_days_spread
    from totals
    inner join rhythms on totals.customer_id = rhythms.customer_id
)

select * from final
