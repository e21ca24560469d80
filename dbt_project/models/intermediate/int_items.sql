with described as (
    select * from {{ ref('int_described_items') }}
),

sightings as (
    select * from {{ ref('int_item_sightings') }}
),

seen as (
    select
        item_id,
        {% for attribute in ['title', 'category', 'brand', 'price'] -%}
            {{ last_by('last_' ~ attribute, 'last_' ~ attribute ~ '_at', 'last_' ~ attribute ~ '_event_id') }}
                as {{ attribute }},
        {% endfor -%}
        arg_max_null(currency, row(last_price_at, last_price_event_id)) filter (where last_price is not null)
            as currency
    from sightings
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
