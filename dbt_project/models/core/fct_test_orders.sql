{{ config(alias='test_orders') }}

with orders as (
    select * from {{ ref('stg_orders') }} where is_test and line_type = 'sale'
),

identities as (
    select * from {{ ref('int_identities') }}
),

told as (
    select
        order_id,
        min(source) as source,
        min(identifier) as identifier,
        min(ordered_at) as ordered_at,
        count(*) as count_lines,
        sum(quantity) as count_items,
        {{ money('sum(coalesce(line_amount, ' ~ product('price', 'quantity') ~ ', 0) - discount)') }} as lines_value,
        {{ money('coalesce(max(order_discount), 0)') }} as order_discount,
        coalesce(min(currency), '{{ var("currency") }}') as original_currency
    from orders
    group by order_id
),

final as (
    select
        told.order_id,
        told.source,
        coalesce(identities.customer_id, told.identifier) as customer_id,
        told.ordered_at,
        told.count_lines,
        cast(told.count_items as double) as count_items,
        cast(told.lines_value - told.order_discount as double) as original_value,
        told.original_currency,
        true as is_test
    from told
    left join identities on told.identifier = identities.identifier
)

select * from final
