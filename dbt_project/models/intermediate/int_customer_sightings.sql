{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

{% set touch = ["channel", "campaign", "url_path", "occurred_at"] %}
{% set attributes = ["country", "region"] %}

with events as (
    select
        *,
        {{ place_of('occurred_at', 'event_id') }} as place
    from {{ ref('int_events') }}
    where {{ is_made_now() }}
),

sightings as (
    select
        customer_id,
        bool_or(is_registered) as is_registered,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at,
        {% for attribute in attributes -%}
            {{ last_row_by([attribute, "source", "occurred_at"], attribute, "place") }}
                as {{ attribute }}_sighting,
        {% endfor -%}
        {{ first_row_by(touch, "channel", "place") }} as first_touch,
        {{ last_row_by(touch, "channel", "place") }} as last_touch,
        {{ last_by('device', 'place') }} as last_device
    from events
    group by customer_id
),

final as (
    select
        customer_id,
        is_registered,
        first_seen_at,
        last_seen_at,
        {% for attribute in attributes -%}
            {{ field_of(attribute ~ '_sighting', attribute) }} as {{ attribute }},
            {{ field_of(attribute ~ '_sighting', 'source') }} as {{ attribute }}_source,
            {{ field_of(attribute ~ '_sighting', 'occurred_at') }} as {{ attribute }}_updated_at,
        {% endfor -%}
        {% for end in ["first", "last"] -%}
            {{ field_of(end ~ '_touch', 'channel') }} as {{ end }}_channel,
            {{ field_of(end ~ '_touch', 'campaign') }} as {{ end }}_campaign,
            {{ field_of(end ~ '_touch', 'url_path') }} as {{ end }}_path,
            {{ field_of(end ~ '_touch', 'occurred_at') }} as {{ end }}_touch_at,
        {% endfor -%}
        last_device
    from sightings
)

select * from final
