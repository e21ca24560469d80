with told as (
    select * from {{ ref('stg_item_attributes') }}
),

sightings as (
    select * from {{ ref('int_item_sightings') }}
),

-- What events say of an item counts where the catalogue says nothing, from when they first said it.
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
    anti join told on seen.item_id = told.item_id and seen.attribute = told.attribute
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
