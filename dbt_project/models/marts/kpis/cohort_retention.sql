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
        sum(orders.net_value) as net_value
    from orders
    inner join cohorts on orders.customer_id = cohorts.customer_id
    group by 1, 2
),

final as (
    select
        grid.cohort_month,
        grid.months_since,
        grid.n_customers,
        coalesce(activity.n_active, 0) as n_active,
        {{ rate('coalesce(activity.n_active, 0)', 'grid.n_customers') }} as retention_rate,
        {{ total('activity.net_value') }} as net_value
    from grid
    left join activity using (cohort_month, months_since)
)

select * from final
order by cohort_month, months_since
