{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

{% set counts = ["count_events", "count_session_events"] + (counted_types().keys() | list) %}
{% set amounts = ["gross_value", "discount_value", "refunded_value", "ordered_quantity", "refunded_quantity"] %}

with events as (
    select * from {{ ref('int_events') }}
    where {{ is_made_now() }}
),

order_lines as (
    select * from {{ ref('int_order_lines') }}
    where {{ is_made_now() }}
),

refunds as (
    select * from {{ ref('int_refunds') }}
    where {{ is_made_now() }}
),

event_days as (
    select
        customer_id,
        event_date,
        known_date,
        bool_or(is_registered) as is_registered,
        {% for name, event_type in counted_types().items() -%}
            count(*) filter (where event_type = '{{ event_type }}') as {{ name }},
        {% endfor -%}
        count(scroll_depth_pct) as count_scrolls,
        coalesce(sum(scroll_depth_pct), 0) as scrolled_pct,
        count(*) filter (where opens_session) as count_session_events,
        count(*) as count_events
    from events
    group by customer_id, event_date, known_date
),

-- A day that is known in parts is an active one from the first part with a visit on: only that part counts it.
numbered_days as (
    select
        *,
        row_number() over (partition by customer_id, event_date, count_session_events > 0 order by known_date) as place
    from event_days
),

orders as (
    select
        order_id,
        customer_id,
        order_date,
        min(known_date) as known_date
    from order_lines
    group by order_id, customer_id, order_date
),

-- A refund takes its money from the day of the order that it undoes, but only from when it is known.
money_days as (
    select
        customer_id,
        order_date as event_date,
        known_date,
        1 as count_orders,
        0 as gross_value,
        0 as discount_value,
        0 as refunded_value,
        0 as ordered_quantity,
        0 as refunded_quantity
    from orders
    union all
    select
        customer_id,
        order_date as event_date,
        known_date,
        0 as count_orders,
        gross_value,
        discount as discount_value,
        0 as refunded_value,
        quantity as ordered_quantity,
        0 as refunded_quantity
    from order_lines
    union all
    select
        customer_id,
        order_date as event_date,
        known_date,
        0 as count_orders,
        0 as gross_value,
        0 as discount_value,
        refunded_value,
        0 as ordered_quantity,
        refunded_quantity
    from refunds
),

order_days as (
    select
        customer_id,
        event_date,
        known_date,
        {% for name in amounts -%}
            sum({{ name }}) as {{ name }},
        {% endfor -%}
        sum(count_orders) as count_orders
    from money_days
    group by customer_id, event_date, known_date
),

final as (
    select
        customer_id,
        event_date,
        known_date,
        coalesce(event_days.is_registered, false) as is_registered,
        case when event_days.count_session_events > 0 and event_days.place = 1 then 1 else 0 end as count_active_days,
        {% for name in counts + ["count_scrolls", "scrolled_pct"] -%}
            coalesce(event_days.{{ name }}, 0) as {{ name }},
        {% endfor -%}
        {% for name in amounts -%}
            coalesce(order_days.{{ name }}, 0) as {{ name }},
        {% endfor -%}
        cast(coalesce(order_days.count_orders, 0) as bigint) as count_orders
    from numbered_days as event_days
    full outer join order_days using (customer_id, event_date, known_date)
)

select * from final
