with events as (
    select * from {{ ref('int_events') }} where session_id is not null
),

final as (
    select
        customer_id,
        session_id,
        event_date,
        known_date,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as count_events
    from events
    group by customer_id, session_id, event_date, known_date
)

select * from final
