{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_touched('customer_id') }}",
    alias='order_lines',
    on_schema_change='append_new_columns',
) }}

with order_lines as (
    select * from {{ ref('int_order_lines') }}
    where {{ is_made_now() }}
),

refunds as (
    select
        order_line_id,
        sum(refunded_quantity) as refunded_quantity,
        sum(refunded_value) as refunded_value
    from {{ ref('int_refunds') }}
    where {{ is_made_now() }}
    group by order_line_id
),

final as (
    select
        order_lines.order_line_id,
        order_lines.order_id,
        order_lines.customer_id,
        order_lines.ordered_at,
        order_lines.item_id,
        order_lines.category,
        order_lines.brand,
        cast(order_lines.quantity as double) as quantity,
        cast(order_lines.price as double) as price,
        order_lines.currency,
        cast(order_lines.exchange_rate as double) as exchange_rate,
        cast(order_lines.gross_value as double) as gross_value,
        cast(order_lines.discount as double) as discount,
        {{ total('refunds.refunded_quantity') }} as refunded_quantity,
        {{ total('refunds.refunded_value') }} as refunded_value,
        cast(
            order_lines.gross_value - order_lines.discount - coalesce(refunds.refunded_value, 0) as double
        ) as net_value
    from order_lines
    left join refunds on order_lines.order_line_id = refunds.order_line_id
)

select * from final
