with told as (
    select * from {{ ref('stg_item_attributes') }}
),

sightings as (
    select * from {{ ref('int_item_sightings') }}
),

-- What events say of an item counts, from when they first said it, until the catalogue says something.
seen as (
    {% for attribute in ['category', 'brand', 'price'] -%}
        select
            item_id,
            '{{ attribute }}' as attribute,
            min(first_{{ attribute }}_at) as known_at,
            cast(
                {{ first_by('first_' ~ attribute, 'first_' ~ attribute ~ '_at', 'first_' ~ attribute ~ '_event_id') }}
                as varchar
            ) as value,
            {{ "arg_min_null(first_currency, row(first_price_at, first_price_event_id))"
                if attribute == 'price' else 'cast(null as varchar)' }} as currency
        from sightings
        where first_{{ attribute }} is not null
        group by item_id
        {{ "union all" if not loop.last }}
    {% endfor %}
),

first_told as (
    select
        item_id,
        attribute,
        min(known_at) as known_at
    from told
    group by item_id, attribute
),

known as (
    select
        item_id,
        attribute,
        known_at,
        value,
        currency
    from told
    union all
    select
        seen.item_id,
        seen.attribute,
        seen.known_at,
        seen.value,
        seen.currency
    from seen
    left join first_told on seen.item_id = first_told.item_id and seen.attribute = first_told.attribute
    where seen.known_at < coalesce(first_told.known_at, {{ as_of() }} + interval 1 microsecond)
),

-- A value that is told again is no new version.
final as (
    select
        item_id,
        attribute,
        known_at,
        value,
        currency
    from known
    qualify lag(value) over (partition by item_id, attribute order by known_at) is distinct from value
)

select * from final
