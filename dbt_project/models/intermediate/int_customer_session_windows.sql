with cutoffs as (
    {{ cutoff_dates() }}
),

events as (
    select * from {{ ref('int_events') }} where session_id is not null
),

session_days as (
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
),

-- A session that runs past midnight, or is known in parts, is as long as what was known of it.
known_sessions as (
    select
        session_days.customer_id,
        cutoffs.as_of_date,
        session_days.session_id,
        {{ days_between('min(session_days.event_date)', 'cutoffs.as_of_date') }} as days_ago,
        {{ seconds_between('min(session_days.started_at)', 'max(session_days.ended_at)') }} as duration_seconds,
        sum(session_days.count_events) = 1 as is_bounce
    from cutoffs
    inner join session_days
        on
            cutoffs.as_of_date >= session_days.event_date
            and cutoffs.as_of_date >= session_days.known_date
            and {{ days_between('session_days.event_date', 'cutoffs.as_of_date') }} < {{ window_days() | max }}
    group by session_days.customer_id, cutoffs.as_of_date, session_days.session_id
    having
        {{ monster_reason(
            'sum(session_days.count_events)', 'min(session_days.started_at)', 'max(session_days.ended_at)'
        ) }} is null
),

final as (
    select
        customer_id,
        as_of_date,
        {% for days in window_days() -%}
            count(*) filter (where days_ago < {{ days }}) as count_sessions_{{ days }}d,
        {% endfor -%}
        {{ rate(
            'sum(duration_seconds) filter (where days_ago < 90)',
            'count(*) filter (where days_ago < 90)'
        ) }} as session_seconds_mean_90d,
        {{ rate(
            'count(*) filter (where is_bounce and days_ago < 90)',
            'count(*) filter (where days_ago < 90)'
        ) }} as bounce_rate_90d
    from known_sessions
    group by customer_id, as_of_date
)

select * from final
