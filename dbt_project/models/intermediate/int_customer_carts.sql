with cutoffs as (
    {{ cutoff_dates() }}
),

cart_days as (
    {{ due_rows(ref('int_customer_cart_days')) }}
),

known_items as (
    select
        cart_days.customer_id,
        cutoffs.as_of_date,
        cart_days.item_id,
        {{ days_between(
            'max(cart_days.event_date) filter (where cart_days.added_at is not null)', 'cutoffs.as_of_date'
        ) }} as days_ago,
        max(cart_days.added_at) as added_at,
        max(cart_days.gone_at) as gone_at,
        arg_max(cart_days.value, row(cart_days.added_at, cart_days.value)) as value
    from cutoffs
    inner join cart_days
        on
            cutoffs.as_of_date >= cart_days.event_date
            and cutoffs.as_of_date >= cart_days.known_date
            and (cart_days.is_due or not cutoffs.is_built)
            and {{ days_between('cart_days.event_date', 'cutoffs.as_of_date') }} < 90
    group by cart_days.customer_id, cutoffs.as_of_date, cart_days.item_id
    having max(cart_days.added_at) is not null
),

left_items as (
    select
        *,
        days_ago < {{ var('open_cart_days') }} as is_open
    from known_items
    where gone_at is null or gone_at < added_at
),

final as (
    select
        customer_id,
        as_of_date,
        count(*) filter (where is_open) as count_open_cart_items,
        coalesce(sum(value) filter (where is_open), 0) as open_cart_value,
        min(days_ago) filter (where is_open) as open_cart_age_days,
        -- What was put into it on one day is one cart.
        count(distinct days_ago) filter (where days_ago >= {{ var('abandoned_cart_days') }})
            as count_abandoned_carts_90d
    from left_items
    group by customer_id, as_of_date
)

select * from final
