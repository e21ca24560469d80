{# A view: the rows are those of int_events, and few of them need anything from elsewhere. #}
{{ config(alias='customer_events', materialized='view') }}

with events as (
    select * from {{ ref('int_events') }}
),

order_lines as (
    select * from {{ ref('int_order_lines') }}
),

refunds as (
    select
        refund_event_id,
        min(order_id) as order_id,
        sum(refunded_value) as refunded_value
    from {{ ref('int_refunds') }}
    group by refund_event_id
),

final as (
    select
        events.event_id,
        events.customer_id,
        events.session_id,
        events.event_type,
        events.occurred_at,
        events.known_at,
        events.item_id,
        events.category,
        events.brand,
        cast(events.price as double) as price,
        cast(events.quantity as double) as quantity,
        -- Adds up to the net value: what a purchase brought, less what its refunds took back.
        cast(coalesce(order_lines.gross_value - order_lines.discount, -refunds.refunded_value) as double) as value,
        coalesce(order_lines.order_id, refunds.order_id, events.order_id) as order_id,
        events.search_query,
        events.url_path,
        events.channel,
        events.campaign,
        events.device,
        events.country,
        events.region
    from events
    left join order_lines on events.event_id = order_lines.order_line_id
    left join refunds on events.event_id = refunds.refund_event_id
)

select * from final
