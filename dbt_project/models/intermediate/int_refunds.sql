{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with refunds as (
    select
        *,
        -- Of the order as a whole, by an amount and not by its pieces.
        item_id is null and original_price is not null as is_amount
    from {{ ref('int_events') }}
    where event_type = 'refund' and {{ is_made_now() }}
),

-- The pieces of one item in one order stand in a row, the latest line first; refunds take them from the front.
lines as (
    select
        *,
        gross_value - discount as paid_value,
        sum(quantity) over (
            partition by order_id, item_id order by ordered_at desc, order_line_id desc
            rows between unbounded preceding and current row
        ) as last_piece
    from {{ ref('int_order_lines') }}
    where quantity > 0 and {{ is_made_now() }}
),

order_items as (
    select
        order_id,
        item_id,
        any_value(customer_id) as customer_id,
        min(ordered_at) as ordered_at,
        sum(quantity) as pieces
    from lines
    group by order_id, item_id
),

-- Best match first: the item of the order, the item in this customer's latest earlier order, all that was ordered.
matches as (
    select
        refunds.event_id,
        1 as preference,
        order_items.order_id,
        order_items.item_id,
        refunds.quantity as pieces
    from refunds
    inner join order_items on refunds.order_id = order_items.order_id and refunds.item_id = order_items.item_id
    union all
    select
        refunds.event_id,
        2 as preference,
        order_items.order_id,
        order_items.item_id,
        refunds.quantity as pieces
    from refunds
    inner join order_items
        on
            refunds.customer_id = order_items.customer_id
            and refunds.item_id = order_items.item_id
            and refunds.occurred_at >= order_items.ordered_at
    qualify
        row_number() over (
            partition by refunds.event_id order by order_items.ordered_at desc, order_items.order_id desc
        ) = 1
    union all
    select
        refunds.event_id,
        3 as preference,
        order_items.order_id,
        order_items.item_id,
        order_items.pieces
    from refunds
    inner join order_items on refunds.order_id = order_items.order_id
    where refunds.item_id is null and not refunds.is_amount
),

best_matches as (
    select * from matches
    qualify preference = min(preference) over (partition by event_id)
),

placed as (
    select
        best_matches.event_id as refund_event_id,
        best_matches.order_id,
        best_matches.item_id,
        refunds.occurred_at as refunded_at,
        refunds.known_date,
        best_matches.pieces,
        refunds.price as unit_price,
        refunds.original_price,
        refunds.currency,
        sum(best_matches.pieces) over (
            partition by best_matches.order_id, best_matches.item_id
            order by refunds.occurred_at, best_matches.event_id
            rows between unbounded preceding and current row
        ) as last_piece
    from best_matches
    inner join refunds on best_matches.event_id = refunds.event_id
),

-- Pieces that were never bought match no line, so no line gives back more than was paid for it.
allocations as (
    select
        placed.refund_event_id,
        lines.order_line_id,
        lines.order_id,
        lines.customer_id,
        lines.order_date,
        placed.refunded_at,
        greatest(placed.known_date, lines.known_date) as known_date,
        greatest(placed.last_piece - placed.pieces, lines.last_piece - lines.quantity)
        - (lines.last_piece - lines.quantity) as first_offset,
        least(placed.last_piece, lines.last_piece) - (lines.last_piece - lines.quantity) as last_offset,
        -- Given back in the order's currency, a price counts at the rate of the order.
        least(
            coalesce(
                case
                    when placed.currency = lines.currency
                        then {{ product('placed.original_price', 'lines.exchange_rate') }}
                    else placed.unit_price
                end,
                lines.paid_value / lines.quantity
            ),
            lines.paid_value / lines.quantity
        ) as unit_value
    from placed
    inner join lines
        on
            placed.order_id = lines.order_id
            and placed.item_id is not distinct from lines.item_id
            and placed.last_piece - placed.pieces < lines.last_piece
            and placed.last_piece > lines.last_piece - lines.quantity
),

returned as (
    select
        refund_event_id,
        order_line_id,
        order_id,
        customer_id,
        order_date,
        refunded_at,
        known_date,
        last_offset - first_offset as refunded_quantity,
        {{ money('last_offset * unit_value') }} - {{ money('first_offset * unit_value') }} as refunded_value
    from allocations
),

given_back as (
    select
        order_line_id,
        sum(refunded_value) as refunded_value
    from returned
    group by order_line_id
),

orders as (
    select
        order_id,
        min(currency) as currency,
        min(exchange_rate) as exchange_rate
    from lines
    group by order_id
),

amounts as (
    select
        refunds.event_id as refund_event_id,
        refunds.order_id,
        refunds.occurred_at as refunded_at,
        refunds.known_date,
        {{ money(
            'refunds.quantity * case when refunds.currency = orders.currency then '
            ~ product('refunds.original_price', 'orders.exchange_rate') ~ ' else refunds.price end'
        ) }} as amount,
        sum(amount) over (
            partition by refunds.order_id order by refunds.occurred_at, refunds.event_id
            rows between unbounded preceding and current row
        ) as amount_up_to
    from refunds
    inner join orders on refunds.order_id = orders.order_id
    where refunds.is_amount
),

-- What the pieces that came back have left of each line, and of the lines of its order up to it.
remains as (
    select
        lines.*,
        lines.paid_value - coalesce(given_back.refunded_value, 0) as remaining_value,
        sum(remaining_value) over (
            partition by lines.order_id order by lines.order_line_id rows between unbounded preceding and current row
        ) as remaining_up_to,
        sum(remaining_value) over (partition by lines.order_id) as order_remaining
    from lines
    semi join amounts on lines.order_id = amounts.order_id
    left join given_back on lines.order_line_id = given_back.order_line_id
),

-- An amount takes the same share of each line. Shares are differences of rounded sums, so they add up to the cent.
shared as (
    select
        amounts.refund_event_id,
        remains.order_line_id,
        remains.order_id,
        remains.customer_id,
        remains.order_date,
        amounts.refunded_at,
        greatest(amounts.known_date, remains.known_date) as known_date,
        remains.quantity,
        remains.paid_value,
        least(amounts.amount_up_to, remains.order_remaining) as up_to,
        least(amounts.amount_up_to - amounts.amount, remains.order_remaining) as before,
        ({{ share_of('up_to', 'remaining_up_to', 'remaining_value', 'order_remaining') }})
        - ({{ share_of('before', 'remaining_up_to', 'remaining_value', 'order_remaining') }}) as refunded_value
    from amounts
    inner join remains on amounts.order_id = remains.order_id
    where remains.order_remaining > 0
),

final as (
    select * from returned
    union all
    select
        refund_event_id,
        order_line_id,
        order_id,
        customer_id,
        order_date,
        refunded_at,
        known_date,
        cast(quantity * refunded_value / paid_value as decimal(18, 3)) as refunded_quantity,
        refunded_value
    from shared
    where refunded_value != 0
)

select * from final
