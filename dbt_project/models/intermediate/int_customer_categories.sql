{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with events as (
    select * from {{ ref('int_events') }}
    where {{ is_made_now() }}
),

final as (
    select
        customer_id,
        category,
        count(*) filter (where event_type = 'product_view') as count_views,
        count(*) filter (where event_type = 'purchase') as count_purchases
    from events
    where event_type in ('product_view', 'purchase') and category is not null
    group by customer_id, category
)

select * from final
