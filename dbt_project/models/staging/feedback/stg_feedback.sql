with feedback as (
    select * from {{ source('raw', 'feedback') }}
),

known as (
    select
        feedback_id,
        source,
        feedback_type,
        occurred_at,
        coalesce(received_at, occurred_at) as received_at,
        {{ text_or_null('anonymous_id') }} as anonymous_id,
        {{ identifier_of(has_contact=false) }} as identifier,
        {{ text_or_null('item_id') }} as item_id,
        rank,
        placement,
        medium,
        reason_code,
        model_version,
        file_id
    from feedback
    where
        occurred_at < {{ as_of() }}
        and coalesce(received_at, occurred_at) <= {{ as_of() }}
)

select * from known
