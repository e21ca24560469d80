with customers as (
    select customer_id from {{ ref('dim_customers') }}
),

identities as (
    select * from {{ ref('int_identities') }} where user_id is not null
),

-- Not the staging view, which ends at as_of: who has withdrawn since then must not be exported.
decisions as (
    select
        coalesce(
            {{ text_or_null('consents.user_id') }},
            identities.user_id,
            {{ text_or_null('consents.anonymous_id') }}
        ) as customer_id,
        consents.state,
        consents.recorded_at
    from {{ source('raw', 'consents') }} as consents
    left join identities on {{ text_or_null('consents.anonymous_id') }} = identities.anonymous_id
    where consents.purpose = '{{ var("consent_purpose") }}'
),

latest as (
    select
        customer_id,
        state,
        recorded_at
    from decisions
    -- Of two decisions at one instant the refusal counts.
    qualify row_number() over (partition by customer_id order by recorded_at desc, state = 'granted' asc, state asc) = 1
),

final as (
    select
        customers.customer_id,
        coalesce(latest.state, '{{ var("consent_default") }}') = 'granted' as has_consent,
        latest.recorded_at
    from customers
    left join latest on customers.customer_id = latest.customer_id
)

select * from final
order by customer_id
