with orders as (
    select
        *,
        -- Of a tracker that tells another currency nothing can be added.
        case when web_currency = coalesce(shop_currency, web_currency) then web_value end as comparable_web_value
    from {{ ref('order_reconciliation') }}
),

final as (
    select
        order_date,
        coalesce(web_sources, 'none') as web_sources,
        coalesce(shop_sources, 'none') as shop_sources,
        status,
        coalesce(shop_currency, web_currency) as currency,
        count(*) as count_orders,
        {{ total('sum(cast(comparable_web_value as decimal(18, 2)))') }} as web_value,
        {{ total('sum(cast(shop_value as decimal(18, 2)))') }} as shop_value,
        {{ total('sum(cast(difference as decimal(18, 2)))') }} as difference
    from orders
    group by 1, 2, 3, 4, 5
)

select * from final
order by order_date, web_sources, shop_sources, status, currency
