with changed_days as (
    select * from {{ source('ops', 'changed_days') }}
),

final as (
    select
        source,
        entity,
        day,
        is_late,
        changed_at,
        count_added,
        count_withdrawn
    from changed_days
    where day <= {{ as_of_date() }}
)

select * from final
