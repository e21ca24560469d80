with events as (
    select * from {{ ref('stg_events') }}
),

final as (
    {{ arrivals('events', is_bot='is_bot', has_price='price is not null') }}
)

select * from final
