with sessions as (
    select * from {{ ref('int_session_steps') }}
),

measured as (
    select
        day,
        channel,
        device,
        count(*) as n_sessions,
        count(*) filter (where is_engaged) as n_engaged_sessions,
        count(*) filter (where is_bounce) as n_bounces,
        {% for step, is_reached in funnel_steps().items() if step != 'session' -%}
            count(*) filter (where {{ is_reached }}) as n_sessions_with_{{ funnel_nouns()[step] }},
        {% endfor -%}
        cast(sum(count_events) as bigint) as n_session_events,
        cast(sum(duration_seconds) as bigint) as session_seconds,
        count(distinct customer_id) as n_customers
    from sessions
    group by day, channel, device
),

final as (
    select
        *,
        {{ metric('conversion_rate') }} as conversion_rate,
        {{ metric('bounce_rate') }} as bounce_rate,
        {{ metric('engagement_rate') }} as engagement_rate,
        {{ metric('average_session_seconds') }} as average_session_seconds,
        {{ metric('events_per_session') }} as events_per_session
    from measured
)

select * from final
order by day, channel, device
