with catalogue as (
    select * from {{ ref('stg_items') }}
),

properties as (
    select
        item_id,
        max(value) filter (where property = 'title') as title,
        max(value) filter (where property = 'category') as category,
        max(value) filter (where property = 'brand') as brand,
        max(try_cast(value as decimal(18, 6))) filter (where property = 'price') as price,
        bool_or(try_cast(value as boolean)) filter (where property = 'is_in_stock') as is_in_stock
    from {{ ref('stg_item_properties') }}
    where property in ('title', 'category', 'brand', 'price', 'is_in_stock')
    group by item_id
),

final as (
    select
        coalesce(catalogue.item_id, properties.item_id) as item_id,
        coalesce(catalogue.title, properties.title) as title,
        catalogue.description,
        coalesce(catalogue.category, properties.category) as category,
        coalesce(catalogue.brand, properties.brand) as brand,
        coalesce(catalogue.price, properties.price) as price,
        catalogue.currency,
        coalesce(catalogue.is_in_stock, properties.is_in_stock) as is_in_stock,
        catalogue.available_from,
        catalogue.available_until,
        catalogue.item_id is not null
        and not catalogue.is_dated
        and catalogue.title is not null
        and catalogue.category is not null
        and catalogue.brand is not null
        and catalogue.price is not null as is_complete
    from catalogue
    full outer join properties on catalogue.item_id = properties.item_id
)

select * from final
