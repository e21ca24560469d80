{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('anonymous_id') }}") }}

with links as (
    select * from {{ source('identity', 'links') }}
),

events as (
    select * from {{ ref('int_source_events') }}
),

shared_devices as (
    select other_identifier as anonymous_id
    from links
    where cut_reason is not null and link_kind in ('login', 'order')
    group by other_identifier
),

seen as (
    select
        events.event_id,
        events.anonymous_id,
        events.occurred_at,
        case when events.identifier != events.anonymous_id then events.identifier end as person,
        case when events.identifier != events.anonymous_id then events.received_at end as named_at,
        coalesce(
            {{ is_longer_apart(
                'lag(events.occurred_at) over visit_order', 'events.occurred_at', 60 * (var('inactivity_minutes') | int(1))
            ) }},
            true
        ) as is_start
    from events
    semi join shared_devices on events.anonymous_id = shared_devices.anonymous_id
    where events.opens_session and not events.is_bot
    window visit_order as (partition by events.anonymous_id order by events.occurred_at, events.event_id)
),

visits as (
    select
        *,
        count(*) filter (where is_start) over (
            partition by anonymous_id order by occurred_at, event_id
            rows between unbounded preceding and current row
        ) as visit
    from seen
),

-- Whoever signed in last, or, before anybody did, who signed in next.
named as (
    select
        event_id,
        anonymous_id,
        person,
        coalesce(
            last_value(person ignore nulls) over up_to_here, first_value(person ignore nulls) over from_here
        ) as identifier,
        coalesce(
            last_value(named_at ignore nulls) over up_to_here, first_value(named_at ignore nulls) over from_here
        ) as linked_at
    from visits
    window
        up_to_here as (
            partition by anonymous_id, visit order by occurred_at, event_id
            rows between unbounded preceding and current row
        ),
        from_here as (
            partition by anonymous_id, visit order by occurred_at, event_id
            rows between current row and unbounded following
        )
),

final as (
    select
        event_id,
        anonymous_id,
        identifier,
        linked_at
    from named
    where person is null and identifier is not null
)

select * from final
