{% set active_days = 28 %}

with customer_days as (
    select
        customer_id,
        event_date,
        sum(count_events) as count_events
    from {{ ref('int_customer_days') }}
    where count_events > 0
    group by customer_id, event_date
),

-- A customer counts as active on each of the 28 days that begin with a day of theirs.
neighbours as (
    select
        event_date,
        count_events,
        lag(event_date) over (partition by customer_id order by event_date) as previous_date,
        lead(event_date) over (partition by customer_id order by event_date) as next_date
    from customer_days
),

changes as (
    select
        event_date as day,
        count(*) as n_customers,
        cast(sum(count_events) as bigint) as n_events,
        count(*) filter (where previous_date is null) as n_new_customers,
        count(*) filter (
            where previous_date is null or {{ days_between('previous_date', 'event_date') }} >= {{ active_days }}
        ) as n_became_active,
        0 as n_became_inactive
    from neighbours
    group by event_date
    union all
    select
        cast(event_date + interval '{{ active_days }} days' as date) as day,
        0 as n_customers,
        0 as n_events,
        0 as n_new_customers,
        0 as n_became_active,
        count(*) as n_became_inactive
    from neighbours
    where next_date is null or {{ days_between('event_date', 'next_date') }} >= {{ active_days }}
    group by 1
),

final as (
    select
        day,
        cast(sum(n_events) as bigint) as n_events,
        cast(sum(n_customers) as bigint) as n_customers,
        cast(sum(n_new_customers) as bigint) as n_new_customers,
        cast(sum(n_became_active) as bigint) as n_became_active,
        cast(sum(n_became_inactive) as bigint) as n_became_inactive
    from changes
    group by day
)

select * from final
