with cutoffs as (
    {{ cutoff_dates() }}
),

interest_days as (
    {{ due_rows(ref('int_customer_interest_days')) }}
),

customers as (
    {{ numbered_customers('interest_days') }}
),

-- Read three times rather than kept: it is larger than what is made of it.
known as not materialized (
    select
        interest_days.*,
        customers.customer_number,
        cutoffs.as_of_date
    from cutoffs
    inner join interest_days
        on
            cutoffs.as_of_date >= interest_days.event_date
            and cutoffs.as_of_date >= interest_days.known_date
            and (interest_days.is_due or not cutoffs.is_built)
            and {{ days_between('interest_days.event_date', 'cutoffs.as_of_date') }} < 90
    inner join customers on interest_days.customer_id = customers.customer_id
),

prices as (
    select
        customer_number,
        as_of_date,
        {{ average('sum(viewed_value)', 'sum(count_priced_views)') }} as average_viewed_price_90d,
        {{ share_where("price_tier = 'luxury'", "price_tier != ''") }} as luxury_share_90d,
        {{ share_where("price_tier = 'budget'", "price_tier != ''") }} as budget_share_90d
    from known
    group by customer_number, as_of_date
),

category_counts as (
    select
        customer_number,
        as_of_date,
        category,
        sum(count_events) as count_events
    from known
    where category != ''
    group by customer_number, as_of_date, category
),

categories as (
    select
        customer_number,
        as_of_date,
        count(*) as count_categories_90d,
        arg_min(category, row(-count_events, category)) as top_category_90d,
        {{ rate('max(count_events)', 'sum(count_events)') }} as top_category_share_90d
    from category_counts
    group by customer_number, as_of_date
),

brand_counts as (
    select
        customer_number,
        as_of_date,
        brand,
        sum(count_events) as count_events
    from known
    where brand != ''
    group by customer_number, as_of_date, brand
),

brands as (
    select
        customer_number,
        as_of_date,
        arg_min(brand, row(-count_events, brand)) as top_brand_90d
    from brand_counts
    group by customer_number, as_of_date
),

final as (
    select
        customers.customer_id,
        prices.as_of_date,
        prices.average_viewed_price_90d,
        prices.luxury_share_90d,
        prices.budget_share_90d,
        categories.count_categories_90d,
        categories.top_category_90d,
        categories.top_category_share_90d,
        brands.top_brand_90d
    from prices
    inner join customers on prices.customer_number = customers.customer_number
    left join categories
        on prices.customer_number = categories.customer_number and prices.as_of_date = categories.as_of_date
    left join brands on prices.customer_number = brands.customer_number and prices.as_of_date = brands.as_of_date
)

select * from final
