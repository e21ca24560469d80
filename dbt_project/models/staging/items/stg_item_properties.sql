with properties as (
    select * from {{ source('raw', 'item_properties') }}
),

files as (
    select
        file_id,
        path,
        loaded_at
    from {{ source('raw', 'files') }}
    where entity = 'item_properties'
),

known as (
    select
        {{ text_or_null('properties.item_id') }} as item_id,
        properties.property,
        arg_max_null(
            {{ text_or_null('properties.value') }},
            row(
                properties.valid_from,
                files.loaded_at,
                files.path,
                properties.line_number,
                properties.item_property_id
            )
        ) as value
    from properties
    left join files on properties.file_id = files.file_id
    where
        properties.valid_from <= {{ as_of() }}
        and coalesce(properties.received_at <= {{ as_of() }}, true)
    group by 1, 2
)

select * from known
