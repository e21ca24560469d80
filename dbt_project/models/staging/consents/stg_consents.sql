with consents as (
    select * from {{ source('raw', 'consents') }}
),

known as (
    select
        consent_id,
        source,
        {{ text_or_null('user_id') }} as user_id,
        email,
        phone,
        {{ text_or_null('anonymous_id') }} as anonymous_id,
        purpose,
        state,
        evidence,
        recorded_at,
        received_at
    from consents
    where
        recorded_at < {{ as_of() }}
        and coalesce(received_at <= {{ as_of() }}, true)
)

select * from known
