{# Replaces exactly the run's cut-off dates, in one transaction: rows of other dates stay. `delete+insert` would keep
   the old rows of a date that has none any more, so the dates are deleted by name. #}
{{ config(
    alias='customer_features',
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    pre_hook="{% if is_incremental() %}delete from {{ this }} where as_of_date in (
        {%- for day in var('cutoff_dates') %}cast('{{ day }}' as date){{ ', ' if not loop.last }}{% endfor -%}
    ){% endif %}",
) }}

{% set counts = ["count_active_days", "count_events"] + (counted_types().keys() | list) + ["count_orders"] %}

with windows as (
    select * from {{ ref('int_customer_windows') }}
),

sessions as (
    select * from {{ ref('int_customer_session_windows') }}
),

interests as (
    select * from {{ ref('int_customer_interests') }}
),

carts as (
    select * from {{ ref('int_customer_carts') }}
),

rfm as (
    select * from {{ ref('int_rfm_scores') }}
),

final as (
    select
        windows.customer_id,
        windows.as_of_date,
        windows.is_registered,
        windows.days_since_first_seen,
        windows.days_since_last_seen,
        windows.count_orders,
        {{ total('windows.total_value') }} as total_value,
        {{ average('windows.total_value', 'windows.count_orders') }} as average_order_value,
        windows.days_since_first_order,
        windows.days_since_last_order,
        {{ rate(
            'windows.days_since_first_order - windows.days_since_last_order', 'windows.count_orders - 1'
        ) }} as mean_days_between_orders,
        {{ rate('windows.refunded_value', 'windows.gross_value') }} as refund_rate,
        {{ rate('windows.discount_value', 'windows.gross_value') }} as discount_share,
        {% for days in window_days() -%}
            coalesce(sessions.count_sessions_{{ days }}d, 0) as count_sessions_{{ days }}d,
            {% for name in counts -%}
                windows.{{ name }}_{{ days }}d,
            {% endfor -%}
            {{ total('windows.value_' ~ days ~ 'd') }} as value_{{ days }}d,
        {% endfor -%}
        sessions.session_seconds_mean_90d,
        sessions.bounce_rate_90d,
        {{ rate('windows.count_add_to_carts_90d', 'windows.count_product_views_90d') }} as cart_to_view_rate_90d,
        {{ rate('windows.count_orders_90d', 'sessions.count_sessions_90d') }} as order_to_session_rate_90d,
        interests.average_viewed_price_90d,
        interests.viewed_price_percentile_90d,
        coalesce(interests.count_categories_90d, 0) as count_categories_90d,
        interests.top_category_90d,
        interests.top_category_share_90d,
        interests.top_brand_90d,
        coalesce(carts.count_open_cart_items, 0) as count_open_cart_items,
        {{ total('carts.open_cart_value') }} as open_cart_value,
        rfm.recency_score,
        rfm.frequency_score,
        rfm.monetary_score,
        rfm.rfm_segment
    from windows
    left join sessions using (customer_id, as_of_date)
    left join interests using (customer_id, as_of_date)
    left join carts using (customer_id, as_of_date)
    left join rfm using (customer_id, as_of_date)
)

select * from final
order by as_of_date, customer_id
