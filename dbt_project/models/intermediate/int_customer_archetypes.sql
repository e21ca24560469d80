{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with customers as (
    select customer_id from {{ ref('int_customer_lifecycles') }}
    where {{ is_touched('customer_id') }}
),

orders as (
    select * from {{ ref('int_customer_orders') }}
    where {{ is_made_now() }}
),

archetypes as (
    select * from {{ ref('customer_archetypes') }}
),

first_sessions as (
    select
        customer_id,
        sum(count_product_views) as count_product_views,
        sum(count_searches) as count_searches,
        sum(count_items_viewed) as count_items_viewed
    from {{ ref('fct_sessions') }}
    where
        session_number <= {{ var('archetype_sessions') }}
        and monster_reason is null
        and {{ is_made_now() }}
    group by customer_id
),

category_views as (
    select
        customer_id,
        category,
        count(*) as count_views
    from {{ ref('int_events') }}
    where event_type = 'product_view' and category is not null and {{ is_made_now() }}
    group by customer_id, category
),

categories as (
    select
        customer_id,
        {{ rate('max(count_views)', 'sum(count_views)') }} as category_share
    from category_views
    group by customer_id
),

facts as (
    select
        customers.customer_id,
        coalesce(orders.count_orders, 0) as count_orders,
        coalesce({{ rate('orders.discount_value', 'orders.gross_value') }}, 0) as discount_share,
        coalesce(first_sessions.count_product_views, 0) as count_product_views,
        coalesce(categories.category_share, 0) as category_share,
        coalesce(first_sessions.count_searches, 0) as count_searches,
        coalesce(first_sessions.count_items_viewed, 0) as count_items_viewed
    from customers
    left join orders on customers.customer_id = orders.customer_id
    left join first_sessions on customers.customer_id = first_sessions.customer_id
    left join categories on customers.customer_id = categories.customer_id
),

final as (
    select
        facts.customer_id,
        arg_min(archetypes.archetype, archetypes.priority) as archetype
    from facts
    inner join archetypes
        on
            facts.count_orders >= coalesce(archetypes.count_orders_min, 0)
            and facts.discount_share >= coalesce(archetypes.discount_share_min, 0)
            and facts.count_product_views >= coalesce(archetypes.count_product_views_min, 0)
            and facts.category_share >= coalesce(archetypes.category_share_min, 0)
            and facts.count_searches >= coalesce(archetypes.count_searches_min, 0)
            and facts.count_items_viewed >= coalesce(archetypes.count_items_viewed_min, 0)
    group by facts.customer_id
)

select * from final
