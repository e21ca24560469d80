with recommendations as (
    select * from {{ source('ml', 'recommendations') }}
),

known as (
    select
        customer_id,
        rank,
        item_id,
        score,
        reason_code,
        anchor_item_id,
        source,
        expires_at,
        model_version,
        as_of_date
    from recommendations
    where as_of_date = {{ as_of_date() }}
)

select * from known
