{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

{# A session is read as it was known on each day on which more of it came to be known: without an event that came late
   it may have been two. Nearly all are known within a day. #}
with events as (
    select
        *,
        min(known_date) over (partition by session_id)
        = max(known_date) over (partition by session_id) as is_known_at_once
    from {{ ref('int_events') }}
    where opens_session and {{ is_made_now() }} and {{ in_slice('customer_id') }}
),

known_at_once as (
    select
        customer_id,
        session_id,
        cast(null as varchar) as first_event_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as count_events,
        max(known_date) as known_date,
        cast(null as date) as replaced_date
    from events
    where is_known_at_once
    group by customer_id, session_id
),

versions as (
    select
        session_id,
        known_date,
        lead(known_date) over (partition by session_id order by known_date) as replaced_date
    from events
    where not is_known_at_once
    group by session_id, known_date
),

versioned as (
    select
        events.* replace (concat(events.session_id, '|', versions.known_date) as customer_id),
        events.customer_id as owner_id,
        versions.known_date as version_date,
        versions.replaced_date
    from events
    inner join versions on events.session_id = versions.session_id and events.known_date <= versions.known_date
),

starts as (
    {{ session_starts('versioned') }}
),

parted as (
    select
        versioned.*,
        count(*) filter (where starts.is_start) over (
            partition by versioned.customer_id order by versioned.occurred_at, versioned.event_id
            rows between unbounded preceding and current row
        ) as part
    from versioned
    inner join starts on versioned.event_id = starts.event_id and versioned.customer_id = starts.customer_id
),

known_in_parts as (
    select
        owner_id as customer_id,
        session_id,
        min(event_id) as first_event_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as count_events,
        version_date as known_date,
        replaced_date
    from parted
    group by owner_id, session_id, part, version_date, replaced_date
),

told as (
    select * from known_at_once
    union all
    select * from known_in_parts
),

final as (
    select
        customer_id,
        session_id,
        coalesce(first_event_id, session_id) as part_id,
        {{ utc_date('started_at') }} as event_date,
        known_date,
        replaced_date,
        {{ seconds_between('started_at', 'ended_at') }} as duration_seconds,
        count_events
    from told
    where {{ monster_reason('count_events', 'started_at', 'ended_at') }} is null
)

select * from final
