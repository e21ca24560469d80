{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_touched('customer_id') }}",
    alias='orders',
    on_schema_change='append_new_columns',
) }}

with orders as (
    select * from {{ ref('int_orders') }}
    where {{ is_made_now() }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
    where {{ is_made_now() }}
),

numbered as (
    select
        *,
        row_number() over by_customer as order_number,
        lag(order_date) over by_customer as previous_order_date
    from orders
    window by_customer as (partition by customer_id order by ordered_at, order_id)
),

final as (
    select
        numbered.order_id,
        numbered.customer_id,
        numbered.session_id,
        numbered.ordered_at,
        numbered.order_number,
        {{ days_between('numbered.previous_order_date', 'numbered.order_date') }} as days_since_previous_order,
        numbered.count_lines,
        cast(numbered.count_items as double) as count_items,
        cast(numbered.gross_value as double) as gross_value,
        cast(numbered.discount_value as double) as discount_value,
        cast(numbered.refunded_value as double) as refunded_value,
        cast(numbered.net_value as double) as net_value,
        cast(numbered.tax_value as double) as tax_value,
        cast(numbered.shipping_value as double) as shipping_value,
        '{{ var("currency") }}' as currency,
        sessions.channel,
        sessions.campaign,
        sessions.device,
        numbered.is_refunded,
        numbered.is_cancelled,
        numbered.is_zero
    from numbered
    left join sessions on numbered.session_id = sessions.session_id
)

select * from final
