with consents as (
    select * from {{ ref('stg_consents') }}
),

identities as (
    select * from {{ source('identity', 'identifiers') }}
),

deciders as (
    {{ deciders() }}
),

-- Who decides on everything decides on each purpose.
decisions as (
    select
        consents.consent_id,
        deciders.customer_id,
        unnest(
            case
                when consents.purpose = 'all' then [{{ literals(var("consent_purposes")) }}]
                else [consents.purpose]
            end
        ) as purpose,
        consents.state,
        consents.source,
        consents.evidence,
        consents.recorded_at,
        consents.received_at
    from consents
    inner join deciders on consents.consent_id = deciders.consent_id
),

-- Of two decisions at one instant the refusal counts, so it comes last; the other one is never in force.
followed as (
    select
        *,
        lead(recorded_at) over (
            partition by customer_id, purpose order by recorded_at, state != 'granted', state, consent_id
        ) as next_recorded_at
    from decisions
),

dated as (
    select
        *,
        recorded_at as valid_from,
        least(next_recorded_at, {{ expires_at('purpose', 'state', 'recorded_at') }}) as valid_to
    from followed
),

final as (
    select
        consent_id,
        customer_id,
        purpose,
        state,
        valid_from,
        valid_to,
        coalesce(valid_to > {{ as_of() }}, true) as is_current,
        source,
        evidence,
        recorded_at,
        received_at
    from dated
)

select * from final
order by customer_id, purpose, valid_from, consent_id
