{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with events as (
    select
        *,
        {{ money(product('coalesce(price, 0)', 'quantity')) }} as cart_value
    from {{ ref('int_events') }}
    where
        event_type in ('add_to_cart', 'remove_from_cart', 'purchase')
        and item_id is not null
        and {{ is_made_now() }}
),

final as (
    select
        customer_id,
        item_id,
        event_date,
        known_date,
        max(occurred_at) filter (where event_type = 'add_to_cart') as added_at,
        max(occurred_at) filter (where event_type in ('remove_from_cart', 'purchase')) as gone_at,
        arg_max(cart_value, row(occurred_at, event_id)) filter (where event_type = 'add_to_cart') as value
    from events
    group by customer_id, item_id, event_date, known_date
)

select * from final
