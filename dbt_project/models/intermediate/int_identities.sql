with events as (
    select * from {{ ref('stg_events') }}
),

final as (
    select
        anonymous_id,
        case when count(distinct user_id) = 1 then min(user_id) end as user_id,
        count(distinct user_id) as count_users,
        min(received_at) as linked_at
    from events
    where not is_bot and anonymous_id is not null and user_id is not null
    group by anonymous_id
)

select * from final
