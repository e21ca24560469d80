with refunds as (
    select
        *,
        cast(quantity as decimal(18, 3)) as pieces
    from {{ ref('int_events') }}
    where event_type = 'refund'
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
    where quantity > 0
),

order_items as (
    select
        order_id,
        item_id,
        any_value(customer_id) as customer_id,
        min(ordered_at) as ordered_at,
        sum(quantity) as pieces,
        sum(sum(paid_value)) over (partition by order_id) as order_value
    from lines
    group by order_id, item_id
),

-- Best match first: the item of the order, the item in this customer's latest earlier order, the order as a whole.
matches as (
    select
        refunds.event_id,
        1 as preference,
        order_items.order_id,
        order_items.item_id,
        refunds.pieces
    from refunds
    inner join order_items on refunds.order_id = order_items.order_id and refunds.item_id = order_items.item_id
    union all
    select
        refunds.event_id,
        2 as preference,
        order_items.order_id,
        order_items.item_id,
        refunds.pieces
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
        -- Without an amount the whole order came back, with one the same share of each line.
        cast(
            order_items.pieces
            * least(coalesce(refunds.price * refunds.quantity / nullif(order_items.order_value, 0), 1), 1)
            as decimal(18, 3)
        ) as pieces
    from refunds
    inner join order_items on refunds.order_id = order_items.order_id
    where refunds.item_id is null
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
        case when best_matches.preference < 3 then refunds.price end as unit_price,
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
        least(
            coalesce(placed.unit_price, lines.paid_value / lines.quantity), lines.paid_value / lines.quantity
        ) as unit_value
    from placed
    inner join lines
        on
            placed.order_id = lines.order_id
            and placed.item_id is not distinct from lines.item_id
            and placed.last_piece - placed.pieces < lines.last_piece
            and placed.last_piece > lines.last_piece - lines.quantity
),

final as (
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
)

select * from final
