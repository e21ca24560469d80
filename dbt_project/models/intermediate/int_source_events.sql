{{ config(materialized='view') }}

with tracked as (
    select * from {{ ref('stg_events') }}
),

set_aside as (
    select * from {{ ref('int_set_aside_events') }}
),

untracked as (
    select * from {{ ref('int_untracked_events') }}
),

final as (
    select
        tracked.*,
        'events' as entity,
        tracked.event_type not in {{ outside_session_types() }} as is_session_event,
        set_aside.rule as set_aside_rule
    from tracked
    left join set_aside on tracked.event_id = set_aside.event_id
    union all by name
    select
        *,
        false as is_bot
    from untracked
)

select * from final
