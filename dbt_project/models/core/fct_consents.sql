{{ config(alias='consents') }}

with consents as (
    select * from {{ ref('stg_consents') }}
),

identities as (
    select * from {{ ref('int_identities') }} where user_id is not null
),

decisions as (
    select
        coalesce(consents.user_id, identities.user_id, consents.anonymous_id) as customer_id,
        consents.purpose,
        consents.state,
        consents.recorded_at
    from consents
    left join identities on consents.anonymous_id = identities.anonymous_id
),

final as (
    select
        customer_id,
        purpose,
        state,
        recorded_at
    from decisions
    -- Of two decisions at one instant the refusal counts.
    qualify
        row_number() over (
            partition by customer_id, purpose order by recorded_at desc, state = 'granted' asc, state asc
        ) = 1
)

select * from final
