{# Since when each value was known: what stands in a catalogue without a date was known always. #}
{% set always = "cast('1970-01-01 00:00:00+00:00' as timestamp with time zone)" %}

with items as (
    select * from {{ source('raw', 'items') }}
),

properties as (
    select * from {{ source('raw', 'item_properties') }}
),

files as (
    select
        file_id,
        entity,
        path,
        loaded_at
    from {{ source('raw', 'files') }}
    where entity in ('items', 'item_properties')
),

told as (
    {% for attribute in ['category', 'brand', 'price'] -%}
        select
            item_id,
            '{{ attribute }}' as attribute,
            {{ text_or_null('cast(' ~ attribute ~ ' as varchar)') }} as value,
            {{ currency_code('currency') if attribute == 'price' else 'cast(null as varchar)' }} as currency,
            greatest(received_at, valid_from) as known_at,
            'items' as entity,
            file_id,
            line_number
        from items
        union all
    {% endfor -%}
    select
        {{ text_or_null('item_id') }} as item_id,
        property as attribute,
        {{ text_or_null('value') }} as value,
        null as currency,
        greatest(received_at, valid_from) as known_at,
        'item_properties' as entity,
        file_id,
        line_number
    from properties
    where property in ('category', 'brand', 'price')
),

-- Of values of one instant the catalogue's counts, then that of the file loaded last, then the last by name.
final as (
    select
        told.item_id,
        told.attribute,
        coalesce(told.known_at, {{ always }}) as known_at,
        arg_max(
            told.value,
            row(told.entity, files.loaded_at, files.path, told.line_number, told.file_id, told.value)
        ) as value,
        arg_max_null(
            told.currency,
            row(told.entity, files.loaded_at, files.path, told.line_number, told.file_id, told.value)
        ) as currency
    from told
    left join files on told.file_id = files.file_id and told.entity = files.entity
    where
        told.value is not null
        and coalesce(told.known_at <= {{ as_of() }}, true)
    group by 1, 2, 3
)

select * from final
