with events as (
    select * from {{ ref('ftr_customer_events') }} where session_id is not null
),

sessions as (
    select
        session_id,
        customer_id
    from {{ ref('fct_sessions') }}
    where
        monster_reason is null
        and {{ days_between(utc_date('started_at'), as_of_date()) }} < {{ var('funnel_days') }}
),

steps as (
    select
        listed.step_number,
        listed.step,
        listed.event_type
    from (
        values
        (1, 'session', null),
        (2, 'product view', 'product_view'),
        (3, 'add to cart', 'add_to_cart'),
        (4, 'checkout', 'begin_checkout'),
        (5, 'purchase', 'purchase')
    ) as listed (step_number, step, event_type)
),

reached as (
    select
        'session' as step,
        session_id,
        customer_id
    from sessions
    union all
    select distinct
        steps.step,
        sessions.session_id,
        sessions.customer_id
    from events
    inner join sessions on events.session_id = sessions.session_id
    inner join steps on events.event_type = steps.event_type
),

counted as (
    select
        steps.step_number,
        steps.step,
        count(reached.session_id) as n_sessions,
        count(distinct reached.customer_id) as n_customers
    from steps
    left join reached on steps.step = reached.step
    group by steps.step_number, steps.step
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
