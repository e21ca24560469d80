{# The windows hold what an increment computed; scores are of all buyers. #}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_features(keep_other_dates=false) }}",
) }}

with windows as (
    select * from {{ ref('int_customer_windows') }}
),

final as (
    select
        customer_id,
        as_of_date,
        days_since_last_order,
        count_orders,
        total_value
    from windows
    where count_orders > 0
)

select * from final
