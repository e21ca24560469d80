{# A sum for each count and window takes more memory than the days. #}
{{ config(meta={'memory_share': 2}) }}

{% set counts = ["count_active_days", "count_events"] + (counted_types().keys() | list) + ["count_orders"] %}
{% set amounts = ["gross_value", "discount_value", "refunded_value", "ordered_quantity", "refunded_quantity"] %}

with cutoffs as (
    {{ cutoff_dates() }}
),

customer_days as (
    select
        *,
        gross_value - discount_value - refunded_value as net_value
    from ({{ due_rows(ref('int_customer_days')) }})
),

-- Days known in parts (late events) are several rows here: all that is made of them adds up. Of so many sums, `case` is
-- much quicker than `filter`.
known_days as (
    select
        customer_days.*,
        cutoffs.as_of_date,
        {{ days_between('customer_days.event_date', 'cutoffs.as_of_date') }} as days_ago
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
        max(case when count_events > 0 then days_ago end) as days_since_first_seen,
        min(case when count_events > 0 then days_ago end) as days_since_last_seen,
        max(case when count_orders > 0 then days_ago end) as days_since_first_order,
        min(case when count_orders > 0 then days_ago end) as days_since_last_order,
        min(case when count_email_opens > 0 then days_ago end) as days_since_last_email_open,
        {{ sum_where('count_orders', 'true') }} as count_orders,
        {% for name in amounts -%}
            sum({{ name }}) as {{ name }},
        {% endfor -%}
        {% for days in window_days() -%}
            {% for name in counts -%}
                {{ sum_where(name, 'days_ago < ' ~ days) }} as {{ name }}_{{ days }}d,
            {% endfor -%}
            sum(case when days_ago < {{ days }} then net_value else 0 end) as value_{{ days }}d,
        {% endfor -%}
        {{ rate(
            'sum(case when days_ago < 90 then scrolled_pct end)', sum_where('count_scrolls', 'days_ago < 90')
        ) }} as scroll_depth_mean_pct_90d,
        {{ trend_slope('count_session_events', 'days_ago', 30) }} as events_slope_30d,
        {{ rate(
            sum_where('count_session_events', 'days_ago < 30'),
            sum_where('count_session_events', 'days_ago between 30 and 59')
        ) }} as events_ratio_30d,
        sum(net_value) as total_value
    from known_days
    group by customer_id, as_of_date
    having sum(count_events) > 0
)

select * from final
