with events as (
    select * from {{ ref('stg_events') }}
),

bots as (
    select actor_id from {{ ref('int_bots') }} where is_whole_actor
),

rejects as (
    select * from {{ ref('stg_rejects') }}
),

received as (
    select
        events.source,
        events.file_id,
        events.received_at,
        {{ utc_date('events.received_at') }} as day,
        events.actor_id is null as is_without_customer,
        events.is_bot or bots.actor_id is not null as is_bot_event
    from events
    left join bots on events.actor_id = bots.actor_id
),

event_days as (
    select
        day,
        source,
        count(*) as n_events,
        count(*) filter (where is_bot_event) as n_bot_events,
        count(*) filter (where is_without_customer) as n_without_customer,
        max(received_at) as latest_received_at
    from received
    group by day, source
),

file_days as (
    select
        file_id,
        max(day) as day
    from received
    group by file_id
),

-- A rejected line has no readable time, so it counts on the last day of the good lines of its file.
reject_days as (
    select
        coalesce(file_days.day, least({{ utc_date('rejects.rejected_at') }}, {{ as_of_date() }})) as day,
        rejects.source,
        count(*) as n_rejects
    from rejects
    left join file_days on rejects.file_id = file_days.file_id
    group by 1, 2
),

final as (
    select
        day,
        source,
        coalesce(event_days.n_events, 0) as n_events,
        coalesce(event_days.n_bot_events, 0) as n_bot_events,
        coalesce(reject_days.n_rejects, 0) as n_rejects,
        coalesce(event_days.n_without_customer, 0) as n_without_customer,
        {{ rate(
            'coalesce(reject_days.n_rejects, 0)',
            'coalesce(event_days.n_events, 0) + coalesce(reject_days.n_rejects, 0)'
        ) }} as rate_rejected,
        event_days.latest_received_at
    from event_days
    full outer join reject_days using (day, source)
)

select * from final
order by day, source
