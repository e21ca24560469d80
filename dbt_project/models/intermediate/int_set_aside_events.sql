{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('actor_key') }}") }}

{% set same_line = 'item_id, title, price, quantity' %}
{% set before = 'order by occurred_at range between unbounded preceding and interval 1 microsecond preceding' %}

with tracked as (
    select
        event_id,
        source,
        event_type,
        occurred_at,
        received_at,
        actor_id,
        order_id,
        item_id,
        title,
        price,
        quantity
    from {{ tracked_events() }}
    where event_type in ('purchase', 'refund') and not is_bot
),

-- The shop knows better what was sold; a return that it does not tell of may have come in since its last export.
shop_orders as (
    select
        order_id,
        bool_or(line_type = 'sale') as has_sales,
        bool_or(line_type = 'return' or is_test) as has_returns
    from {{ ref('stg_orders') }}
    where {{ is_touched(order_key('order_id')) }}
    group by order_id
),

-- When the same line was told before: of the same order, or, where there is no order id, by the same actor.
lines as (
    select
        event_id,
        source,
        actor_id,
        order_id,
        occurred_at,
        case
            when order_id is not null
                then max(occurred_at) over (partition by source, order_id, {{ same_line }} {{ before }})
            when actor_id is not null
                then max(occurred_at) over (partition by source, actor_id, {{ same_line }} {{ before }})
        end as told_before_at
    from tracked
    where event_type = 'purchase'
),

-- A firing holds what was bought at one instant. One with anything new in it is no repetition.
firings as (
    select
        event_id,
        order_id,
        bool_and(told_before_at is not null) over firing as is_repeated,
        not {{ is_longer_apart(
            'min(told_before_at) over firing', 'occurred_at', var('double_firing_seconds')
        ) }} as is_at_once
    from lines
    window firing as (partition by source, actor_id, order_id, occurred_at)
),

ruled as (
    select
        tracked.event_id,
        {{ actor_key('tracked.actor_id', 'tracked.order_id') }} as actor_key,
        tracked.source,
        tracked.received_at,
        tracked.actor_id,
        case
            when tracked.event_type = 'purchase' and shop_orders.has_sales then 'told_by_shop'
            when tracked.event_type = 'refund' and shop_orders.has_returns then 'told_by_shop'
            when firings.is_repeated and firings.is_at_once then 'double_firing'
            when firings.is_repeated and firings.order_id is not null then 'repeated_order'
        end as rule
    from tracked
    left join shop_orders on tracked.order_id = shop_orders.order_id
    left join firings on tracked.event_id = firings.event_id
),

final as (
    select
        event_id,
        actor_key,
        source,
        received_at,
        actor_id,
        rule
    from ruled
    where rule is not null
)

select * from final
