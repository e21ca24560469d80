with segment_memberships as (
    select * from {{ source('ml', 'segment_memberships') }}
),

known as (
    select
        customer_id,
        segment_id,
        rule_version,
        reason,
        as_of_date
    from segment_memberships
    where as_of_date <= {{ as_of_date() }}
)

select * from known
