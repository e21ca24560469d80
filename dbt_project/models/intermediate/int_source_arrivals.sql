{{ config(materialized='view') }}

with tracked_days as (
    select * from {{ ref('int_arrival_days') }}
),

untracked as (
    select * from {{ ref('int_untracked_events') }}
),

untracked_days as (
    {{ arrivals('untracked', is_bot='false', has_price='coalesce(price, line_amount) is not null') }}
),

final as (
    select * from tracked_days
    union all by name
    select * from untracked_days
)

select * from final
