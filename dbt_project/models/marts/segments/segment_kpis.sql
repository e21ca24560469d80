{# Replaces exactly the run's own date; rows of other dates stay. What members had bought and how they were scored on an
   earlier date is told by nothing else, so a full refresh leaves the history too. #}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    full_refresh=false,
    pre_hook="{% if is_incremental() %}delete from {{ this }} where as_of_date = {{ as_of_date() }}{% endif %}",
) }}

with memberships as (
    select
        *,
        valid_to is null as is_member,
        coalesce(valid_to = {{ as_of_date() }}, false) as has_left
    from {{ ref('segment_memberships') }}
    where valid_to is null or valid_to = {{ as_of_date() }}
),

customers as (
    select * from {{ ref('dim_customers') }}
),

scores as (
    select * from {{ ref('customer_scores') }}
),

joined as (
    select
        memberships.segment_id,
        memberships.kind,
        memberships.segment_name,
        memberships.is_member,
        memberships.has_left,
        coalesce(memberships.valid_from = {{ as_of_date() }}, false) as has_entered,
        customers.count_orders,
        cast(customers.net_value as decimal(18, 2)) as net_value,
        cast(scores.purchase_probability as decimal(18, 9)) as purchase_probability
    from memberships
    left join customers on memberships.customer_id = customers.customer_id
    left join scores on memberships.customer_id = scores.customer_id
),

measured as (
    select
        segment_id,
        kind,
        coalesce(max(segment_name) filter (where is_member), max(segment_name)) as segment_name,
        count(*) filter (where is_member) as n_customers,
        {{ rate('count(*) filter (where is_member)', '(select count(*) from scores)') }} as share,
        count(*) filter (where is_member and has_entered) as n_entered,
        count(*) filter (where has_left) as n_left,
        cast(coalesce(sum(count_orders) filter (where is_member), 0) as bigint) as n_orders,
        {{ total('sum(net_value) filter (where is_member)') }} as net_value,
        count(purchase_probability) filter (where is_member) as n_scored,
        {{ total('sum(purchase_probability) filter (where is_member)') }} as n_expected_buyers
    from joined
    group by segment_id, kind
),

final as (
    select
        {{ as_of_date() }} as as_of_date,
        *,
        {{ metric('average_order_value') }} as average_order_value,
        {{ metric('orders_per_customer') }} as orders_per_customer,
        {{ metric('purchase_probability_mean') }} as purchase_probability_mean
    from measured
)

select * from final
order by kind, segment_id
