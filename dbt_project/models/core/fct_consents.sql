{{ config(alias='consents') }}

with consents as (
    select * from {{ ref('stg_consents') }}
),

final as (
    select
        customer_id,
        purpose,
        state,
        recorded_at
    from consents
    -- Of two decisions at one instant the refusal counts.
    qualify
        row_number() over (
            partition by customer_id, purpose order by recorded_at desc, state = 'granted' asc, state asc
        ) = 1
)

select * from final
