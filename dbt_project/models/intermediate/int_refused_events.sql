{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook=["{{ forget_touched('actor_key') }}", "{{ join_as_written() }}"],
    post_hook="{{ join_freely() }}",
) }}

with borrowed_visits as (
    select * from {{ ref('int_borrowed_visits') }}
    where {{ is_made_now() }}
),

decisions as (
    select
        customer_id,
        state
    from {{ ref('int_consents') }}
    where is_current and purpose = '{{ var("behaviour_purpose") }}'
),

-- Those who have decided are few beside those who are seen, so their identifiers are looked up, not everybody's.
decided as (
    select
        identities.identifier,
        decisions.state
    from decisions
    inner join {{ ref('int_identities') }} as identities on decisions.customer_id = identities.customer_id
    union
    select
        customer_id as identifier,
        state
    from decisions
),

flags as (
    select
        consent_flags,
        {{ flagged_state('consent_flags', var("behaviour_words")) }} as state
    from {{ ref('int_source_events') }}
    where consent_flags is not null
    group by consent_flags
),

-- Messages are not asked about: who may be written to is the exports' question.
judged as (
    select
        events.event_id,
        events.source,
        events.event_type,
        events.received_at,
        events.actor_id,
        events.order_id,
        case
            when decided.state != 'granted' then 'decision'
            when decided.state = 'granted' then null
            when flags.state = 'denied' then 'flag'
            when flags.state = 'granted' or events.source in ({{ literals(var("consented_sources")) }}) then null
            when {{ silence(var("behaviour_default"), var("behaviour_exceptions"), 'events.country') }} = 'denied'
                then 'silence'
        end as rule
    from {{ ref('int_source_events') }} as events
    left join borrowed_visits on events.event_id = borrowed_visits.event_id
    left join decided on coalesce(borrowed_visits.identifier, events.identifier) = decided.identifier
    left join flags on events.consent_flags = flags.consent_flags
    where events.entity in ('events', 'feedback') and events.actor_id is not null and not events.is_bot
),

refused as (
    select * from judged
    where rule is not null
),

sightings as (
    select
        order_id,
        min(rule) as rule
    from refused
    where event_type = 'purchase'
    group by order_id
),

-- An order that the shop tells of is refused with its buyer, or with what the tracker saw of it.
seen_orders as (
    select
        orders.event_id,
        {{ actor_key('orders.actor_id', 'orders.order_id') }} as actor_key,
        orders.source,
        orders.event_type,
        orders.received_at,
        orders.actor_id,
        case when decided.state is null then sightings.rule when decided.state != 'granted' then 'decision' end as rule
    from {{ ref('int_source_events') }} as orders
    left join borrowed_visits on orders.event_id = borrowed_visits.event_id
    left join decided on coalesce(borrowed_visits.identifier, orders.identifier) = decided.identifier
    left join sightings on orders.order_id = sightings.order_id
    where orders.entity = 'orders' and orders.opens_session
),

final as (
    select
        event_id,
        actor_id as actor_key,
        source,
        event_type,
        received_at,
        actor_id,
        rule
    from refused
    union all
    select
        event_id,
        actor_key,
        source,
        event_type,
        received_at,
        actor_id,
        rule
    from seen_orders
    where rule is not null
)

select * from final
