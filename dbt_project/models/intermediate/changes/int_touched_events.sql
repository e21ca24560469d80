with events as (
    select * from {{ ref('stg_events') }}
),

final as (
    select * from events
    where {{ is_touched(actor_key('actor_id')) if is_increment() else 'false' }}
)

select * from final
