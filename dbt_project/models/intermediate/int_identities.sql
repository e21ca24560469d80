{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with identifiers as (
    select * from {{ source('identity', 'identifiers') }}
    where {{ is_touched('customer_id') }}
),

final as (
    select
        identifier,
        kind,
        customer_id,
        first_known_at,
        linked_at,
        bool_or(kind != 'device') over (partition by customer_id) as is_registered
    from identifiers
)

select * from final
