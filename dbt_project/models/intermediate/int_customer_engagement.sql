{{ config(materialized='view') }}

{% set features = engagement_features() %}

with windows as (
    select * from {{ ref('int_customer_windows') }}
),

sessions as (
    select * from {{ ref('int_customer_session_windows') }}
),

-- One row: a weight and a half-saturation for each feature and window; those that the seed does not name weigh nothing.
weights as (
    select
        sum(weight) as total_weight,
        {% for name in features -%}
            {% for days in window_days() -%}
                coalesce(max(weight) filter (where feature = '{{ name }}' and window_days = {{ days }}), 0)
                    as {{ name }}_{{ days }}d,
                coalesce(max(half_saturation) filter (where feature = '{{ name }}' and window_days = {{ days }}), 1)
                    as {{ name }}_{{ days }}d_half,
            {% endfor -%}
        {% endfor -%}
        count(*) as count_weights
    from {{ ref('engagement_weights') }}
),

final as (
    select
        windows.customer_id,
        windows.as_of_date,
        round(100 * (
            0
            {% for name in features -%}
                {% set relation = "sessions" if "session" in name else "windows" -%}
                {% for days in window_days() -%}
                    + weights.{{ name }}_{{ days }}d * {{ saturated(
                        'coalesce(cast(' ~ relation ~ '.' ~ name ~ '_' ~ days ~ 'd as double), 0)',
                        'weights.' ~ name ~ '_' ~ days ~ 'd_half'
                    ) }}
                {% endfor -%}
            {% endfor -%}
        ) / nullif(weights.total_weight, 0), 2) as engagement_score
    from windows
    cross join weights
    left join sessions on windows.customer_id = sessions.customer_id and windows.as_of_date = sessions.as_of_date
)

select * from final
