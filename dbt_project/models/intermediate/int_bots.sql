with events as (
    select * from {{ ref('stg_events') }}
),

flagged as (
    select
        coalesce(actor_id, 'nobody') as actor_id,
        coalesce(bot_rule, 'flagged') as rule,
        count(*) as n_events,
        min(occurred_at) as first_event_at,
        max(occurred_at) as last_event_at
    from events
    where is_bot
    group by 1, 2
),

-- Only who has enough events can break a rule, so few rows are sorted.
busy as (
    select actor_id
    from events
    where not is_bot and actor_id is not null
    group by actor_id
    having count(*) > {{ [var('bot_events_per_minute'), var('bot_events_per_hour')] | min }}
),

paced as (
    select
        events.actor_id,
        events.occurred_at,
        lag(events.occurred_at, {{ var('bot_events_per_minute') }}) over (
            partition by events.actor_id order by events.occurred_at
        ) as minute_limit_at,
        lag(events.occurred_at, {{ var('bot_events_per_hour') }}) over (
            partition by events.actor_id order by events.occurred_at
        ) as hour_limit_at
    from events
    inner join busy on events.actor_id = busy.actor_id
    where not events.is_bot and events.event_type not in {{ unpaced_types() }}
),

too_fast as (
    select
        actor_id,
        case
            when bool_or(occurred_at - minute_limit_at < interval 1 minute) then 'events_per_minute'
            when bool_or(occurred_at - hour_limit_at < interval 1 hour) then 'events_per_hour'
        end as rule
    from paced
    group by actor_id
),

inhuman as (
    select
        events.actor_id,
        too_fast.rule,
        count(*) as n_events,
        min(events.occurred_at) as first_event_at,
        max(events.occurred_at) as last_event_at
    from events
    inner join too_fast on events.actor_id = too_fast.actor_id
    where not events.is_bot and too_fast.rule is not null
    group by 1, 2
),

final as (
    select
        *,
        false as is_whole_actor
    from flagged
    union all
    select
        *,
        true as is_whole_actor
    from inhuman
)

select * from final
