{{ config(alias='consents', materialized='view') }}

with consents as (
    select * from {{ ref('int_consents') }}
),

final as (
    select
        consent_id,
        customer_id,
        purpose,
        state,
        valid_from,
        valid_to,
        is_current,
        source,
        evidence,
        recorded_at,
        received_at
    from consents
)

select * from final
