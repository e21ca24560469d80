with cutoffs as (
    {{ cutoff_dates() }}
),

interest_days as (
    {{ due_rows(ref('int_customer_interest_days')) }}
),

known as (
    select
        interest_days.customer_id,
        cutoffs.as_of_date,
        interest_days.category,
        interest_days.brand,
        interest_days.price_tier,
        sum(interest_days.count_events) as count_events,
        sum(interest_days.count_priced_views) as count_priced_views,
        sum(interest_days.viewed_value) as viewed_value
    from cutoffs
    inner join interest_days
        on
            cutoffs.as_of_date >= interest_days.event_date
            and cutoffs.as_of_date >= interest_days.known_date
            and (interest_days.is_due or not cutoffs.is_built)
            and {{ days_between('interest_days.event_date', 'cutoffs.as_of_date') }} < 90
    group by 1, 2, 3, 4, 5
),

prices as (
    select
        customer_id,
        as_of_date,
        {{ average('sum(viewed_value)', 'sum(count_priced_views)') }} as average_viewed_price_90d,
        {{ share_where("price_tier = 'luxury'", "price_tier != ''") }} as luxury_share_90d,
        {{ share_where("price_tier = 'budget'", "price_tier != ''") }} as budget_share_90d
    from known
    group by customer_id, as_of_date
),

category_counts as (
    select
        customer_id,
        as_of_date,
        category,
        sum(count_events) as count_events
    from known
    where category != ''
    group by customer_id, as_of_date, category
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
    where brand != ''
    group by customer_id, as_of_date, brand
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
        prices.luxury_share_90d,
        prices.budget_share_90d,
        categories.count_categories_90d,
        categories.top_category_90d,
        categories.top_category_share_90d,
        brands.top_brand_90d
    from prices
    left join categories using (customer_id, as_of_date)
    left join brands using (customer_id, as_of_date)
)

select * from final
