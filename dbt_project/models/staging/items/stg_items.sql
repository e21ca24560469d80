with items as (
    select * from {{ source('raw', 'items') }}
),

known as (
    select
        item_id,
        title,
        description,
        {{ text_or_null('category') }} as category,
        {{ text_or_null('brand') }} as brand,
        price,
        currency,
        is_in_stock,
        available_from,
        available_until
    from items
    where coalesce(received_at <= {{ as_of() }}, true)
    qualify
        row_number() over (
            partition by item_id order by received_at desc nulls last, source asc, file_id desc, line_number desc
        ) = 1
)

select * from known
