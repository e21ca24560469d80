{# Orders, events and features tell the same money; they reach it on three ways. After an increment: of touched ones. #}
{% set lines, refunds, all_events = ref('int_order_lines'), ref('int_refunds'), ref('ftr_customer_events') %}

with orders as (
    select
        customer_id,
        count(*) as count_orders,
        sum(cast(net_value as decimal(18, 2))) as net_value
    from {{ ref('fct_orders') }}
    where {{ is_made_now() }}
    group by customer_id
),

features as (
    select
        customer_id,
        count_orders,
        cast(total_value as decimal(18, 2)) as net_value
    from {{ ref('ftr_customer_features') }}
    where as_of_date = {{ as_of_date() }} and {{ is_touched('customer_id') }}
),

-- In an increment what the view makes its values of, since it can only be read as a whole.
events as (
    {% if is_increment() -%}
        select cast(gross_value - discount as decimal(18, 2)) as value
        from {{ lines }}
        where {{ is_made_now() }}
        union all
        select -cast(refunded_value as decimal(18, 2)) as value
        from {{ refunds }}
        where {{ is_made_now() }}
    {%- else -%}
        select cast(value as decimal(18, 2)) as value
        from {{ all_events }}
        where value is not null
    {%- endif %}
),

by_customer as (
    select
        coalesce(features.customer_id, orders.customer_id) as customer_id,
        features.net_value as features_value,
        orders.net_value as orders_value
    from features
    full outer join orders on features.customer_id = orders.customer_id
    where
        coalesce(features.count_orders, 0) != coalesce(orders.count_orders, 0)
        or coalesce(features.net_value, 0) != coalesce(orders.net_value, 0)
),

in_all as (
    select
        'all' as customer_id,
        coalesce((select sum(events.value) from events), 0) as events_value,
        coalesce((select sum(net_value) from orders), 0) as orders_value
)

select * from by_customer
-- A run may compute other dates only; then there is nothing to compare.
where exists (select 1 from features)
union all
select * from in_all
where events_value != orders_value
