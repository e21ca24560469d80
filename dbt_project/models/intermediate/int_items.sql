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

described as (
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
        catalogue.available_until
    from catalogue
    full outer join properties on catalogue.item_id = properties.item_id
),

-- Events can say nothing more of items that are described in full.
described_in_full as (
    select item_id
    from described
    where title is not null and category is not null and brand is not null and price is not null
),

seen as (
    select
        item_id,
        {{ last_by('title', 'occurred_at', 'event_id') }} as title,
        {{ last_by('category', 'occurred_at', 'event_id') }} as category,
        {{ last_by('brand', 'occurred_at', 'event_id') }} as brand,
        {{ last_by('price', 'occurred_at', 'event_id') }} as price,
        arg_max_null(currency, row(occurred_at, event_id)) filter (where price is not null) as currency
    from {{ ref('int_source_events') }}
    where
        not is_bot
        and event_type not in ('refund')
        and item_id is not null
        and item_id not in (select described_in_full.item_id from described_in_full)
    group by item_id
),

rates as (
    select
        currency,
        arg_max(rate, valid_from) as rate
    from {{ ref('stg_exchange_rates') }}
    where valid_from <= {{ as_of() }}
    group by currency
),

joined as (
    select
        coalesce(described.item_id, seen.item_id) as item_id,
        coalesce(described.title, seen.title) as title,
        described.description,
        coalesce(described.category, seen.category) as category,
        coalesce(described.brand, seen.brand) as brand,
        coalesce(described.price, seen.price) as price,
        case when described.price is null then seen.currency else described.currency end as currency,
        described.is_in_stock,
        described.available_from,
        described.available_until
    from described
    full outer join seen on described.item_id = seen.item_id
),

final as (
    select
        joined.item_id,
        joined.title,
        joined.description,
        joined.category,
        joined.brand,
        {{ converted('joined.price', 'joined.currency', 'rates.rate') }} as price,
        '{{ var("currency") }}' as currency,
        joined.is_in_stock,
        joined.available_from,
        joined.available_until
    from joined
    left join rates on joined.currency = rates.currency
)

select * from final
