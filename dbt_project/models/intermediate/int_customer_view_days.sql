{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

with events as (
    select * from {{ ref('int_events') }}
    where opens_session and {{ is_made_now() }} and {{ in_slice('customer_id') }}
),

-- What follows an event changes when an event between the two comes to be known later: each session is read as it was
-- known on each such day. Nearly all are known within a day.
late_sessions as (
    select session_id
    from events
    group by session_id
    having min(known_date) < max(greatest(known_date, coalesce(category_known_date, known_date)))
),

late_events as (
    select events.*
    from events
    semi join late_sessions on events.session_id = late_sessions.session_id
),

known_dates as (
    select
        session_id,
        known_date
    from late_events
    union
    select
        session_id,
        category_known_date as known_date
    from late_events
    where category_known_date > known_date
),

versions as (
    select
        session_id,
        known_date,
        lead(known_date) over (partition by session_id order by known_date) as replaced_date
    from known_dates
    group by session_id, known_date
),

told as (
    select
        events.session_id,
        events.event_id,
        events.occurred_at,
        events.customer_id,
        events.event_date,
        events.event_type,
        events.category,
        events.known_date,
        cast(null as date) as replaced_date
    from events
    anti join late_sessions on events.session_id = late_sessions.session_id
    union all
    select
        late_events.session_id,
        late_events.event_id,
        late_events.occurred_at,
        late_events.customer_id,
        late_events.event_date,
        late_events.event_type,
        case
            when coalesce(late_events.category_known_date, versions.known_date) <= versions.known_date
                then late_events.category
        end as category,
        versions.known_date,
        versions.replaced_date
    from late_events
    inner join versions
        on late_events.session_id = versions.session_id and late_events.known_date <= versions.known_date
),

followed as (
    select
        *,
        lead(event_type) over following as next_type,
        {{ seconds_between('occurred_at', 'lead(occurred_at) over following') }} as seconds
    from told
    window following as (partition by session_id, known_date order by occurred_at, event_id)
),

-- Two events further apart were two sessions before what lies between was known.
views as (
    select
        *,
        seconds <= 60 * {{ var('inactivity_minutes') }} as is_followed
    from followed
    where event_type in ('product_view', 'list_view')
),

view_days as (
    select
        customer_id,
        event_date,
        coalesce(category, '') as category,
        known_date,
        replaced_date,
        coalesce(sum(least(seconds, {{ var('max_view_seconds') }})) filter (where is_followed), 0) as view_seconds,
        count(*) filter (where event_type = 'list_view') as count_list_views,
        count(*) filter (where event_type = 'list_view' and is_followed and next_type = 'product_view')
            as count_followed_list_views
    from views
    group by 1, 2, 3, 4, 5
),

signed as (
    select
        customer_id,
        event_date,
        known_date,
        category,
        1 as sign,
        view_seconds,
        count_list_views,
        count_followed_list_views
    from view_days
    union all
    select
        customer_id,
        event_date,
        replaced_date as known_date,
        category,
        -1 as sign,
        view_seconds,
        count_list_views,
        count_followed_list_views
    from view_days
    where replaced_date is not null
),

final as (
    select
        customer_id,
        event_date,
        known_date,
        category,
        cast(sum(sign * view_seconds) as bigint) as view_seconds,
        cast(sum(sign * count_list_views) as bigint) as count_list_views,
        cast(sum(sign * count_followed_list_views) as bigint) as count_followed_list_views
    from signed
    group by customer_id, event_date, known_date, category
)

select * from final
