{# Replaces exactly the run's cut-off dates, in one transaction: rows of other dates stay, in a full refresh too. In an
   increment dates that are built get the rows of touched customers anew. #}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    full_refresh=false,
    pre_hook="{{ forget_features() }}",
    meta={'memory_share': 0.75},
) }}

{% set counts = ["count_active_days", "count_events"] + (counted_types().keys() | list) + ["count_orders"] %}

with windows as (
    select * from {{ ref('int_customer_windows') }}
    where {{ in_slice('customer_id') }}
),

sessions as (
    select * from {{ ref('int_customer_session_windows') }}
    where {{ in_slice('customer_id') }}
),

rhythms as (
    select * from {{ ref('int_customer_rhythms') }}
    where {{ in_slice('customer_id') }}
),

interests as (
    select * from {{ ref('int_customer_interests') }}
    where {{ in_slice('customer_id') }}
),

affinities as (
    select
        {% for dimension in ["category", "brand", "price_tier"] -%}
            max(value) filter (where dimension = '{{ dimension }}') as top_{{ dimension }},
            max(affinity) filter (where dimension = '{{ dimension }}') as top_{{ dimension }}_affinity,
        {% endfor -%}
        customer_id,
        as_of_date
    from {{ ref('ftr_customer_affinities') }}
    where {{ in_slice('customer_id') }} and place = 1 and {{ is_made_now() }}
        and as_of_date in ({{ date_literals(var('cutoff_dates')) }})
    group by customer_id, as_of_date
),

views as (
    select * from {{ ref('int_customer_view_windows') }}
    where {{ in_slice('customer_id') }}
),

carts as (
    select * from {{ ref('int_customer_carts') }}
    where {{ in_slice('customer_id') }}
),

habits as (
    select * from {{ ref('int_customer_habits') }}
    where {{ in_slice('customer_id') }}
),

engagement as (
    select * from {{ ref('int_customer_engagement') }}
    where {{ in_slice('customer_id') }}
),

final as (
    select
        windows.customer_id,
        windows.as_of_date,
        windows.is_registered,
        windows.days_since_first_seen,
        windows.days_since_last_seen,
        windows.count_orders,
        {{ total('windows.gross_value') }} as gross_value,
        {{ total('windows.total_value') }} as total_value,
        {{ average('windows.total_value', 'windows.count_orders') }} as average_order_value,
        windows.days_since_first_order,
        windows.days_since_last_order,
        rhythms.mean_days_between_orders,
        rhythms.stddev_days_between_orders,
        rhythms.days_overdue,
        rhythms.overdue_ratio,
        {{ rate('windows.refunded_value', 'windows.gross_value') }} as refund_rate,
        {{ rate('windows.refunded_quantity', 'windows.ordered_quantity') }} as refunded_quantity_rate,
        {{ rate('windows.discount_value', 'windows.gross_value') }} as discount_share,
        {% for days in window_days() -%}
            coalesce(sessions.count_sessions_{{ days }}d, 0) as count_sessions_{{ days }}d,
            coalesce(sessions.session_seconds_{{ days }}d, 0) as session_seconds_{{ days }}d,
            {% for name in counts -%}
                windows.{{ name }}_{{ days }}d,
            {% endfor -%}
            {{ total('windows.value_' ~ days ~ 'd') }} as value_{{ days }}d,
        {% endfor -%}
        sessions.session_seconds_mean_90d,
        sessions.bounce_rate_90d,
        {{ rate('windows.count_add_to_carts_90d', 'windows.count_product_views_90d') }} as cart_to_view_rate_90d,
        {{ rate('windows.count_orders_90d', 'sessions.count_sessions_90d') }} as order_to_session_rate_90d,
        views.list_to_view_rate_90d,
        {{ rate('windows.count_recommendation_clicks_90d', 'windows.count_recommendation_impressions_90d') }}
            as recommendation_click_rate_90d,
        windows.scroll_depth_mean_pct_90d,
        interests.average_viewed_price_90d,
        interests.luxury_share_90d,
        interests.budget_share_90d,
        coalesce(interests.count_categories_90d, 0) as count_categories_90d,
        interests.top_category_90d,
        interests.top_category_share_90d,
        interests.top_brand_90d,
        affinities.top_category,
        affinities.top_category_affinity,
        affinities.top_brand,
        affinities.top_brand_affinity,
        affinities.top_price_tier,
        affinities.top_price_tier_affinity,
        coalesce(views.view_seconds_30d, 0) as view_seconds_30d,
        views.top_category_by_time_30d,
        coalesce(views.top_category_by_time_seconds_30d, 0) as top_category_by_time_seconds_30d,
        views.top_category_by_time_share_30d,
        coalesce(carts.count_open_cart_items, 0) as count_open_cart_items,
        {{ total('carts.open_cart_value') }} as open_cart_value,
        carts.open_cart_age_days,
        coalesce(carts.count_abandoned_carts_90d, 0) as count_abandoned_carts_90d,
        cast({{ funnel_step() }} as bigint) as funnel_step,
        case {{ funnel_step() }}
            {% for name in funnel_positions() -%}
                when {{ loop.index0 }} then '{{ name }}'
            {% endfor -%}
        end as funnel_position,
        {{ rate('windows.count_email_clicks_90d', 'windows.count_email_opens_90d') }} as email_click_to_open_rate_90d,
        windows.days_since_last_email_open,
        windows.events_slope_30d,
        windows.events_ratio_30d,
        engagement.engagement_score,
        {% for part in day_parts() -%}
            habits.{{ part }}_share_90d,
        {% endfor -%}
        habits.weekend_share_90d,
        cast(habits.top_weekday_90d as bigint) as top_weekday_90d,
        habits.top_device_90d,
        habits.top_device_share_90d,
        habits.top_country_90d,
        habits.top_region_90d,
        habits.top_channel_90d,
        habits.top_channel_share_90d
    from windows
    left join sessions using (customer_id, as_of_date)
    left join rhythms using (customer_id, as_of_date)
    left join interests using (customer_id, as_of_date)
    left join affinities using (customer_id, as_of_date)
    left join views using (customer_id, as_of_date)
    left join carts using (customer_id, as_of_date)
    left join habits using (customer_id, as_of_date)
    left join engagement using (customer_id, as_of_date)
)

select * from final -- noqa: AM04
