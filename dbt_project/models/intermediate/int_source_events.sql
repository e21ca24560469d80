{{ config(materialized='view') }}

with tracked as (
    select * from {{ tracked_events() }}
),

set_aside as (
    select * from {{ ref('int_set_aside_events') }}
),

untracked as (
    select * from {{ ref('int_untracked_events') }}
    where {{ is_made_now() }}
),

final as (
    select
        tracked.event_id,
        'events' as entity,
        tracked.source,
        tracked.event_type,
        tracked.occurred_at,
        cast(null as timestamp with time zone) as ordered_at,
        tracked.received_at,
        tracked.anonymous_id,
        tracked.identifier,
        tracked.actor_id,
        tracked.item_id,
        tracked.title,
        tracked.category,
        tracked.brand,
        tracked.price,
        tracked.quantity,
        tracked.discount,
        tracked.currency,
        cast(null as decimal(18, 6)) as line_amount,
        tracked.order_id,
        tracked.order_discount,
        tracked.order_tax,
        tracked.order_shipping,
        tracked.search_query,
        tracked.url_path,
        tracked.channel,
        tracked.campaign,
        tracked.device,
        tracked.country,
        tracked.region,
        tracked.consent_flags,
        tracked.scroll_depth_pct,
        tracked.event_type not in {{ outside_session_types() }} as opens_session,
        tracked.is_bot,
        tracked.bot_rule,
        set_aside.rule as set_aside_rule,
        tracked.file_id
    from tracked
    left join set_aside on tracked.event_id = set_aside.event_id
    union all
    select
        event_id,
        entity,
        source,
        event_type,
        occurred_at,
        ordered_at,
        received_at,
        anonymous_id,
        identifier,
        actor_id,
        item_id,
        title,
        category,
        brand,
        price,
        quantity,
        discount,
        currency,
        line_amount,
        order_id,
        order_discount,
        order_tax,
        order_shipping,
        null as search_query,
        url_path,
        channel,
        campaign,
        device,
        country,
        region,
        null as consent_flags,
        null as scroll_depth_pct,
        opens_session,
        false as is_bot,
        null as bot_rule,
        null as set_aside_rule,
        file_id
    from untracked
)

select * from final
