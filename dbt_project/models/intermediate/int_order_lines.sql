with purchases as (
    select
        *,
        coalesce(order_id, {{ hashed_id(['customer_id', 'session_id']) }}) as resolved_order_id
    from {{ ref('int_events') }}
    where event_type = 'purchase'
),

lines as (
    select
        event_id as order_line_id,
        resolved_order_id as order_id,
        -- An order belongs to whoever bought its first line, even where a log gives two owners.
        first_value(customer_id) over (
            partition by resolved_order_id order by occurred_at, event_id
        ) as customer_id,
        first_value(session_id) over (
            partition by resolved_order_id order by occurred_at, event_id
        ) as session_id,
        min(occurred_at) over (partition by resolved_order_id) as ordered_at,
        known_date,
        item_id,
        category,
        brand,
        currency,
        price,
        cast(quantity as decimal(18, 3)) as quantity,
        {{ money('coalesce(price, 0) * quantity') }} as gross_value,
        {{ money('discount') }} as discount
    from purchases
),

final as (
    select
        * replace (least(greatest(discount, 0), gross_value) as discount),
        {{ utc_date('ordered_at') }} as order_date
    from lines
)

select * from final
