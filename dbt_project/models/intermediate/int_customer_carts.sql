with cutoffs as (
    {{ cutoff_dates() }}
),

events as (
    select
        *,
        {{ money(product('coalesce(price, 0)', 'quantity')) }} as cart_value
    from {{ ref('int_events') }}
),

item_days as (
    select
        customer_id,
        item_id,
        event_date,
        known_date,
        max(occurred_at) filter (where event_type = 'add_to_cart') as added_at,
        max(occurred_at) filter (where event_type in ('remove_from_cart', 'purchase')) as gone_at,
        arg_max(cart_value, row(occurred_at, event_id)) filter (where event_type = 'add_to_cart') as value
    from events
    where event_type in ('add_to_cart', 'remove_from_cart', 'purchase') and item_id is not null
    group by customer_id, item_id, event_date, known_date
),

known_items as (
    select
        item_days.customer_id,
        cutoffs.as_of_date,
        item_days.item_id,
        max(item_days.added_at) as added_at,
        max(item_days.gone_at) as gone_at,
        arg_max(item_days.value, row(item_days.added_at, item_days.value)) as value
    from cutoffs
    inner join item_days
        on
            cutoffs.as_of_date >= item_days.event_date
            and cutoffs.as_of_date >= item_days.known_date
            and {{ days_between('item_days.event_date', 'cutoffs.as_of_date') }} < {{ var('open_cart_days') }}
    group by item_days.customer_id, cutoffs.as_of_date, item_days.item_id
    having max(item_days.added_at) is not null
),

final as (
    select
        customer_id,
        as_of_date,
        count(*) as count_open_cart_items,
        sum(value) as open_cart_value
    from known_items
    where gone_at is null or gone_at < added_at
    group by customer_id, as_of_date
)

select * from final
