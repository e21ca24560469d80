with items as (
    select * from {{ source('raw', 'items') }}
),

files as (
    select
        file_id,
        path,
        loaded_at
    from {{ source('raw', 'files') }}
    where entity = 'items'
),

known as (
    select
        items.item_id,
        {{ text_or_null('items.title') }} as title,
        items.description,
        {{ text_or_null('items.category') }} as category,
        {{ text_or_null('items.brand') }} as brand,
        items.price,
        {{ currency_code('items.currency') }} as currency,
        items.is_in_stock,
        items.available_from,
        items.available_until,
        coalesce(items.received_at, items.valid_from) is not null as is_dated
    from items
    left join files on items.file_id = files.file_id
    where
        coalesce(items.received_at <= {{ as_of() }}, true)
        and coalesce(items.valid_from <= {{ as_of() }}, true)
        and coalesce(items.valid_to > {{ as_of() }}, true)
    -- A catalogue seldom dates its rows: then the file loaded last counts, of those loaded at once the last by name.
    qualify
        row_number() over (
            partition by items.item_id
            order by
                items.received_at desc nulls last,
                files.loaded_at desc nulls last,
                files.path desc nulls last,
                items.valid_from desc nulls last,
                items.line_number desc,
                items.source asc,
                items.file_id desc
        ) = 1
)

select * from known
