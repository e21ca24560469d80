with consents as (
    select * from {{ source('raw', 'consents') }}
),

known as (
    select
        user_id as customer_id,
        purpose,
        state,
        recorded_at,
        file_id,
        line_number
    from consents
    where
        recorded_at < {{ as_of() }}
        and coalesce(received_at <= {{ as_of() }}, true)
)

select * from known
