{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('record_key') }}") }}

with orders as (
    select * from {{ ref('stg_orders') }}
    where
        line_type in ('sale', 'return')
        and not is_test
        and {{ is_touched(actor_key('cast(null as varchar)')) }}
),

messages as (
    select * from {{ ref('stg_messages') }}
    where {{ is_touched(actor_key('coalesce(anonymous_id, identifier)', 'null')) }}
),

feedback as (
    select * from {{ ref('stg_feedback') }}
    where {{ is_touched(actor_key('coalesce(anonymous_id, identifier)', 'null')) }}
),

purchases as (
    select * from {{ tracked_events() }}
    where event_type = 'purchase' and not is_bot
),

-- What a tracker saw of an order that the shop tells of: when, on which device, in which visit.
seen_orders as (
    select
        order_id,
        min(occurred_at) as occurred_at,
        min(received_at) as received_at,
        {{ first_by('anonymous_id', 'occurred_at', 'event_id') }} as anonymous_id,
        {{ first_by('nullif(identifier, anonymous_id)', 'occurred_at', 'event_id') }} as identifier,
        {{ first_by('channel', 'occurred_at', 'event_id') }} as channel,
        {{ first_by('campaign', 'occurred_at', 'event_id') }} as campaign,
        {{ first_by('device', 'occurred_at', 'event_id') }} as device
    from purchases
    where order_id in (select orders.order_id from orders)
    group by order_id
),

-- A return seldom names its customer; the order does.
owners as (
    select
        order_id,
        min(identifier) as identifier
    from orders
    where line_type = 'sale'
    group by order_id
),

order_lines as (
    select
        orders.order_line_id as event_id,
        'orders' as entity,
        orders.source,
        case when orders.line_type = 'sale' then 'purchase' else 'refund' end as event_type,
        case
            when orders.line_type = 'sale' then coalesce(seen_orders.occurred_at, orders.ordered_at)
            else orders.ordered_at
        end as occurred_at,
        orders.ordered_at,
        -- Before the shop told, a sale was known of whom the tracker named, if it did.
        case
            when
                orders.line_type = 'sale'
                and seen_orders.identifier = coalesce(orders.identifier, owners.identifier, seen_orders.identifier)
                then least(orders.received_at, seen_orders.received_at)
            else orders.received_at
        end as received_at,
        -- The order says whose device it was, unless the tracker knows this user by another id.
        case
            when coalesce(seen_orders.identifier = coalesce(orders.identifier, owners.identifier), true)
                then seen_orders.anonymous_id
        end as anonymous_id,
        coalesce(orders.identifier, owners.identifier, seen_orders.identifier) as person,
        orders.item_id,
        orders.title,
        orders.category,
        orders.brand,
        orders.price,
        orders.quantity,
        orders.discount,
        orders.currency,
        orders.line_amount,
        orders.order_id,
        orders.order_discount,
        orders.order_tax,
        orders.order_shipping,
        coalesce(orders.channel, seen_orders.channel) as channel,
        coalesce(orders.campaign, seen_orders.campaign) as campaign,
        seen_orders.device,
        orders.country,
        orders.region,
        orders.line_type = 'sale' and seen_orders.order_id is not null as opens_session,
        orders.file_id
    from orders
    left join owners on orders.order_id = owners.order_id
    left join seen_orders on orders.order_id = seen_orders.order_id
),

final as (
    select
        * exclude (person),
        {{ actor_key('cast(null as varchar)') }} as record_key,
        coalesce(person, anonymous_id) as identifier,
        coalesce(anonymous_id, person) as actor_id
    from order_lines
    union all by name
    select
        message_event_id as event_id,
        {{ actor_key('coalesce(anonymous_id, identifier)', 'null') }} as record_key,
        'messages' as entity,
        source,
        case
            when medium = 'push' then 'push_open'
            when message_type = 'open' then 'email_open'
            else 'email_click'
        end as event_type,
        occurred_at,
        received_at,
        anonymous_id,
        identifier,
        coalesce(anonymous_id, identifier) as actor_id,
        item_id,
        1 as quantity,
        0 as discount,
        url_path,
        medium as channel,
        campaign,
        device,
        false as opens_session,
        file_id
    from messages
    where (medium = 'email' and message_type in ('open', 'click')) or (medium = 'push' and message_type = 'open')
    union all by name
    select
        feedback_id as event_id,
        {{ actor_key('coalesce(anonymous_id, identifier)', 'null') }} as record_key,
        'feedback' as entity,
        source,
        case feedback_type
            when 'impression' then 'recommendation_impression'
            when 'click' then 'recommendation_click'
            else 'recommendation_dismiss'
        end as event_type,
        occurred_at,
        received_at,
        anonymous_id,
        identifier,
        coalesce(anonymous_id, identifier) as actor_id,
        item_id,
        1 as quantity,
        0 as discount,
        coalesce(medium not in ('email', 'push', 'sms'), true) as opens_session,
        file_id
    from feedback
)

select * from final
