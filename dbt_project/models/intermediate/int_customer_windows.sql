{% set counts = ["count_events"] + (counted_types().keys() | list) + ["count_orders"] %}
{% set amounts = ["gross_value", "discount_value", "refunded_value", "ordered_quantity", "refunded_quantity"] %}

with cutoffs as (
    {{ cutoff_dates() }}
),

customer_days as (
    {{ due_rows(ref('int_customer_days')) }}
),

-- Everything below adds up, so days that are known in parts need not become one again. Counts are added as doubles, which hold them
-- exactly and take half of the memory of a sum of integers.
known_days as (
    select
        customer_days.customer_id,
        cutoffs.as_of_date,
        {{ days_between('customer_days.event_date', 'cutoffs.as_of_date') }} as days_ago,
        customer_days.is_registered,
        customer_days.is_first_active,
        {% for name in counts + ["count_session_events", "count_scrolls"] -%}
            cast(customer_days.{{ name }} as double) as {{ name }},
        {% endfor -%}
        customer_days.scrolled_pct,
        {% for name in amounts -%}
            customer_days.{{ name }},
        {% endfor -%}
        customer_days.gross_value - customer_days.discount_value - customer_days.refunded_value as net_value
    from cutoffs
    inner join customer_days
        on
            cutoffs.as_of_date >= customer_days.event_date
            and cutoffs.as_of_date >= customer_days.known_date
            and (customer_days.is_due or not cutoffs.is_built)
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
        min(days_ago) filter (where count_email_opens > 0) as days_since_last_email_open,
        cast(sum(count_orders) as bigint) as count_orders,
        {% for name in amounts -%}
            sum({{ name }}) as {{ name }},
        {% endfor -%}
        {% for days in window_days() -%}
            count(*) filter (where is_first_active and days_ago < {{ days }}) as count_active_days_{{ days }}d,
            {% for name in counts -%}
                cast(coalesce(sum({{ name }}) filter (where days_ago < {{ days }}), 0) as bigint)
                    as {{ name }}_{{ days }}d,
            {% endfor -%}
            coalesce(sum(net_value) filter (where days_ago < {{ days }}), 0) as value_{{ days }}d,
        {% endfor -%}
        {{ rate(
            'sum(scrolled_pct) filter (where days_ago < 90)', 'sum(count_scrolls) filter (where days_ago < 90)'
        ) }} as scroll_depth_mean_pct_90d,
        {{ trend_slope('count_session_events', 'days_ago', 30) }} as events_slope_30d,
        {{ rate(
            'coalesce(sum(count_session_events) filter (where days_ago < 30), 0)',
            'sum(count_session_events) filter (where days_ago between 30 and 59)'
        ) }} as events_ratio_30d,
        sum(net_value) as total_value
    from known_days
    group by customer_id, as_of_date
    having sum(count_events) > 0
)

select * from final
