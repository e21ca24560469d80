{# A view: what a customer did is computed anew when they do something, scores of all buyers in every build. #}
{{ config(alias='customer_features', materialized='view') }}

with features as (
    select * from {{ ref('int_customer_features') }}
),

scores as (
    select * from {{ ref('int_rfm_scores') }}
),

final as (
    select
        features.*,
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        scores.rfm_segment
    from features
    left join scores on features.customer_id = scores.customer_id and features.as_of_date = scores.as_of_date
)

select * from final -- noqa: AM04
