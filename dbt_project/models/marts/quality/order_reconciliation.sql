with web as (
    select * from {{ ref('int_order_tellings') }} where side = 'web'
),

shop as (
    select * from {{ ref('int_order_tellings') }} where side = 'shop'
),

-- One row: from when until when each side tells of orders.
periods as (
    select
        min(told_at) filter (where side = 'web') as web_from,
        max(told_at) filter (where side = 'web') as web_until,
        min(told_at) filter (where side = 'shop') as shop_from,
        max(told_at) filter (where side = 'shop') as shop_until
    from {{ ref('int_order_tellings') }}
),

joined as (
    select
        coalesce(shop.order_id, web.order_id) as order_id,
        coalesce(shop.told_at, web.told_at) as ordered_at,
        web.sources as web_sources,
        shop.sources as shop_sources,
        web.original_value as web_value,
        web.currency as web_currency,
        shop.original_value as shop_value,
        shop.currency as shop_currency,
        coalesce(web.is_doubled, false) as is_doubled_on_web,
        coalesce(shop.is_doubled, false) as is_doubled_in_shop,
        case when web.currency = shop.currency then web.original_value - shop.original_value end as difference
    from web
    full outer join shop on web.order_id = shop.order_id
),

final as (
    select
        joined.order_id,
        joined.ordered_at,
        {{ utc_date('joined.ordered_at') }} as order_date,
        joined.web_sources,
        joined.shop_sources,
        cast(joined.web_value as double) as web_value,
        joined.web_currency,
        cast(joined.shop_value as double) as shop_value,
        joined.shop_currency,
        cast(joined.difference as double) as difference,
        joined.is_doubled_on_web,
        joined.is_doubled_in_shop,
        case
            when joined.is_doubled_on_web then 'doubled_on_web'
            when joined.is_doubled_in_shop then 'doubled_in_shop'
            when joined.shop_sources is null and joined.ordered_at between periods.shop_from and periods.shop_until
                then 'missing_in_shop'
            when joined.web_sources is null and joined.ordered_at between periods.web_from and periods.web_until
                then 'missing_on_web'
            when joined.shop_sources is null or joined.web_sources is null then 'not_comparable'
            when joined.web_currency != joined.shop_currency then 'different_currency'
            when abs(joined.difference) * 100 > {{ var('reconciliation_tolerance_cents') }} then 'different_amount'
            else 'matched'
        end as status
    from joined
    cross join periods
)

select * from final
order by order_date, order_id
