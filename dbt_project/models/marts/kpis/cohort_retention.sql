with orders as (
    select
        customer_id,
        cast(date_trunc('month', {{ utc_date('ordered_at') }}) as date) as order_month,
        cast(net_value as decimal(18, 2)) as net_value
    from {{ ref('fct_orders') }}
),

cohorts as (
    select
        customer_id,
        min(order_month) as cohort_month
    from orders
    group by customer_id
),

sizes as (
    select
        cohort_month,
        count(*) as n_customers
    from cohorts
    group by cohort_month
),

-- Months without an order are rows of zeros, up to the month of the run.
grid as (
    select
        cohort_month,
        n_customers,
        unnest(range(0, date_diff('month', cohort_month, {{ as_of_date() }}) + 1)) as months_since
    from sizes
),

activity as (
    select
        cohorts.cohort_month,
        date_diff('month', cohorts.cohort_month, orders.order_month) as months_since,
        count(distinct orders.customer_id) as n_active,
        count(*) as n_orders,
        sum(orders.net_value) as net_value
    from orders
    inner join cohorts on orders.customer_id = cohorts.customer_id
    group by 1, 2
),

measured as (
    select
        grid.cohort_month,
        grid.months_since,
        grid.n_customers,
        coalesce(activity.n_active, 0) as n_active,
        coalesce(activity.n_orders, 0) as n_orders,
        {{ total('activity.net_value') }} as net_value,
        {{ total('sum(activity.net_value) over months') }} as cumulative_net_value
    from grid
    left join activity using (cohort_month, months_since)
    window months as (
        partition by grid.cohort_month order by grid.months_since rows between unbounded preceding and current row
    )
),

final as (
    select
        *,
        {{ metric('retention_rate') }} as retention_rate,
        {{ metric('orders_per_customer') }} as orders_per_customer,
        {{ metric('net_value_per_customer') }} as net_value_per_customer,
        {{ metric('cumulative_value_per_customer') }} as cumulative_value_per_customer
    from measured
)

select * from final
order by cohort_month, months_since
