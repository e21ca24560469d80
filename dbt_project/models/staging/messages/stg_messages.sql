with messages as (
    select * from {{ source('raw', 'messages') }}
),

known as (
    select
        message_event_id,
        source,
        message_type,
        medium,
        occurred_at,
        coalesce(received_at, occurred_at) as received_at,
        {{ text_or_null('anonymous_id') }} as anonymous_id,
        {{ identifier_of() }} as identifier,
        message_id,
        {{ text_or_null('item_id') }} as item_id,
        campaign,
        url_path,
        device,
        file_id
    from messages
    where
        occurred_at < {{ as_of() }}
        and coalesce(received_at, occurred_at) <= {{ as_of() }}
)

select * from known
