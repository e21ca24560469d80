{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_touched('customer_id') }}",
    alias='unmatched_refunds',
    on_schema_change='append_new_columns',
) }}

with refunds as (
    select
        *,
        item_id is null and original_price is not null as is_amount
    from {{ ref('int_events') }}
    where event_type = 'refund' and {{ is_made_now() }}
),

orders as (
    select * from {{ ref('int_orders') }}
    where {{ is_made_now() }}
),

order_lines as (
    select * from {{ ref('int_order_lines') }}
    where {{ is_made_now() }}
),

matched as (
    select
        refund_event_id,
        min(order_id) as order_id,
        sum(refunded_quantity) as refunded_quantity,
        sum(refunded_value) as refunded_value
    from {{ ref('int_refunds') }}
    where {{ is_made_now() }}
    group by refund_event_id
),

order_items as (
    select
        order_id,
        item_id
    from order_lines
    group by order_id, item_id
),

customer_items as (
    select
        customer_id,
        item_id,
        min(ordered_at) as ordered_at
    from order_lines
    group by customer_id, item_id
),

-- Where an order was found, what was told is counted as int_refunds counts it: at the rate of the order.
compared as (
    select
        refunds.event_id,
        refunds.source,
        refunds.customer_id,
        refunds.occurred_at,
        refunds.order_id,
        refunds.item_id,
        refunds.quantity,
        refunds.is_amount,
        {{ money(
            'refunds.quantity * case when refunds.currency = orders.original_currency then '
            ~ product('refunds.original_price', 'orders.exchange_rate') ~ ' else refunds.price end'
        ) }} as told_value,
        matched.refund_event_id is not null as is_matched,
        coalesce(matched.refunded_quantity, 0) as refunded_quantity,
        coalesce(matched.refunded_value, 0) as refunded_value,
        orders.order_id is not null as is_order_known,
        order_items.order_id is not null or customer_items.customer_id is not null as is_item_bought
    from refunds
    left join matched on refunds.event_id = matched.refund_event_id
    left join orders on coalesce(matched.order_id, refunds.order_id) = orders.order_id
    left join order_items on refunds.order_id = order_items.order_id and refunds.item_id = order_items.item_id
    left join customer_items
        on
            refunds.customer_id = customer_items.customer_id
            and refunds.item_id = customer_items.item_id
            and refunds.occurred_at >= customer_items.ordered_at
),

ruled as (
    select
        *,
        case
            when is_matched and item_id is not null and refunded_quantity < quantity then 'more_than_bought'
            -- A cent may be the rounding of two products.
            when is_matched and told_value - refunded_value > 0.01 then 'more_than_paid'
            when is_matched then null
            when order_id is null and item_id is null then 'no_order_and_item'
            when is_item_bought then 'more_than_bought'
            when order_id is null then 'nothing_bought_before'
            when not is_order_known then 'order_unknown'
            when item_id is not null then 'item_not_in_order'
            when is_amount then 'more_than_paid'
            else 'more_than_bought'
        end as reason
    from compared
),

final as (
    select
        event_id as refund_event_id,
        source,
        customer_id,
        occurred_at as refunded_at,
        order_id,
        item_id,
        cast(quantity as double) as quantity,
        cast(refunded_quantity as double) as matched_quantity,
        cast(told_value as double) as told_value,
        cast(refunded_value as double) as matched_value,
        cast(case when told_value >= 0 then greatest(told_value - refunded_value, 0) end as double) as unmatched_value,
        reason
    from ruled
    where reason is not null
)

select * from final
