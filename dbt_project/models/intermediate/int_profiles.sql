with profiles as (
    select * from {{ ref('stg_profiles') }}
),

identities as (
    select * from {{ ref('int_identities') }}
),

owned as (
    select
        profiles.*,
        coalesce(identities.customer_id, profiles.identifier) as customer_id
    from profiles
    left join identities on profiles.identifier = identities.identifier
),

final as (
    select
        customer_id,
        country,
        region,
        birth_year,
        gender,
        loyalty_tier,
        signed_up_at
    from owned
    qualify row_number() over (partition by customer_id order by place) = 1
)

select * from final
