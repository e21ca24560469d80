with verdicts as (
    select * from {{ ref('int_actor_verdicts') }}
),

final as (
    select
        day,
        source,
        rule,
        cast(sum(n_events) as bigint) as n_events
    from verdicts
    group by day, source, rule
)

select * from final
