{{ config(alias='items') }}

with items as (
    select * from {{ ref('int_items') }}
),

priced as (
    select
        item_id,
        count(*) over (partition by category) as count_items,
        {{ score_by_rank('price', 'category', parts=3) }} as third
    from items
    where category is not null and price is not null
),

final as (
    select
        items.item_id,
        items.title,
        items.description,
        items.category,
        items.brand,
        cast(items.price as double) as price,
        items.currency,
        items.is_in_stock,
        items.available_from,
        items.available_until,
        case
            when priced.count_items < {{ var('min_items_for_price_tier') }} then null
            when priced.third = 1 then 'budget'
            when priced.third = 2 then 'mid'
            when priced.third = 3 then 'luxury'
        end as price_tier
    from items
    left join priced on items.item_id = priced.item_id
)

select * from final
