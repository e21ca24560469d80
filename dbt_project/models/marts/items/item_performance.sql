with items as (
    select * from {{ ref('dim_items') }}
),

windows as (
    select unnest([{{ var('item_performance_days') | join(', ') }}]) as window_days
),

activity as (
    select
        item_id,
        {{ days_between('event_date', as_of_date()) }} as days_ago,
        viewer_days,
        count_views as n_views,
        count_carts as n_carts,
        0 as n_orders,
        0 as quantity,
        0 as returned_quantity,
        0 as gross_value,
        0 as net_value
    from {{ ref('int_item_days') }}
    union all
    select
        item_id,
        {{ days_between(utc_date('ordered_at'), as_of_date()) }} as days_ago,
        0 as viewer_days,
        0 as n_views,
        0 as n_carts,
        count(distinct order_id) as n_orders,
        sum(cast(quantity as decimal(18, 3))) as quantity,
        sum(cast(refunded_quantity as decimal(18, 3))) as returned_quantity,
        sum(cast(gross_value as decimal(18, 2))) as gross_value,
        sum(cast(net_value as decimal(18, 2))) as net_value
    from {{ ref('fct_order_lines') }}
    where item_id is not null
    group by 1, 2
),

recent as (
    select
        activity.*,
        windows.window_days,
        activity.days_ago < windows.window_days as is_inside
    from activity
    inner join windows on activity.days_ago < 2 * windows.window_days
),

summed as (
    select
        item_id,
        window_days,
        {% for name in ['viewer_days', 'n_views', 'n_carts', 'n_orders', 'quantity', 'returned_quantity',
                        'gross_value', 'net_value'] -%}
            sum({{ name }}) filter (where is_inside) as {{ name }},
        {% endfor -%}
        sum(n_views) filter (where not is_inside) as n_views_before,
        sum(net_value) filter (where not is_inside) as net_value_before
    from recent
    group by item_id, window_days
),

-- Items that nobody looked at are rows too: of them a shop wants to know.
measured as (
    select
        items.item_id,
        windows.window_days,
        items.title,
        items.category,
        items.brand,
        items.price_tier,
        {% for name in ['viewer_days', 'n_views', 'n_carts', 'n_orders'] -%}
            cast(coalesce(summed.{{ name }}, 0) as bigint) as {{ name }},
        {% endfor -%}
        {% for name in ['quantity', 'returned_quantity', 'gross_value', 'net_value', 'net_value_before'] -%}
            {{ total('summed.' ~ name) }} as {{ name }},
        {% endfor -%}
        cast(coalesce(summed.n_views_before, 0) as bigint) as n_views_before
    from items
    cross join windows
    left join summed on items.item_id = summed.item_id and windows.window_days = summed.window_days
),

final as (
    select
        *,
        {{ metric('view_to_cart_rate') }} as view_to_cart_rate,
        {{ metric('cart_to_order_rate') }} as cart_to_order_rate,
        {{ metric('return_rate') }} as return_rate,
        case
            when n_orders > 0
                then rank() over (partition by window_days order by n_orders = 0, net_value desc)
        end as rank_by_net_value,
        {{ rate('n_views - n_views_before', 'n_views_before') }} as views_trend,
        case
            when net_value_before > 0 then {{ rate('net_value - net_value_before', 'net_value_before') }}
        end as net_value_trend,
        {{ as_of_date() }} as as_of_date
    from measured
)

select * from final
order by window_days, item_id
