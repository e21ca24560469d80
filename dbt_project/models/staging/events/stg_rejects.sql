with rejects as (
    select * from {{ source('raw', 'rejects') }}
),

final as (
    select
        source,
        entity,
        file_id,
        line_number,
        reason_code,
        rejected_at
    from rejects
)

select * from final
