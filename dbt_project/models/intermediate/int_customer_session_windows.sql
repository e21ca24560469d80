with cutoffs as (
    {{ cutoff_dates() }}
),

session_days as (
    select * from {{ ref('int_customer_session_days') }}
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
),

final as (
    select
        customer_id,
        as_of_date,
        {% for days in window_days() -%}
            count(*) filter (where days_ago < {{ days }}) as count_sessions_{{ days }}d,
            cast(coalesce(sum(duration_seconds) filter (where days_ago < {{ days }}), 0) as bigint)
                as session_seconds_{{ days }}d,
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
