{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_touched(order_key('order_id')) }}",
) }}

{% set same_line = 'side, source, order_id, item_id, title, price, quantity' %}

with orders as (
    select * from {{ ref('stg_orders') }}
    where {{ is_touched(order_key('order_id')) }}
),

test_orders as (
    select order_id
    from orders
    where is_test
    group by order_id
),

bots as (
    select actor_id
    from {{ ref('int_bots') }}
    where is_whole_actor
    group by actor_id
),

lines as (
    select
        'web' as side,
        source,
        actor_id,
        order_id,
        occurred_at as told_at,
        item_id,
        title,
        price,
        quantity,
        cast(null as decimal(18, 6)) as line_amount,
        discount,
        order_discount,
        currency
    from {{ tracked_events() }}
    where
        event_type = 'purchase'
        and order_id is not null
        and not is_bot
        and {{ is_touched(order_key('order_id')) }}
    union all
    select
        'shop' as side,
        source,
        null as actor_id,
        order_id,
        ordered_at as told_at,
        item_id,
        title,
        price,
        quantity,
        line_amount,
        discount,
        order_discount,
        currency
    from orders
    where line_type = 'sale'
),

-- The same line at another instant, or from another source, is told again; two alike at one instant are two pieces.
ordered as (
    select
        lines.*,
        min(lines.told_at) over (partition by {{ same_line }}) as first_told_at,
        min(lines.source) over (partition by lines.side, lines.order_id) as first_source
    from lines
    anti join test_orders on lines.order_id = test_orders.order_id
    anti join bots on lines.actor_id = bots.actor_id
),

counted as (
    select
        *,
        source = first_source and told_at = first_told_at as is_first,
        coalesce(line_amount, {{ product('price', 'quantity') }}) - discount as line_value
    from ordered
),

final as (
    select
        side,
        order_id,
        min(told_at) as told_at,
        string_agg(distinct source, ', ' order by source) as sources,
        bool_or(not is_first) as is_doubled,
        coalesce(min(currency) filter (where is_first), '{{ var("currency") }}') as currency,
        case
            when bool_and(line_value is not null) filter (where is_first)
                then
                    {{ money('sum(line_value) filter (where is_first)') }}
                    - {{ money('coalesce(max(order_discount) filter (where is_first), 0)') }}
        end as original_value
    from counted
    group by side, order_id
)

select * from final
