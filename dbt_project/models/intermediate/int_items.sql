with catalogue as (
    select * from {{ ref('stg_items') }}
),

events as (
    select * from {{ ref('stg_events') }}
),

seen as (
    select
        item_id,
        {{ last_by('category', 'occurred_at', 'event_id') }} as category,
        {{ last_by('brand', 'occurred_at', 'event_id') }} as brand,
        {{ last_by('price', 'occurred_at', 'event_id') }} as price,
        {{ last_by('currency', 'occurred_at', 'event_id') }} as currency
    from events
    where not is_bot and item_id is not null and event_type not in ('refund')
    group by item_id
),

final as (
    select
        coalesce(catalogue.item_id, seen.item_id) as item_id,
        catalogue.title,
        catalogue.description,
        coalesce(catalogue.category, seen.category) as category,
        coalesce(catalogue.brand, seen.brand) as brand,
        coalesce(catalogue.price, seen.price) as price,
        coalesce(catalogue.currency, seen.currency) as currency,
        catalogue.is_in_stock,
        catalogue.available_from,
        catalogue.available_until
    from catalogue
    full outer join seen on catalogue.item_id = seen.item_id
)

select * from final
