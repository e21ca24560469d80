{# Sums over customers: an increment takes away what touched customers had added before, and adds what they add now. #}
{% set active_days = 28 %}
{% set measures = ['n_events', 'n_customers', 'n_new_customers', 'n_became_active', 'n_became_inactive'] %}

with known_days as (
    {{ signed_rows('int_customer_days', 'intermediate') }}
),

customer_days as (
    select
        customer_id,
        sign,
        event_date,
        sum(count_events) as count_events
    from known_days
    where count_events > 0
    group by customer_id, sign, event_date
),

-- A customer counts as active on each of the 28 days that begin with a day of theirs.
neighbours as (
    select
        sign,
        event_date,
        count_events,
        lag(event_date) over of_customer as previous_date,
        lead(event_date) over of_customer as next_date
    from customer_days
    window of_customer as (partition by customer_id, sign order by event_date)
),

changes as (
    select
        event_date as day,
        sum(sign) as n_customers,
        sum(sign * count_events) as n_events,
        coalesce(sum(sign) filter (where previous_date is null), 0) as n_new_customers,
        coalesce(sum(sign) filter (
            where previous_date is null or {{ days_between('previous_date', 'event_date') }} >= {{ active_days }}
        ), 0) as n_became_active,
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
        sum(sign) as n_became_inactive
    from neighbours
    where next_date is null or {{ days_between('event_date', 'next_date') }} >= {{ active_days }}
    group by 1
    {% if is_increment() -%}
        union all
        select
            day,
            n_customers,
            n_events,
            n_new_customers,
            n_became_active,
            n_became_inactive
        from {{ formerly('intermediate', 'int_daily_customers') }}
    {%- endif %}
),

final as (
    select
        {% for measure in measures -%}
            cast(sum({{ measure }}) as bigint) as {{ measure }},
        {% endfor -%}
        day
    from changes
    group by day
    having sum(n_customers) > 0 or sum(n_became_inactive) > 0
)

select * from final
