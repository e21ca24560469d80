with files as (
    select * from {{ source('raw', 'files') }}
),

final as (
    select
        file_id,
        source,
        entity,
        loaded_at,
        count_duplicates
    from files
    where entity in ('events', 'orders', 'messages', 'feedback')
)

select * from final
