{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('actor_id') }}") }}

{% set pace_gaps = var('bot_pace_gaps') | int(1) %}
{% set max_views = var('bot_views_without_pause') | int(1) %}
{% set pause_ms = 1000 * (var('bot_pause_seconds') | int(1)) %}
{% set visit_ms = 60000 * (var('inactivity_minutes') | int(1)) %}

with flagged as (
    select
        {{ actor_key('actor_id') }} as actor_id,
        coalesce(bot_rule, 'flagged') as rule,
        count(*) as n_events,
        min(occurred_at) as first_event_at,
        max(occurred_at) as last_event_at
    from {{ tracked_events() }}
    where is_bot
    group by 1, 2
),

events as (
    select
        actor_id,
        event_type,
        occurred_at,
        epoch_us(occurred_at) // 60000000 as minute
    from {{ tracked_events() }}
    where not is_bot and actor_id is not null
),

minutes as (
    select
        actor_id,
        minute,
        count(*) filter (where event_type not in {{ unpaced_types() }}) as n_paced,
        count(*) filter (where event_type in {{ view_types() }}) as n_views,
        count(*) filter (where event_type = 'purchase') as n_purchases
    from events
    group by actor_id, minute
),

hours as (
    select
        actor_id,
        minute // 60 as hour,
        max(n_paced) as max_minute,
        sum(n_paced) as n_paced,
        sum(n_views) as n_views,
        sum(n_purchases) as n_purchases
    from minutes
    group by 1, 2
),

days as (
    select
        actor_id,
        hour // 24 as day,
        max(max_minute) as max_minute,
        max(n_paced) as max_hour,
        sum(n_views) as n_views,
        sum(n_purchases) as n_purchases
    from hours
    group by 1, 2
),

-- Whoever breaks a limit in any minute has half of it in one by the clock, and so on: few rows are left to sort.
suspects as (
    select
        actor_id,
        max(max_minute) * 2 > {{ var('bot_events_per_minute') }}
        or max(max_hour) * 2 > {{ var('bot_events_per_hour') }} as may_be_fast,
        -- Who pays is no crawler.
        max(n_views) * 2 > {{ [pace_gaps, max_views] | min }} and sum(n_purchases) = 0 as may_be_steady
    from days
    group by actor_id
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
    inner join suspects on events.actor_id = suspects.actor_id and suspects.may_be_fast
    where events.event_type not in {{ unpaced_types() }}
),

-- What is logged within a second is one page.
pages as (
    select
        events.actor_id,
        min(epoch_ms(events.occurred_at)) as viewed_ms
    from events
    inner join suspects on events.actor_id = suspects.actor_id and suspects.may_be_steady
    where events.event_type in {{ view_types() }}
    group by events.actor_id, epoch_us(events.occurred_at) // 1000000
),

gaps as (
    select
        actor_id,
        viewed_ms,
        -- Longer gaps are no part of a visit; their length does not matter.
        least(viewed_ms - lag(viewed_ms) over (partition by actor_id order by viewed_ms), {{ visit_ms }} + 1) as gap_ms
    from pages
),

runs as (
    select
        actor_id,
        count(gap_ms) over unpaused = {{ max_views }}
        and max(gap_ms) over unpaused <= {{ pause_ms }} as is_unpaused,
        count(gap_ms) over steady = {{ pace_gaps }}
        and max(gap_ms) over steady <= {{ visit_ms }}
        -- A log of whole minutes makes everybody's gaps equal.
        and bool_or(viewed_ms % 60000 > 0) over steady
        -- Variance < (spread * mean) squared, in exact numbers, so that it is the same on every machine.
        and {{ pace_gaps }} * sum(gap_ms * gap_ms) over steady - sum(gap_ms) over steady * sum(gap_ms) over steady
        < {{ var('bot_pace_spread') }} * {{ var('bot_pace_spread') }}
        * sum(gap_ms) over steady * sum(gap_ms) over steady as is_steady
    from gaps
    window
        unpaused as (
            partition by actor_id order by viewed_ms
            rows between {{ max_views - 1 }} preceding and current row
        ),
        steady as (partition by actor_id order by viewed_ms rows between {{ pace_gaps - 1 }} preceding and current row)
),

broken as (
    select
        actor_id,
        case
            when bool_or(occurred_at - minute_limit_at < interval 1 minute) then 'events_per_minute'
            when bool_or(occurred_at - hour_limit_at < interval 1 hour) then 'events_per_hour'
        end as rule
    from paced
    group by actor_id
    union all
    select
        actor_id,
        case
            when bool_or(is_unpaused) then 'views_without_pause'
            when bool_or(is_steady) then 'constant_pace'
        end as rule
    from runs
    group by actor_id
),

condemned as (
    select
        actor_id,
        {{ bot_rules() }}[min(list_position({{ bot_rules() }}, rule))] as rule
    from broken
    where rule is not null
    group by actor_id
),

inhuman as (
    select
        events.actor_id,
        condemned.rule,
        count(*) as n_events,
        min(events.occurred_at) as first_event_at,
        max(events.occurred_at) as last_event_at
    from events
    inner join condemned on events.actor_id = condemned.actor_id
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
