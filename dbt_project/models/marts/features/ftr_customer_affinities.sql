{# As in int_customer_features: replaces exactly the run's cut-off dates. #}
{{ config(
    alias='customer_affinities',
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    full_refresh=false,
    pre_hook="{{ forget_features() }}",
) }}

{% set dimensions = ["brand", "category", "price_tier"] %}

with cutoffs as (
    {{ cutoff_dates() }}
),

interest_days as (
    {{ due_rows(ref('int_customer_interest_days')) }}
),

weights as (
    select
        {% for name, event_type in counted_interests().items() -%}
            coalesce(max(weight) filter (where event_type = '{{ event_type }}'), 0) as {{ name }},
        {% endfor -%}
        count(*) as count_weights
    from {{ ref('event_weights') }}
),

customers as (
    {{ numbered_customers('interest_days') }}
),

told_values as (
    {% for dimension in dimensions -%}
        select
            '{{ dimension }}' as dimension,
            {{ dimension }} as value
        from interest_days
        where {{ dimension }} != ''
        group by {{ dimension }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

-- Numbers for the values, too, in the order of their names.
numbered_values as (
    select
        *,
        row_number() over (order by dimension, value) as value_number
    from told_values
),

weighted_days as (
    select
        customers.customer_number,
        interest_days.event_date,
        interest_days.known_date,
        interest_days.is_due,
        interest_days.count_events,
        {% for dimension in dimensions -%}
            of_{{ dimension }}.value_number as {{ dimension }}_number,
        {% endfor -%}
        {{ weighted_interests('interest_days', 'weights') }} as weight
    from interest_days
    inner join customers on interest_days.customer_id = customers.customer_id
    {% for dimension in dimensions -%}
        left join numbered_values as of_{{ dimension }}
            on
                interest_days.{{ dimension }} = of_{{ dimension }}.value
                and of_{{ dimension }}.dimension = '{{ dimension }}'
    {% endfor -%}
    cross join weights
),

by_value as (
    {% for dimension in dimensions -%}
        select
            weighted_days.customer_number,
            cutoffs.as_of_date,
            {{ loop.index0 }} as dimension_number,
            weighted_days.{{ dimension }}_number as value_number,
            {{ decayed_sum(
                'weighted_days.weight',
                days_between('weighted_days.event_date', 'cutoffs.as_of_date'),
                var('affinity_half_life_days')
            ) }} as weight,
            cast(sum(weighted_days.count_events) as bigint) as count_events,
            {{ days_between('max(weighted_days.event_date)', 'cutoffs.as_of_date') }} as days_since_last_event
        from cutoffs
        inner join weighted_days
            on
                cutoffs.as_of_date >= weighted_days.event_date
                and cutoffs.as_of_date >= weighted_days.known_date
                and (weighted_days.is_due or not cutoffs.is_built)
                and {{ days_between('weighted_days.event_date', 'cutoffs.as_of_date') }} < {{ var('affinity_days') }}
        where weighted_days.{{ dimension }}_number is not null
        group by weighted_days.customer_number, cutoffs.as_of_date, weighted_days.{{ dimension }}_number
        {{ "union all" if not loop.last }}
    {% endfor %}
),

-- The prior is weight for nothing in particular: who did little is fond of nothing much.
placed as (
    select
        *,
        row_number() over (
            partition by customer_number, as_of_date, dimension_number order by -weight, value_number
        ) as place,
        {{ rate(
            'weight',
            'sum(weight) over (partition by customer_number, as_of_date, dimension_number) + ' ~ var('affinity_prior')
        ) }} as affinity
    from by_value
    qualify place <= {{ var('max_affinities') }}
),

final as (
    select
        customers.customer_id,
        placed.as_of_date,
        numbered_values.dimension,
        numbered_values.value,
        placed.place,
        placed.affinity,
        placed.count_events,
        placed.days_since_last_event
    from placed
    inner join customers on placed.customer_number = customers.customer_number
    inner join numbered_values on placed.value_number = numbered_values.value_number
)

select * from final
