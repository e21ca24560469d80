{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}", alias='orders', on_schema_change='append_new_columns') }}

with order_lines as (
    select * from {{ ref('int_order_lines') }}
    where {{ is_touched('customer_id') }}
),

refunds as (
    select
        order_id,
        sum(refunded_value) as refunded_value
    from {{ ref('int_refunds') }}
    where {{ is_touched('customer_id') }}
    group by order_id
),

orders as (
    select
        order_id,
        customer_id,
        ordered_at,
        count(*) as count_lines,
        sum(gross_value) as gross_value,
        sum(discount) as discount_value,
        max(order_tax) as tax_value,
        max(order_shipping) as shipping_value
    from order_lines
    group by order_id, customer_id, ordered_at
),

final as (
    select
        orders.order_id,
        orders.customer_id,
        orders.ordered_at,
        orders.count_lines,
        cast(orders.gross_value as double) as gross_value,
        cast(orders.discount_value as double) as discount_value,
        {{ total('refunds.refunded_value') }} as refunded_value,
        cast(
            orders.gross_value - orders.discount_value - coalesce(refunds.refunded_value, 0) as double
        ) as net_value,
        {{ total('orders.tax_value') }} as tax_value,
        {{ total('orders.shipping_value') }} as shipping_value,
        '{{ var("currency") }}' as currency,
        refunds.order_id is not null as is_refunded
    from orders
    left join refunds on orders.order_id = refunds.order_id
)

select * from final
