with categories as (
    select * from {{ source('raw', 'categories') }}
),

files as (
    select
        file_id,
        path,
        loaded_at
    from {{ source('raw', 'files') }}
    where entity = 'categories'
),

known as (
    select
        categories.category_id,
        {{ text_or_null('categories.parent_category_id') }} as parent_category_id,
        coalesce({{ text_or_null('categories.category_name') }}, categories.category_id) as category_name
    from categories
    left join files on categories.file_id = files.file_id
    where coalesce(categories.received_at <= {{ as_of() }}, true)
    -- A tree seldom dates its rows: then the file loaded last counts, of those loaded at once the last by name.
    qualify
        row_number() over (
            partition by categories.category_id
            order by
                categories.received_at desc nulls last,
                files.loaded_at desc nulls last,
                files.path desc nulls last,
                categories.line_number desc,
                categories.source asc,
                categories.file_id desc
        ) = 1
)

select * from known
