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

-- A record that leaves an attribute out does not unsay it: the latest that tells it counts.
latest as (
    select
        customer_id,
        {% for attribute in profile_attributes() -%}
            {{ first_row_by([attribute, "source", "told_at"], attribute, "place", "identifier") }}
                as {{ attribute }}_record,
        {% endfor -%}
        min(place) as place
    from owned
    group by customer_id
),

final as (
    select
        customer_id,
        {% for attribute in profile_attributes() -%}
            {{ field_of(attribute ~ '_record', attribute) }} as {{ attribute }},
            {{ field_of(attribute ~ '_record', 'source') }} as {{ attribute }}_source,
            {{ field_of(attribute ~ '_record', 'told_at') }} as {{ attribute }}_updated_at,
        {% endfor -%}
        place
    from latest
)

select * from final
