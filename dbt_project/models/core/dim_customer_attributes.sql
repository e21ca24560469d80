{{ config(alias='customer_attributes', materialized='view') }}

with profiles as (
    select * from {{ ref('int_profiles') }}
),

sightings as (
    select * from {{ ref('int_customer_sightings') }}
),

told as (
    {% for attribute in profile_attributes() -%}
        select
            customer_id,
            '{{ attribute }}' as attribute,
            cast({{ attribute }} as varchar) as value,
            'profile' as origin,
            {{ attribute }}_source as source,
            {{ attribute }}_updated_at as updated_at
        from profiles
        where {{ attribute }} is not null
        union all
    {% endfor -%}
    {% for attribute in ["country", "region"] -%}
        select
            customer_id,
            '{{ attribute }}' as attribute,
            {{ attribute }} as value,
            'event' as origin,
            {{ attribute }}_source as source,
            {{ attribute }}_updated_at as updated_at
        from sightings
        where {{ attribute }} is not null
        {{ "union all" if not loop.last }}
    {% endfor -%}
),

-- As in core.customers a profile counts more than events.
final as (
    select * from told
    qualify row_number() over (partition by customer_id, attribute order by origin desc) = 1
)

select * from final
