with buyers as (
    select * from {{ ref('int_customer_windows') }} where count_orders > 0
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

scored as (
    select
        customer_id,
        as_of_date,
        {{ score_by_rank('days_since_last_order desc', 'as_of_date') }} as recency_score,
        {{ score_by_rank('count_orders', 'as_of_date') }} as frequency_score,
        {{ score_by_rank('total_value', 'as_of_date') }} as monetary_score
    from buyers
),

cells as (
    select
        scores.recency_score,
        scores.frequency_score,
        scores.monetary_score,
        arg_min(segments.rfm_segment, segments.priority) as rfm_segment
    from scored as scores
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
