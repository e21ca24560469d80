{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_touched('customer_id') }}") }}

{% set touch = ["channel", "campaign", "url_path", "occurred_at"] %}
{% set places = ["country", "region"] %}

with events as (
    select * from {{ ref('int_events') }}
    where {{ is_touched('customer_id') }}
),

sightings as (
    select
        customer_id,
        bool_or(is_registered) as is_registered,
        min(occurred_at) as first_seen_at,
        max(occurred_at) as last_seen_at,
        {% for place in places -%}
            {{ last_row_by([place, "source", "occurred_at"], place, "occurred_at", "event_id") }}
                as {{ place }}_sighting,
        {% endfor -%}
        {{ first_row_by(touch, "channel", "occurred_at", "event_id") }} as first_touch,
        {{ last_row_by(touch, "channel", "occurred_at", "event_id") }} as last_touch,
        {{ last_by('device', 'occurred_at', 'event_id') }} as last_device
    from events
    group by customer_id
),

final as (
    select
        customer_id,
        is_registered,
        first_seen_at,
        last_seen_at,
        {% for place in places -%}
            {{ field_of(place ~ '_sighting', place) }} as {{ place }},
            {{ field_of(place ~ '_sighting', 'source') }} as {{ place }}_source,
            {{ field_of(place ~ '_sighting', 'occurred_at') }} as {{ place }}_updated_at,
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
