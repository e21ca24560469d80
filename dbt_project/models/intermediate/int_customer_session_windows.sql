with cutoffs as (
    {{ cutoff_dates() }}
),

session_days as (
    {{ due_rows(ref('int_customer_session_days')) }}
),

known_sessions as (
    select
        session_days.customer_id,
        cutoffs.as_of_date,
        {{ days_between('session_days.event_date', 'cutoffs.as_of_date') }} as days_ago,
        session_days.duration_seconds,
        session_days.count_events = 1 as is_bounce
    from cutoffs
    inner join session_days
        on
            cutoffs.as_of_date >= session_days.known_date
            and cutoffs.as_of_date < coalesce(session_days.replaced_date, cast('9999-12-31' as date))
            and {{ days_between('session_days.event_date', 'cutoffs.as_of_date') }} < {{ window_days() | max }}
            and (session_days.is_due or not cutoffs.is_built)
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
