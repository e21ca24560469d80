{{ config(
    alias='customers',
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_day('customer_id') }}",
    on_schema_change='append_new_columns',
) }}

with sightings as (
    select * from {{ ref('int_customer_sightings') }}
    where {{ is_made_today() }}
),

profiles as (
    select * from {{ ref('int_profiles') }}
    where {{ is_due_today('customer_id') }}
),

lifecycles as (
    select * from {{ ref('int_customer_lifecycles') }}
    where {{ is_made_today() }}
),

archetypes as (
    select * from {{ ref('int_customer_archetypes') }}
    where {{ is_made_today() }}
),

orders as (
    select * from {{ ref('int_customer_orders') }}
    where {{ is_made_today() }}
),

-- By the shop's own number a customer is found in its other tools.
accounts as (
    select
        customer_id,
        {{ first_by('identifier', 'first_known_at', 'identifier') }} as user_id
    from {{ ref('int_identities') }}
    where kind = 'user' and {{ is_due_today('customer_id') }}
    group by customer_id
),

consents as (
    select
        customer_id,
        max(state) filter (where purpose = '{{ var("consent_purpose") }}') as state,
        string_agg(purpose, ', ' order by purpose) filter (where state = 'granted') as granted_purposes
    from {{ ref('fct_consents') }}
    where is_current and {{ is_due_today('customer_id') }}
    group by customer_id
),

sessions as (
    select
        customer_id,
        count(*) as count_sessions
    from {{ ref('fct_sessions') }}
    where monster_reason is null and {{ is_made_today() }}
    group by customer_id
),

emails as (
    select
        customer_id,
        sum(count_email_opens) as count_email_opens,
        sum(count_email_clicks) as count_email_clicks
    from {{ ref('int_customer_days') }}
    where {{ days_between('event_date', as_of_date()) }} < 90 and {{ is_made_today() }}
    group by customer_id
),

final as (
    select
        lifecycles.customer_id,
        accounts.user_id,
        coalesce(sightings.is_registered, false) or profiles.customer_id is not null as is_registered,
        coalesce(profiles.country, sightings.country) as country,
        coalesce(profiles.region, sightings.region) as region,
        profiles.birth_year,
        profiles.gender,
        profiles.loyalty_tier,
        profiles.signed_up_at,
        sightings.first_seen_at,
        sightings.last_seen_at,
        coalesce(sessions.count_sessions, 0) as count_sessions,
        coalesce(orders.count_orders, 0) as count_orders,
        {{ total('orders.net_value') }} as net_value,
        orders.first_order_date,
        orders.last_order_date,
        cast(coalesce(emails.count_email_opens, 0) as bigint) as count_email_opens_90d,
        cast(coalesce(emails.count_email_clicks, 0) as bigint) as count_email_clicks_90d,
        coalesce(
            consents.state,
            {{ silence(
                var("consent_default"), var("consent_exceptions"), 'coalesce(profiles.country, sightings.country)'
            ) }}
        ) = 'granted' as has_marketing_consent,
        consents.granted_purposes,
        lifecycles.lifecycle_stage,
        lifecycles.order_rhythm_days,
        archetypes.archetype,
        {% for end in ["first", "last"] -%}
            sightings.{{ end }}_channel,
            sightings.{{ end }}_campaign,
            sightings.{{ end }}_path,
            sightings.{{ end }}_touch_at,
        {% endfor -%}
        sightings.last_device
    from lifecycles
    left join sightings on lifecycles.customer_id = sightings.customer_id
    left join profiles on lifecycles.customer_id = profiles.customer_id
    left join archetypes on lifecycles.customer_id = archetypes.customer_id
    left join orders on lifecycles.customer_id = orders.customer_id
    left join accounts on lifecycles.customer_id = accounts.customer_id
    left join consents on lifecycles.customer_id = consents.customer_id
    left join sessions on lifecycles.customer_id = sessions.customer_id
    left join emails on lifecycles.customer_id = emails.customer_id
)

select * from final
order by customer_id
