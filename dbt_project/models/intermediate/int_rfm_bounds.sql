with cut_points as (
    select * from {{ ref('rfm_cut_points') }} where '{{ var("rfm_method") }}' = 'fixed'
),

breaks as (
    select * from {{ ref('int_rfm_breaks') }}
),

cutoffs as (
    {{ cutoff_dates() }}
),

final as (
    select
        cutoffs.as_of_date,
        cut_points.dimension,
        cut_points.score,
        cut_points.lower_bound
    from cutoffs
    cross join cut_points
    union all
    select
        as_of_date,
        dimension,
        -- Few days are good, so their classes run the other way.
        case when dimension = 'recency' then 6 - class else class end as score,
        lower_bound
    from breaks
)

select * from final
