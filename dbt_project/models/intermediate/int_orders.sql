{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with order_lines as (
    select * from {{ ref('int_order_lines') }}
    where {{ is_made_now() }}
),

refunds as (
    select
        order_id,
        sum(refunded_quantity) as refunded_quantity,
        sum(refunded_value) as refunded_value
    from {{ ref('int_refunds') }}
    where {{ is_made_now() }}
    group by order_id
),

orders as (
    select
        order_id,
        customer_id,
        session_id,
        ordered_at,
        min(currency) as original_currency,
        min(exchange_rate) as exchange_rate,
        count(*) as count_lines,
        sum(quantity) as count_items,
        sum(gross_value) as gross_value,
        sum(discount) as discount_value,
        max(order_tax) as tax_value,
        max(order_shipping) as shipping_value,
        count(*) filter (where not is_priced) as count_unpriced_lines
    from order_lines
    group by order_id, customer_id, session_id, ordered_at
),

paid as (
    select
        orders.*,
        orders.gross_value - orders.discount_value as paid_value,
        coalesce(refunds.refunded_quantity, 0) as refunded_quantity,
        coalesce(refunds.refunded_value, 0) as refunded_value,
        refunds.order_id is not null as is_refunded
    from orders
    left join refunds on orders.order_id = refunds.order_id
),

final as (
    select
        order_id,
        customer_id,
        session_id,
        ordered_at,
        {{ utc_date('ordered_at') }} as order_date,
        original_currency,
        exchange_rate,
        count_lines,
        count_items,
        gross_value,
        discount_value,
        refunded_value,
        paid_value - refunded_value as net_value,
        coalesce(tax_value, 0) as tax_value,
        coalesce(shipping_value, 0) as shipping_value,
        is_refunded,
        -- What an order without a price or a rate cost is not known.
        paid_value = 0 and coalesce(shipping_value, 0) = 0 and count_unpriced_lines = 0 as is_zero,
        case
            when paid_value > 0 then refunded_value >= paid_value
            else is_refunded and refunded_quantity >= count_items
        end as is_cancelled
    from paid
)

select * from final
