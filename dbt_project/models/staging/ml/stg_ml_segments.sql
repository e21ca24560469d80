with segments as (
    select * from {{ source('ml', 'segments') }}
),

known as (
    select
        segment_id,
        segment_name,
        rule_version,
        as_of_date
    from segments
    where as_of_date <= {{ as_of_date() }}
)

select * from known
