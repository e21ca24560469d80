{{ config(materialized='view') }}

with tracked_days as (
    select * from {{ ref('int_arrival_days') }}
),

untracked as (
    select * from {{ ref('int_untracked_events') }}
),

untracked_days as (
    {{ arrivals('untracked', is_bot='false', has_price='coalesce(price, line_amount) is not null') }}
),

final as (
    {% for relation in ['tracked_days', 'untracked_days'] -%}
        select
            file_id,
            source,
            day,
            {% for name in arrival_count_names() -%}
                {{ name }},
            {% endfor -%}
            latest_received_at
        from {{ relation }}
        {{ "union all" if not loop.last }}
    {% endfor %}
)

select * from final
