with bots as (
    select
        actor_id,
        rule
    from {{ ref('int_bots') }}
    where is_whole_actor
),

refused as (
    select event_id from {{ ref('int_refused_events') }}
),

received as (
    select
        events.source,
        events.file_id,
        events.received_at,
        {{ utc_date('events.received_at') }} as day,
        events.actor_id is null as is_without_customer,
        events.set_aside_rule,
        refused.event_id is not null and events.event_type not in ('purchase', 'refund') as is_refused,
        case
            when events.is_bot then 'flagged'
            when events.entity != 'orders' then bots.rule
        end as bot_rule
    from {{ ref('int_source_events') }} as events
    left join bots on events.actor_id = bots.actor_id
    left join refused on events.event_id = refused.event_id
),

event_days as (
    select
        day,
        source,
        count(*) as n_events,
        count(bot_rule) as n_bot_events,
        {% for rule in ['flagged'] + bot_rules() -%}
            count(*) filter (where bot_rule = '{{ rule }}') as n_bot_{{ rule }},
        {% endfor -%}
        {% for rule in set_aside_rules() -%}
            count(*) filter (where bot_rule is null and set_aside_rule = '{{ rule }}') as n_{{ rule }},
        {% endfor -%}
        count(*) filter (where bot_rule is null and is_refused) as n_without_consent,
        count(*) filter (where is_without_customer) as n_without_customer,
        max(received_at) as latest_received_at
    from received
    group by day, source
),

file_days as (
    select
        file_id,
        max(day) as day
    from received
    group by file_id
),

-- A rejected line has no readable time, so it counts on the last day of the good lines of its file.
reject_days as (
    select
        coalesce(file_days.day, least({{ utc_date('rejects.rejected_at') }}, {{ as_of_date() }})) as day,
        rejects.source,
        count(*) as n_rejects
    from {{ ref('stg_rejects') }} as rejects
    left join file_days on rejects.file_id = file_days.file_id
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

final as (
    select
        day,
        source,
        coalesce(event_days.n_events, 0) as n_events,
        coalesce(event_days.n_bot_events, 0) as n_bot_events,
        {% for rule in ['flagged'] + bot_rules() -%}
            coalesce(event_days.n_bot_{{ rule }}, 0) as n_bot_{{ rule }},
        {% endfor -%}
        {% for rule in set_aside_rules() -%}
            coalesce(event_days.n_{{ rule }}, 0) as n_{{ rule }},
        {% endfor -%}
        coalesce(event_days.n_without_consent, 0) as n_without_consent,
        coalesce(reject_days.n_rejects, 0) as n_rejects,
        coalesce(event_days.n_without_customer, 0) as n_without_customer,
        coalesce(rate_days.n_without_rate, 0) as n_without_rate,
        coalesce(late_days.n_late_days, 0) as n_late_days,
        {{ rate(
            'coalesce(reject_days.n_rejects, 0)',
            'coalesce(event_days.n_events, 0) + coalesce(reject_days.n_rejects, 0)'
        ) }} as rate_rejected,
        event_days.latest_received_at
    from event_days
    full outer join reject_days using (day, source)
    full outer join rate_days using (day, source)
    full outer join late_days using (day, source)
)

select * from final
order by day, source
