with customers as (
    select
        customer_id,
        country
    from {{ ref('dim_customers') }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

-- Not the staging view, which ends at as_of: who has withdrawn since then must not be exported.
consents as (
    select * from {{ source('raw', 'consents') }}
    where purpose in ('{{ var("consent_purpose") }}', 'all')
),

deciders as (
    {{ deciders() }}
),

latest as (
    select
        deciders.customer_id,
        consents.state,
        consents.recorded_at
    from consents
    inner join deciders on consents.consent_id = deciders.consent_id
    -- Of two decisions at one instant the refusal counts.
    qualify
        row_number() over (
            partition by deciders.customer_id
            order by consents.recorded_at desc, consents.state = 'granted' asc, consents.state asc
        ) = 1
),

in_force as (
    select * from latest
    where coalesce({{ expires_at("'" ~ var("consent_purpose") ~ "'", 'state', 'recorded_at') }} > {{ as_of() }}, true)
),

final as (
    select
        customers.customer_id,
        coalesce(
            in_force.state, {{ silence(var("consent_default"), var("consent_exceptions"), 'customers.country') }}
        ) = 'granted' as has_consent,
        in_force.recorded_at
    from customers
    left join in_force on customers.customer_id = in_force.customer_id
)

select * from final
order by customer_id
