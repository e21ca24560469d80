{# What a user makes of the seeds of the features must still give numbers. #}
with weights as (
    select
        'event_weights' as seed,
        event_type as name,
        cast(weight as double) as weight,
        1 as half_saturation
    from {{ ref('event_weights') }}
    union all
    select
        'engagement_weights' as seed,
        feature as name,
        weight,
        half_saturation
    from {{ ref('engagement_weights') }}
),

dimensions as (
    select unnest(['recency', 'frequency', 'monetary']) as dimension
),

cut_points as (
    select * from {{ ref('rfm_cut_points') }}
)

select
    seed,
    name,
    'a weight is negative, or nothing saturates it' as fault
from weights
where weight is null or weight < 0 or half_saturation is null or half_saturation <= 0
union all
select
    'engagement_weights' as seed,
    'all' as name,
    'no weight is above 0' as fault
from weights
where seed = 'engagement_weights'
having coalesce(max(weight), 0) <= 0
union all
select
    'rfm_cut_points' as seed,
    dimensions.dimension as name,
    'no score has a bound' as fault
from dimensions
anti join cut_points on dimensions.dimension = cut_points.dimension
