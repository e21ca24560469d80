{% set dimensions = ["weekday", "device", "country", "region", "channel"] %}

with cutoffs as (
    {{ cutoff_dates() }}
),

habit_days as (
    {{ due_rows(ref('int_customer_habit_days')) }}
),

known as (
    select
        habit_days.customer_id,
        cutoffs.as_of_date,
        habit_days.day_part,
        habit_days.weekday,
        habit_days.device,
        habit_days.country,
        habit_days.region,
        habit_days.channel,
        sum(habit_days.count_events) as count_events
    from cutoffs
    inner join habit_days
        on
            cutoffs.as_of_date >= habit_days.event_date
            and cutoffs.as_of_date >= habit_days.known_date
            and (habit_days.is_due or not cutoffs.is_built)
            and {{ days_between('habit_days.event_date', 'cutoffs.as_of_date') }} < 90
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

shares as (
    select
        customer_id,
        as_of_date,
        {% for part in day_parts() -%}
            {{ share_where("day_part = '" ~ part ~ "'") }} as {{ part }}_share_90d,
        {% endfor -%}
        {{ share_where('weekday >= 6') }} as weekend_share_90d
    from known
    group by customer_id, as_of_date
),

by_value as (
    {% for dimension in dimensions -%}
        select
            customer_id,
            as_of_date,
            '{{ dimension }}' as dimension,
            cast({{ dimension }} as varchar) as value,
            sum(count_events) as count_events
        from known
        group by customer_id, as_of_date, {{ dimension }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

-- Of equal habits the first by name.
tops as (
    select
        {% for dimension in dimensions -%}
            arg_min(value, row(-count_events, value)) filter (where dimension = '{{ dimension }}' and value != '')
                as top_{{ dimension }}_90d,
            {{ rate(
                "max(count_events) filter (where dimension = '" ~ dimension ~ "' and value != '')",
                "sum(count_events) filter (where dimension = '" ~ dimension ~ "' and value != '')"
            ) }} as top_{{ dimension }}_share_90d,
        {% endfor -%}
        customer_id,
        as_of_date
    from by_value
    group by customer_id, as_of_date
),

final as (
    select
        {% for dimension in dimensions -%}
            tops.top_{{ dimension }}_90d,
            tops.top_{{ dimension }}_share_90d,
        {% endfor -%}
        shares.*
    from shares
    inner join tops on shares.customer_id = tops.customer_id and shares.as_of_date = tops.as_of_date
)

select * from final
