{# As in ftr_customer_features: replaces exactly the run's cut-off dates. #}
{{ config(
    alias='customer_affinities',
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    full_refresh=false,
    pre_hook="{{ forget_features() }}",
) }}

with affinities as (
    select * from {{ ref('int_customer_affinities') }}
),

final as (
    select
        customer_id,
        as_of_date,
        dimension,
        value,
        place,
        affinity,
        count_events,
        days_since_last_event
    from affinities
)

select * from final
order by as_of_date, customer_id, dimension, place
