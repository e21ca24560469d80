with cutoffs as (
    {{ cutoff_dates() }}
),

events as (
    select * from {{ ref('int_events') }}
),

interest_days as (
    select
        customer_id,
        event_date,
        known_date,
        category,
        brand,
        {{ money('case when event_type = \'product_view\' then price end') }} as viewed_price,
        count(*) as count_events
    from events
    where event_type in {{ interest_types() }}
    group by 1, 2, 3, 4, 5, 6
),

known as (
    select
        cutoffs.as_of_date,
        interest_days.customer_id,
        interest_days.category,
        interest_days.brand,
        interest_days.viewed_price,
        sum(interest_days.count_events) as count_events
    from cutoffs
    inner join interest_days
        on
            cutoffs.as_of_date >= interest_days.event_date
            and cutoffs.as_of_date >= interest_days.known_date
            and {{ days_between('interest_days.event_date', 'cutoffs.as_of_date') }} < 90
    group by 1, 2, 3, 4, 5
),

-- The mean of "share of views below" and "share of views at or below", so that a category of one price is at 0.5.
price_levels as (
    select
        as_of_date,
        category,
        viewed_price,
        {{ rate(
            'sum(sum(count_events)) over (partition by as_of_date, category order by viewed_price) - sum(count_events) / 2',
            'sum(sum(count_events)) over (partition by as_of_date, category)'
        ) }} as percentile
    from known
    where category is not null and viewed_price is not null
    group by as_of_date, category, viewed_price
),

prices as (
    select
        known.customer_id,
        known.as_of_date,
        {{ average('sum(known.viewed_price * known.count_events)', 'sum(known.count_events)') }}
            as average_viewed_price_90d,
        {{ rate(
            'sum(cast(price_levels.percentile as decimal(9, 6)) * known.count_events)',
            'sum(known.count_events) filter (where price_levels.percentile is not null)'
        ) }} as viewed_price_percentile_90d
    from known
    left join price_levels using (as_of_date, category, viewed_price)
    where known.viewed_price is not null
    group by known.customer_id, known.as_of_date
),

category_counts as (
    select
        customer_id,
        as_of_date,
        category,
        sum(count_events) as count_events
    from known
    where category is not null
    group by 1, 2, 3
),

categories as (
    select
        customer_id,
        as_of_date,
        count(*) as count_categories_90d,
        arg_min(category, row(-count_events, category)) as top_category_90d,
        {{ rate('max(count_events)', 'sum(count_events)') }} as top_category_share_90d
    from category_counts
    group by customer_id, as_of_date
),

brand_counts as (
    select
        customer_id,
        as_of_date,
        brand,
        sum(count_events) as count_events
    from known
    where brand is not null
    group by 1, 2, 3
),

brands as (
    select
        customer_id,
        as_of_date,
        arg_min(brand, row(-count_events, brand)) as top_brand_90d
    from brand_counts
    group by customer_id, as_of_date
),

final as (
    select
        customer_id,
        as_of_date,
        prices.average_viewed_price_90d,
        prices.viewed_price_percentile_90d,
        categories.count_categories_90d,
        categories.top_category_90d,
        categories.top_category_share_90d,
        brands.top_brand_90d
    from prices
    full outer join categories using (customer_id, as_of_date)
    full outer join brands using (customer_id, as_of_date)
)

select * from final
