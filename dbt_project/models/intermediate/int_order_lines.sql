{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with purchases as (
    select
        *,
        -- Without an id, what somebody bought in one visit; without consent to visits, what they bought at one instant.
        coalesce(
            order_id,
            {{ hashed_id(['customer_id', 'coalesce(session_id, cast(epoch_us(occurred_at) as varchar))']) }}
        ) as resolved_order_id,
        coalesce(line_amount, {{ product('original_price', 'quantity') }}, 0) as original_value
    from {{ ref('int_events') }}
    where event_type = 'purchase' and {{ is_made_now() }}
),

lines as (
    select
        event_id as order_line_id,
        resolved_order_id as order_id,
        -- An order belongs to whoever bought its first line, even where a log gives two owners.
        first_value(customer_id) over told as customer_id,
        first_value(session_id) over told as session_id,
        min(coalesce(ordered_at, occurred_at)) over same_order as ordered_at,
        known_date,
        item_id,
        category,
        brand,
        currency,
        exchange_rate,
        original_price as price,
        quantity,
        coalesce(line_amount, original_price) is not null and exchange_rate is not null as is_priced,
        {{ money('coalesce(original_value * exchange_rate, 0)') }} as gross_value,
        {{ money('coalesce(' ~ product('discount', 'exchange_rate') ~ ', 0)') }} as line_discount,
        -- Each line tells what was taken off, or came on top of, the whole order.
        max({{ money(product('order_discount', 'exchange_rate')) }}) over same_order as order_discount,
        max({{ money(product('order_tax', 'exchange_rate')) }}) over same_order as order_tax,
        max({{ money(product('order_shipping', 'exchange_rate')) }}) over same_order as order_shipping
    from purchases
    window
        same_order as (partition by resolved_order_id),
        told as (partition by resolved_order_id order by occurred_at, event_id)
),

payable as (
    select
        *,
        gross_value - least(greatest(line_discount, 0), gross_value) as payable_value
    from lines
),

-- An order's discount is laid over its lines by what each still costs.
shares as (
    select
        *,
        sum(payable_value) over same_order as order_payable,
        sum(payable_value) over (
            partition by order_id order by order_line_id rows between unbounded preceding and current row
        ) as payable_up_to,
        least(greatest(coalesce(order_discount, 0), 0), sum(payable_value) over same_order) as order_reduction
    from payable
    window same_order as (partition by order_id)
),

allocated as (
    select
        *,
        coalesce(
            {{ share_of('order_reduction', 'payable_up_to', 'payable_value', 'order_payable') }}, 0
        ) as allocated_discount
    from shares
),

final as (
    select
        order_line_id,
        order_id,
        customer_id,
        session_id,
        ordered_at,
        known_date,
        item_id,
        category,
        brand,
        currency,
        exchange_rate,
        price,
        quantity,
        is_priced,
        gross_value,
        gross_value - payable_value + allocated_discount as discount,
        allocated_discount,
        order_tax,
        order_shipping,
        {{ utc_date('ordered_at') }} as order_date
    from allocated
)

select * from final
