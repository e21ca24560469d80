{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with events as (
    select * from {{ ref('int_events') }}
    where opens_session and {{ is_made_now() }}
),

-- The clock is read once a quarter of an hour and not once an event: that is slow.
quarter_hours as (
    select
        customer_id,
        event_date,
        known_date,
        {{ quarter_hour('occurred_at') }} as quarter_hour,
        coalesce(device, '') as device,
        coalesce(country, '') as country,
        coalesce(region, '') as region,
        coalesce(channel, '') as channel,
        count(*) as count_events
    from events
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

local_times as (
    select
        *,
        {{ local_time('quarter_hour') }} as local_time
    from quarter_hours
),

final as (
    select
        customer_id,
        event_date,
        known_date,
        {{ weekday('local_time') }} as weekday,
        case
            {% for part, end_hour in day_parts().items() -%}
                when extract(hour from local_time) < {{ end_hour }} then '{{ part }}'
            {% endfor -%}
        end as day_part,
        device,
        country,
        region,
        channel,
        cast(sum(count_events) as bigint) as count_events
    from local_times
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9
)

select * from final
