{{ config(alias='categories') }}

with categories as (
    select * from {{ ref('stg_categories') }}
),

-- From the roots down: what stands in a circle is below no root and gets no path.
paths as (
    with recursive walked as (
        select
            categories.category_id,
            categories.category_name as path,
            1 as depth
        from categories
        anti join categories as parents on categories.parent_category_id = parents.category_id
        union all
        select
            categories.category_id,
            concat(walked.path, '/', categories.category_name) as path,
            walked.depth + 1 as depth
        from walked
        inner join categories on walked.category_id = categories.parent_category_id
        where walked.depth < {{ var('max_category_depth') }}
    )

    select * from walked
),

final as (
    select
        categories.category_id,
        categories.category_name,
        categories.parent_category_id,
        paths.path,
        paths.depth
    from categories
    left join paths on categories.category_id = paths.category_id
)

select * from final
