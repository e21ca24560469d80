{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_changed_files() }}") }}

with events as (
    select * from {{ ref('stg_events') }}
    where {{ is_of_changed_file() }}
),

final as (
    {{ arrivals('events', is_bot='is_bot', has_price='price is not null') }}
)

select * from final
