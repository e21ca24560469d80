{% set verdict_rules = bot_rules() + set_aside_rules() + ['without_consent'] %}

with arrivals as (
    select * from {{ ref('int_source_arrivals') }}
),

event_days as (
    select
        day,
        source,
        {% for name in arrival_count_names() -%}
            cast(sum({{ name }}) as bigint) as {{ name }},
        {% endfor -%}
        max(latest_received_at) as latest_received_at
    from arrivals
    group by day, source
),

verdict_days as (
    select
        {% for rule in verdict_rules -%}
            cast(sum(n_events) filter (where rule = '{{ rule }}') as bigint) as n_{{ rule }},
        {% endfor -%}
        day,
        source
    from {{ ref('int_verdict_days') }}
    group by day, source
),

file_days as (
    select
        file_id,
        max(day) as day
    from arrivals
    group by file_id
),

-- A rejected line has no readable time, so it counts on the last day of the good lines of its file. So do lines that an
-- earlier file had told.
lost_lines as (
    select
        file_id,
        source,
        rejected_at as noticed_at,
        1 as n_rejects,
        0 as n_duplicates
    from {{ ref('stg_rejects') }}
    union all
    select
        file_id,
        source,
        loaded_at as noticed_at,
        0 as n_rejects,
        count_duplicates as n_duplicates
    from {{ ref('stg_files') }}
    where count_duplicates > 0
),

lost_days as (
    select
        coalesce(file_days.day, least({{ utc_date('lost_lines.noticed_at') }}, {{ as_of_date() }})) as day,
        lost_lines.source,
        cast(sum(lost_lines.n_rejects) as bigint) as n_rejects,
        cast(sum(lost_lines.n_duplicates) as bigint) as n_duplicates
    from lost_lines
    left join file_days on lost_lines.file_id = file_days.file_id
    group by 1, 2
),

-- Amounts in a currency without a rate count as nothing, so somebody must hear of them.
rate_days as (
    select
        {{ utc_date('received_at') }} as day,
        source,
        count(*) as n_without_rate
    from {{ ref('int_events') }}
    where exchange_rate is null and coalesce(original_price, line_amount) is not null
    group by 1, 2
),

late_days as (
    select
        least({{ utc_date('changed_days.changed_at') }}, {{ as_of_date() }}) as day,
        changed_days.source,
        count(distinct changed_days.day) as n_late_days
    from {{ ref('stg_changed_days') }} as changed_days
    where changed_days.is_late
    group by 1, 2
),

measured as (
    select
        day,
        source,
        {% for name in arrival_count_names() -%}
            coalesce(event_days.{{ name }}, 0) as {{ name }},
        {% endfor -%}
        {% for rule in verdict_rules -%}
            coalesce(verdict_days.n_{{ rule }}, 0) as n_{{ rule }},
        {% endfor -%}
        coalesce(event_days.n_bot_flagged, 0)
        {%- for rule in bot_rules() %}
            + coalesce(verdict_days.n_{{ rule }}, 0)
        {%- endfor %} as n_bot_events,
        coalesce(lost_days.n_rejects, 0) as n_rejects,
        coalesce(lost_days.n_duplicates, 0) as n_duplicates,
        coalesce(event_days.n_events, 0) + coalesce(lost_days.n_rejects, 0) as n_lines,
        coalesce(event_days.n_events, 0) + coalesce(lost_days.n_rejects, 0) + coalesce(lost_days.n_duplicates, 0)
            as n_lines_read,
        coalesce(rate_days.n_without_rate, 0) as n_without_rate,
        coalesce(late_days.n_late_days, 0) as n_late_days,
        event_days.latest_received_at
    from event_days
    full outer join verdict_days using (day, source)
    full outer join lost_days using (day, source)
    full outer join rate_days using (day, source)
    full outer join late_days using (day, source)
),

final as (
    select
        day,
        source,
        n_events,
        n_bot_events,
        n_bot_flagged,
        {% for rule in bot_rules() -%}
            n_{{ rule }} as n_bot_{{ rule }},
        {% endfor -%}
        {% for name in set_aside_rules() -%}
            n_{{ name }},
        {% endfor -%}
        {% for name in [
            'without_consent', 'rejects', 'duplicates', 'lines', 'lines_read', 'without_customer', 'without_rate',
            'late_days', 'item_events', 'with_item', 'with_category', 'purchase_events', 'with_price', 'ahead',
        ] -%}
            n_{{ name }},
        {% endfor -%}
        {% for name in ['bot_rate', 'rate_rejected', 'duplicate_rate', 'item_rate', 'category_rate', 'price_rate'] -%}
            {{ metric(name) }} as {{ name }},
        {% endfor -%}
        cast({{ arrived_within(0.5) }} as bigint) as lag_median_seconds,
        cast({{ arrived_within(0.95) }} as bigint) as lag_95_pct_seconds,
        latest_received_at
    from measured
)

select * from final
order by day, source
