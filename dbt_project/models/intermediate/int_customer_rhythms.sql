with cutoffs as (
    {{ cutoff_dates() }}
),

customer_days as (
    select * from ({{ due_rows(ref('int_customer_days')) }})
    where count_orders > 0
),

-- Two orders of one day are one purchase in two parts.
order_days as (
    select
        customer_days.customer_id,
        cutoffs.as_of_date,
        customer_days.event_date
    from cutoffs
    inner join customer_days
        on
            cutoffs.as_of_date >= customer_days.event_date
            and cutoffs.as_of_date >= customer_days.known_date
            and (customer_days.is_due or not cutoffs.is_built)
    group by customer_days.customer_id, cutoffs.as_of_date, customer_days.event_date
),

gaps as (
    select
        customer_id,
        as_of_date,
        event_date,
        {{ days_between(
            'lag(event_date) over (partition by customer_id, as_of_date order by event_date)', 'event_date'
        ) }} as gap_days
    from order_days
),

summed as (
    select
        customer_id,
        as_of_date,
        count(gap_days) as count_gaps,
        sum(gap_days) as gap_days,
        sum(gap_days * gap_days) as squared_gap_days,
        {{ days_between('max(event_date)', 'as_of_date') }} as days_since_last_order
    from gaps
    group by customer_id, as_of_date
    having count(gap_days) > 0
),

final as (
    select
        customer_id,
        as_of_date,
        {{ rate('gap_days', 'count_gaps') }} as mean_days_between_orders,
        -- From whole numbers, so that it is the same in any order.
        round(sqrt(
            {{ rate('count_gaps * squared_gap_days - gap_days * gap_days', 'count_gaps * (count_gaps - 1)') }}
        ), 6) as stddev_days_between_orders,
        {{ rate('days_since_last_order * count_gaps - gap_days', 'count_gaps') }} as days_overdue,
        {{ rate('days_since_last_order * count_gaps', 'gap_days') }} as overdue_ratio
    from summed
)

select * from final
