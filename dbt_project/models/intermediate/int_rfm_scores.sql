{# As in int_customer_features: replaces exactly the run's cut-off dates. #}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    pre_hook="{{ forget_cutoff_dates() }}",
) }}

with buyers as (
    select * from {{ ref('int_buyers') }}
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

bounds as (
    select * from {{ ref('int_rfm_bounds') }}
),

ranked as (
    select
        customer_id,
        as_of_date,
        6 - {{ score_by_rank('days_since_last_order', 'as_of_date') }} as recency_score,
        {{ score_by_rank('count_orders', 'as_of_date') }} as frequency_score,
        {{ score_by_rank('total_value', 'as_of_date') }} as monetary_score
    from buyers
    where '{{ var("rfm_method") }}' = 'quantile'
),

-- The score of the highest bound that is not above the value.
bounded as (
    select
        {% for dimension, value in rfm_values().items() -%}
            coalesce(
                arg_max(bounds.score, bounds.lower_bound)
                filter (where bounds.dimension = '{{ dimension }}' and bounds.lower_bound <= buyers.{{ value }}),
                arg_min(bounds.score, bounds.lower_bound) filter (where bounds.dimension = '{{ dimension }}')
            ) as {{ dimension }}_score,
        {% endfor -%}
        buyers.customer_id,
        buyers.as_of_date
    from buyers
    inner join bounds on buyers.as_of_date = bounds.as_of_date
    group by buyers.customer_id, buyers.as_of_date
),

scored as (
    select * from ranked
    union all by name
    select * from bounded
),

scores as (
    select
        recency_score,
        frequency_score,
        monetary_score
    from scored
    group by recency_score, frequency_score, monetary_score
),

cells as (
    select
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        arg_min(segments.rfm_segment, segments.priority) as rfm_segment
    from scores
    inner join segments
        on
            scores.recency_score between segments.recency_min and segments.recency_max
            and scores.frequency_score between segments.frequency_min and segments.frequency_max
            and scores.monetary_score between segments.monetary_min and segments.monetary_max
    group by 1, 2, 3
),

final as (
    select
        scored.*,
        cells.rfm_segment
    from scored
    left join cells using (recency_score, frequency_score, monetary_score)
)

select * from final
