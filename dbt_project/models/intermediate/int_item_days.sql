with customer_item_days as (
    select
        item_id,
        event_date,
        customer_id,
        count(*) filter (where event_type = 'product_view') as count_views,
        count(*) filter (where event_type = 'add_to_cart') as count_carts,
        count(*) filter (where event_type = 'add_to_wishlist') as count_wishlists
    from {{ ref('int_events') }}
    where event_type in ('product_view', 'add_to_cart', 'add_to_wishlist') and item_id is not null
    group by item_id, event_date, customer_id
),

final as (
    select
        item_id,
        event_date,
        cast(sum(count_views) as bigint) as count_views,
        cast(sum(count_carts) as bigint) as count_carts,
        cast(sum(count_wishlists) as bigint) as count_wishlists,
        count(*) filter (where count_views > 0) as viewer_days,
        count(*) filter (where count_carts > 0) as cart_days
    from customer_item_days
    group by item_id, event_date
)

select * from final
