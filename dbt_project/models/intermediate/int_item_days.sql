{# Sums over customers: an increment takes away what touched customers had added before, and adds what they add now.
   Days of an item of which nothing is left are taken away at last. #}
{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['item_id', 'event_date'],
    post_hook="{% if is_increment() %}delete from {{ this }} where count_views + count_carts + count_wishlists = 0{% endif %}",
) }}

with events as (
    {{ signed_rows('int_events', 'intermediate') }}
),

customer_item_days as (
    select
        item_id,
        event_date,
        customer_id,
        sign,
        count(*) filter (where event_type = 'product_view') as count_views,
        count(*) filter (where event_type = 'add_to_cart') as count_carts,
        count(*) filter (where event_type = 'add_to_wishlist') as count_wishlists
    from events
    where event_type in ('product_view', 'add_to_cart', 'add_to_wishlist') and item_id is not null
    group by item_id, event_date, customer_id, sign
),

changes as (
    select
        item_id,
        event_date,
        sum(sign * count_views) as count_views,
        sum(sign * count_carts) as count_carts,
        sum(sign * count_wishlists) as count_wishlists,
        sum(sign) filter (where count_views > 0) as viewer_days,
        sum(sign) filter (where count_carts > 0) as cart_days
    from customer_item_days
    group by item_id, event_date
),

item_days as (
    select * from changes
    {% if is_increment() -%}
        union all
        select former_days.*
        from (select * from {{ formerly('intermediate', 'int_item_days') }}) as former_days
        semi join changes on former_days.item_id = changes.item_id and former_days.event_date = changes.event_date
    {%- endif %}
),

final as (
    select
        item_id,
        event_date,
    {% for name in ['count_views', 'count_carts', 'count_wishlists', 'viewer_days', 'cart_days'] -%}
        cast(coalesce(sum({{ name }}), 0) as bigint) as {{ name }}{{ "," if not loop.last }}
    {% endfor %}
    from item_days
    group by item_id, event_date
    {{ '' if is_increment() else 'having sum(count_views + count_carts + count_wishlists) > 0' }}
)

select * from final
