{# Every buyer must find a segment, whatever a user made of the seed. #}
with scores as (
    select unnest(range(1, 6)) as score
),

segments as (
    select * from {{ ref('rfm_segments') }}
)

select
    recency.score as recency_score,
    frequency.score as frequency_score,
    monetary.score as monetary_score
from scores as recency
cross join scores as frequency
cross join scores as monetary
anti join segments
    on
        recency.score between segments.recency_min and segments.recency_max
        and frequency.score between segments.frequency_min and segments.frequency_max
        and monetary.score between segments.monetary_min and segments.monetary_max
