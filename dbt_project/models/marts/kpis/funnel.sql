with sessions as (
    select * from {{ ref('int_session_steps') }}
    where {{ days_between('day', as_of_date()) }} < {{ var('funnel_days') }}
),

counted as (
    {% for step, is_reached in funnel_steps().items() -%}
        select
            {{ loop.index }} as step_number,
            '{{ step }}' as step,
            count(*) as n_sessions,
            count(distinct customer_id) as n_customers
        from sessions
        where {{ is_reached }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

final as (
    select
        step_number,
        step,
        n_sessions,
        n_customers,
        {{ rate('n_sessions', 'lag(n_sessions) over (order by step_number)') }} as rate_of_previous,
        {{ rate('n_sessions', 'first_value(n_sessions) over (order by step_number)') }} as rate_of_first
    from counted
)

select * from final
order by step_number
