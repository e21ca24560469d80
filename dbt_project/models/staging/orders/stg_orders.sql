with orders as (
    select
        *,
        {{ text_or_null('order_id') }} as order_number,
        coalesce(received_at, ordered_at) as known_at,
        line_type = 'return' and {{ text_or_null('item_id') }} is null as is_return_of_order
    from {{ source('raw', 'orders') }}
    where
        ordered_at < {{ as_of() }}
        and coalesce(received_at, ordered_at) <= {{ as_of() }}
),

files as (
    select
        file_id,
        path,
        loaded_at
    from {{ source('raw', 'files') }}
    where entity = 'orders'
),

-- Exports of orders tell anew, in each file, what has been given back of an order up to then.
latest_returns as (
    select
        orders.source,
        orders.order_number,
        arg_max(orders.file_id, row(files.loaded_at, files.path, orders.file_id)) as file_id
    from orders
    left join files on orders.file_id = files.file_id
    where orders.is_return_of_order
    group by orders.source, orders.order_number
),

test_orders as (
    select order_number
    from orders
    where is_test
    group by order_number
),

final as (
    select
        orders.order_line_id,
        orders.source,
        orders.order_number as order_id,
        orders.line_type,
        orders.ordered_at,
        orders.known_at as received_at,
        {{ identifier_of('orders', has_device=false) }} as identifier,
        {{ text_or_null('orders.item_id') }} as item_id,
        {{ text_or_null('orders.title') }} as title,
        {{ text_or_null('orders.category') }} as category,
        {{ text_or_null('orders.brand') }} as brand,
        case
            when orders.price is not null then orders.price
            when orders.is_return_of_order then orders.amount
            else cast(orders.amount / nullif(coalesce(orders.quantity, 1), 0) as decimal(18, 6))
        end as price,
        case
            when orders.price is null and orders.is_return_of_order then 1
            else coalesce(orders.quantity, 1)
        end as quantity,
        case when orders.price is null then orders.amount end as line_amount,
        coalesce(orders.discount, 0) as discount,
        {{ currency_code('orders.currency') }} as currency,
        orders.order_discount,
        orders.order_tax,
        orders.order_shipping,
        orders.status,
        test_orders.order_number is not null as is_test,
        orders.channel,
        orders.campaign,
        orders.country,
        orders.region,
        orders.file_id
    from orders
    left join latest_returns
        on
            orders.source = latest_returns.source
            and case when orders.is_return_of_order then orders.order_number end = latest_returns.order_number
    left join test_orders on orders.order_number = test_orders.order_number
    where coalesce(latest_returns.file_id = orders.file_id, true)
)

select * from final
