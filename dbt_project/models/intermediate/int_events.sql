with events as (
    select * from {{ ref('stg_events') }}
),

bots as (
    select actor_id from {{ ref('int_bots') }} where is_whole_actor
),

identities as (
    select * from {{ ref('int_identities') }} where user_id is not null
),

items as (
    select * from {{ ref('int_items') }}
),

resolved as (
    select
        events.event_id,
        events.event_type,
        events.occurred_at,
        events.received_at,
        events.item_id,
        events.price,
        events.quantity,
        events.discount,
        events.currency,
        events.order_id,
        events.search_query,
        events.url_path,
        events.channel,
        events.campaign,
        events.device,
        events.country,
        events.region,
        coalesce(events.category, items.category) as category,
        coalesce(events.brand, items.brand) as brand,
        coalesce(events.user_id, identities.user_id, events.anonymous_id) as customer_id,
        coalesce(events.user_id, identities.user_id) is not null as is_registered,
        case
            when events.user_id is null and identities.linked_at > events.received_at then identities.linked_at
            else events.received_at
        end as known_at,
        events.event_type not in {{ outside_session_types() }} as is_session_event
    from events
    left join identities on events.anonymous_id = identities.anonymous_id
    left join items on events.item_id = items.item_id
    anti join bots on events.actor_id = bots.actor_id
    where not events.is_bot and events.actor_id is not null
),

paused as (
    select
        event_id,
        customer_id,
        occurred_at,
        coalesce(
            occurred_at - lag(occurred_at) over (partition by customer_id order by occurred_at, event_id)
            > interval '{{ var("inactivity_minutes") }} minutes',
            true
        ) as is_start
    from resolved
    where is_session_event
),

sessions as (
    select
        event_id,
        last_value(case when is_start then {{ hashed_id(['customer_id', 'event_id']) }} end ignore nulls) over (
            partition by customer_id order by occurred_at, event_id
            rows between unbounded preceding and current row
        ) as session_id
    from paused
),

final as (
    select
        resolved.*,
        sessions.session_id,
        {{ utc_date('resolved.occurred_at') }} as event_date,
        {{ known_date('resolved.known_at', utc_date('resolved.occurred_at')) }} as known_date
    from resolved
    left join sessions on resolved.event_id = sessions.event_id
)

select * from final
order by customer_id, occurred_at, event_id
