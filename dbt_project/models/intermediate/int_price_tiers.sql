{# Of the prices that were known when a month began, so that what is known later moves no customer of that month. #}
with versions as (
    select
        item_id,
        attribute,
        known_at,
        value,
        currency,
        cast(date_trunc('month', {{ utc_date('known_at') }}) + interval 1 month as date) as known_by
    from {{ ref('int_item_versions') }}
    where attribute in ('category', 'price')
),

rates as (
    select * from {{ ref('stg_exchange_rates') }}
),

-- What stands of an item at the end of each month in which something of it changed.
monthly as (
    select
        item_id,
        attribute,
        known_by,
        arg_max(value, known_at) as value,
        arg_max_null(currency, known_at) as currency
    from versions
    group by item_id, attribute, known_by
),

months as (
    select known_by as valid_from
    from versions
    where known_by <= {{ as_of_date() }}
    group by known_by
),

standing as (
    select
        months.valid_from,
        monthly.item_id,
        arg_max(monthly.value, monthly.known_by) filter (where monthly.attribute = 'category') as category,
        try_cast(arg_max(monthly.value, monthly.known_by) filter (where monthly.attribute = 'price') as decimal(18, 6))
            as price,
        arg_max_null(monthly.currency, monthly.known_by) filter (where monthly.attribute = 'price') as currency
    from months
    inner join monthly on months.valid_from >= monthly.known_by
    group by months.valid_from, monthly.item_id
),

monthly_rates as (
    select
        months.valid_from,
        rates.currency,
        arg_max(rates.rate, rates.valid_from) as rate
    from months
    inner join rates on {{ utc_date('rates.valid_from') }} < months.valid_from
    group by months.valid_from, rates.currency
),

priced as (
    select
        standing.valid_from,
        standing.category,
        {{ converted('standing.price', 'standing.currency', 'monthly_rates.rate') }} as price
    from standing
    left join monthly_rates
        on standing.valid_from = monthly_rates.valid_from and standing.currency = monthly_rates.currency
    where standing.category is not null and standing.price is not null
),

thirds as (
    select
        valid_from,
        category,
        percentile_disc(1.0 / 3) within group (order by price) as budget_up_to,
        percentile_disc(2.0 / 3) within group (order by price) as mid_up_to
    from priced
    where price is not null
    group by valid_from, category
    having count(*) >= {{ var('min_items_for_price_tier') }}
),

final as (
    select
        category,
        valid_from,
        lead(valid_from, 1, cast('9999-12-31' as date)) over (partition by category order by valid_from) as valid_to,
        budget_up_to,
        mid_up_to
    from thirds
)

select * from final
