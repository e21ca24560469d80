{{ config(alias='customers') }}

with events as (
    select * from {{ ref('int_events') }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
),

-- By the shop's own number a customer is found in its other tools.
accounts as (
    select
        customer_id,
        {{ first_by('identifier', 'first_known_at', 'identifier') }} as user_id
    from {{ ref('int_identities') }}
    where kind = 'user'
    group by customer_id
),

consents as (
    select * from {{ ref('fct_consents') }} where purpose = '{{ var("consent_purpose") }}' and is_current
),

sessions as (
    select
        customer_id,
        count(*) as count_sessions
    from {{ ref('fct_sessions') }}
    group by customer_id
),

orders as (
    select
        customer_id,
        count(*) as count_orders,
        {{ money('sum(cast(net_value as decimal(18, 2)))') }} as net_value
    from {{ ref('fct_orders') }}
    group by customer_id
),

seen as (
    select
        customer_id,
        bool_or(is_registered) as is_registered,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at,
        {{ last_by('country', 'occurred_at', 'event_id') }} as country,
        {{ last_by('region', 'occurred_at', 'event_id') }} as region,
        {{ first_by('channel', 'occurred_at', 'event_id') }} as first_channel,
        {{ last_by('device', 'occurred_at', 'event_id') }} as last_device
    from events
    group by customer_id
),

joined as (
    select
        coalesce(seen.customer_id, profiles.customer_id) as customer_id,
        coalesce(seen.is_registered, false) or profiles.customer_id is not null as is_registered,
        coalesce(profiles.country, seen.country) as country,
        coalesce(profiles.region, seen.region) as region,
        profiles.birth_year,
        profiles.gender,
        profiles.loyalty_tier,
        profiles.signed_up_at,
        seen.first_seen_at,
        seen.last_seen_at,
        seen.first_channel,
        seen.last_device,
        {{ days_between(utc_date('coalesce(seen.first_seen_at, profiles.signed_up_at)'), as_of_date()) }} as days_known,
        {{ days_between(utc_date('coalesce(seen.last_seen_at, profiles.signed_up_at)'), as_of_date()) }} as days_away
    from seen
    full outer join profiles on seen.customer_id = profiles.customer_id
),

final as (
    select
        joined.customer_id,
        accounts.user_id,
        joined.is_registered,
        joined.country,
        joined.region,
        joined.birth_year,
        joined.gender,
        joined.loyalty_tier,
        joined.signed_up_at,
        joined.first_seen_at,
        joined.last_seen_at,
        coalesce(sessions.count_sessions, 0) as count_sessions,
        coalesce(orders.count_orders, 0) as count_orders,
        {{ total('orders.net_value') }} as net_value,
        coalesce(
            consents.state, {{ silence(var("consent_default"), var("consent_exceptions"), 'joined.country') }}
        ) = 'granted' as has_marketing_consent,
        case
            when joined.days_known < {{ var('new_days') }} then 'new'
            when joined.days_away < {{ var('active_days') }} then 'active'
            when joined.days_away < {{ var('at_risk_days') }} then 'at_risk'
            when joined.days_away < {{ var('lapsed_days') }} then 'lapsed'
            else 'lost'
        end as lifecycle_stage,
        joined.first_channel,
        joined.last_device
    from joined
    left join sessions on joined.customer_id = sessions.customer_id
    left join orders on joined.customer_id = orders.customer_id
    left join accounts on joined.customer_id = accounts.customer_id
    left join consents on joined.customer_id = consents.customer_id
)

select * from final
order by customer_id
