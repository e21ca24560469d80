with members as (
    select * from {{ ref('segment_memberships') }} where valid_to is null
),

customers as (
    select * from {{ ref('dim_customers') }}
),

scores as (
    select * from {{ ref('customer_scores') }}
),

measured as (
    select
        members.segment_id,
        members.segment_name,
        members.kind,
        customers.count_orders,
        cast(customers.net_value as decimal(18, 2)) as net_value,
        cast(scores.purchase_probability as decimal(18, 9)) as purchase_probability
    from members
    left join customers on members.customer_id = customers.customer_id
    left join scores on members.customer_id = scores.customer_id
),

final as (
    select
        segment_id,
        max(segment_name) as segment_name,
        kind,
        count(*) as n_customers,
        {{ rate('count(*)', '(select count(*) from scores)') }} as share,
        {{ total('sum(net_value)') }} as net_value,
        {{ average('sum(net_value)', 'sum(count_orders)') }} as average_order_value,
        {{ rate('sum(count_orders)', 'count(*)') }} as orders_per_customer,
        {{ rate('sum(purchase_probability)', 'count(purchase_probability)') }} as purchase_probability_mean,
        {{ as_of_date() }} as as_of_date
    from measured
    group by segment_id, kind
)

select * from final
order by kind, segment_id
