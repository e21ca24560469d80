with named as (
    select
        anonymous_id,
        user_id,
        entity = 'orders' as is_by_order,
        min(received_at) as linked_at
    from {{ ref('int_source_events') }}
    where not is_bot and anonymous_id is not null and user_id is not null
    group by 1, 2, 3
),

-- Who signed in is surer than who paid; the order counts where nobody signed in.
surest as (
    select * from named
    qualify is_by_order = bool_and(is_by_order) over (partition by anonymous_id)
),

final as (
    select
        anonymous_id,
        case when count(distinct user_id) = 1 then min(user_id) end as user_id,
        count(distinct user_id) as count_users,
        min(linked_at) as linked_at
    from surest
    group by anonymous_id
)

select * from final
