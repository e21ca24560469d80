with kpis as (
    select * from {{ ref('kpis_daily') }}
),

quality as (
    select
        day,
        sum(n_events) as n_events,
        sum(n_bot_events) as n_bot_events,
        sum(n_rejects) as n_rejects,
        sum(n_lines) as n_lines
    from {{ ref('data_quality_daily') }}
    group by day
),

-- A day that is not over at as_of would be below any other.
readings as (
    {% for relation, names in watched_metrics().items() -%}
        {%- set is_last_relation = loop.last -%}
        {%- for name, watched in names.items() -%}
            select
                day,
                '{{ name }}' as metric,
                '{{ metrics()[name].unit }}' as unit,
                cast({{ metric(name) }} as double) as value,
                cast({{ watched.base }} as double) as base,
                {{ watched.least }} as least_spread
            from {{ relation }}
            where day < {{ utc_date(as_of()) }} and {{ metric(name) }} is not null
            {{ "union all" if not (loop.last and is_last_relation) }}
        {% endfor -%}
    {% endfor %}
),

weeks as (
    select unnest(range(1, {{ var('anomaly_weeks') }} + 1)) as weeks_ago
),

-- Each day is compared with the same weekday of the weeks before it, never with what came after.
baselines as (
    select
        readings.day,
        readings.metric,
        count(*) as n_weeks,
        {{ median_of('earlier.value') }} as expected,
        {{ median_of('earlier.base') }} as expected_base,
        {{ robust_spread('earlier.value') }} as usual_spread
    from readings
    cross join weeks
    inner join readings as earlier
        on
            readings.metric = earlier.metric
            and earlier.day = readings.day - cast(7 * weeks.weeks_ago as integer)
    group by readings.day, readings.metric
),

-- Eight values tell little of how they scatter: chance, and a share of what is expected, are the least.
spreads as (
    select
        readings.day,
        readings.metric,
        readings.unit,
        readings.value,
        baselines.expected,
        baselines.n_weeks,
        greatest(
            baselines.usual_spread,
            readings.least_spread,
            {{ var('anomaly_min_spread') }} * abs(baselines.expected),
            {{ chance_spread('readings.unit', 'baselines.expected', 'readings.base') }}
        ) as spread
    from readings
    inner join baselines on readings.day = baselines.day and readings.metric = baselines.metric
    where
        baselines.n_weeks >= {{ var('anomaly_min_weeks') }}
        and baselines.expected_base >= {{ var('anomaly_min_count') }}
),

scored as (
    select
        *,
        round((value - expected) / nullif(spread, 0), 2) as deviation_score,
        {{ var('anomaly_score') }} * spread as tolerance
    from spreads
),

final as (
    select
        day,
        metric,
        value,
        round(expected, 6) as expected,
        round(greatest(expected - tolerance, case when unit != 'money' then 0 end), 6) as lower,
        round(least(expected + tolerance, case when unit = 'share' then 1 end), 6) as upper,
        deviation_score,
        case when deviation_score > 0 then 'above' else 'below' end as direction,
        case
            when abs(deviation_score) >= {{ var('anomaly_critical_score') }} then 'critical'
            else 'warning'
        end as severity,
        n_weeks
    from scored
    where spread > 0 and abs(value - expected) > tolerance
)

select * from final
order by day, metric
