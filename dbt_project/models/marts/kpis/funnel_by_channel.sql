with session_kpis as (
    select * from {{ ref('session_kpis_daily') }}
    where {{ days_between('day', as_of_date()) }} < {{ var('funnel_days') }}
),

counted as (
    {% for step in funnel_steps() -%}
        select
            channel,
            device,
            {{ loop.index }} as step_number,
            '{{ step }}' as step,
            cast(sum({{ 'n_sessions_with_' ~ funnel_nouns()[step] if step != 'session' else 'n_sessions' }}) as bigint)
                as n_sessions
        from session_kpis
        group by channel, device
        {{ "union all" if not loop.last }}
    {% endfor %}
),

final as (
    select
        channel,
        device,
        step_number,
        step,
        n_sessions,
        {{ rate('n_sessions', 'lag(n_sessions) over steps') }} as rate_of_previous,
        {{ rate('n_sessions', 'first_value(n_sessions) over steps') }} as rate_of_first
    from counted
    window steps as (partition by channel, device order by step_number)
)

select * from final
order by channel, device, step_number
