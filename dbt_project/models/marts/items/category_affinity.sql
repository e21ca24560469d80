with customer_categories as (
    select * from {{ ref('int_customer_categories') }}
),

-- What people bought says more than what they looked at; a log without any order still has the latter.
basis as (
    select case when coalesce(sum(count_purchases), 0) > 0 then 'orders' else 'views' end as basis
    from customer_categories
),

touched as (
    select
        customer_categories.customer_id,
        customer_categories.category,
        basis.basis
    from customer_categories
    cross join basis
    where
        (basis.basis = 'orders' and customer_categories.count_purchases > 0)
        or (basis.basis = 'views' and customer_categories.count_views > 0)
),

sizes as (
    select
        category,
        count(*) as n_customers
    from touched
    group by category
    order by n_customers desc, category asc
    limit {{ var('category_affinity_max_categories') }}
),

customers as (
    select count(distinct customer_id) as n_customers from touched
),

considered as (
    select
        touched.customer_id,
        touched.category,
        touched.basis
    from touched
    inner join sizes on touched.category = sizes.category
),

pairs as (
    select
        considered.category,
        others.category as other_category,
        considered.basis,
        count(*) as n_both
    from considered
    inner join considered as others
        on considered.customer_id = others.customer_id and considered.category != others.category
    group by considered.category, others.category, considered.basis
),

final as (
    select
        pairs.category,
        pairs.other_category,
        pairs.basis,
        sizes.n_customers,
        others.n_customers as n_other_customers,
        pairs.n_both,
        {{ rate('pairs.n_both', 'customers.n_customers') }} as support,
        {{ rate('pairs.n_both', 'sizes.n_customers') }} as confidence,
        {{ rate('pairs.n_both * customers.n_customers', 'sizes.n_customers * others.n_customers') }} as lift,
        {{ as_of_date() }} as as_of_date
    from pairs
    inner join sizes on pairs.category = sizes.category
    inner join sizes as others on pairs.other_category = others.category
    cross join customers
    where
        pairs.n_both >= {{ var('category_affinity_min_customers') }}
        and pairs.n_both >= {{ var('category_affinity_min_support') }} * customers.n_customers
)

select * from final
order by category, other_category
