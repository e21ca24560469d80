{% set counts = ["count_events"] + (counted_types().keys() | list) + ["count_orders"] %}

with cutoffs as (
    {{ cutoff_dates() }}
),

customer_days as (
    {{ due_rows(ref('int_customer_days')) }}
),

-- Days known in parts (late events) become one day again, as it was known at each cut-off.
known_days as (
    select
        customer_days.customer_id,
        cutoffs.as_of_date,
        customer_days.event_date,
        {{ days_between('customer_days.event_date', 'cutoffs.as_of_date') }} as days_ago,
        bool_or(customer_days.is_registered) as is_registered,
        sum(customer_days.count_session_events) > 0 as is_active,
        {% for name in counts -%}
            sum(customer_days.{{ name }}) as {{ name }},
        {% endfor -%}
        sum(customer_days.gross_value) as gross_value,
        sum(customer_days.discount_value) as discount_value,
        sum(customer_days.refunded_value) as refunded_value,
        sum(customer_days.gross_value - customer_days.discount_value - customer_days.refunded_value) as net_value
    from cutoffs
    inner join customer_days
        on
            cutoffs.as_of_date >= customer_days.event_date
            and cutoffs.as_of_date >= customer_days.known_date
            and (customer_days.is_due or not cutoffs.is_built)
    group by customer_days.customer_id, cutoffs.as_of_date, customer_days.event_date
),

final as (
    select
        customer_id,
        as_of_date,
        bool_or(is_registered) as is_registered,
        max(days_ago) filter (where count_events > 0) as days_since_first_seen,
        min(days_ago) filter (where count_events > 0) as days_since_last_seen,
        max(days_ago) filter (where count_orders > 0) as days_since_first_order,
        min(days_ago) filter (where count_orders > 0) as days_since_last_order,
        cast(sum(count_orders) as bigint) as count_orders,
        sum(gross_value) as gross_value,
        sum(discount_value) as discount_value,
        sum(refunded_value) as refunded_value,
        {% for days in window_days() -%}
            count(*) filter (where is_active and days_ago < {{ days }}) as count_active_days_{{ days }}d,
            {% for name in counts -%}
                cast(coalesce(sum({{ name }}) filter (where days_ago < {{ days }}), 0) as bigint)
                    as {{ name }}_{{ days }}d,
            {% endfor -%}
            coalesce(sum(net_value) filter (where days_ago < {{ days }}), 0) as value_{{ days }}d,
        {% endfor -%}
        sum(net_value) as total_value
    from known_days
    group by customer_id, as_of_date
    having sum(count_events) > 0
)

select * from final
