{# As in ftr_customer_features: replaces exactly the run's cut-off dates. #}
{{ config(
    alias='customer_affinities',
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='append_new_columns',
    full_refresh=false,
    pre_hook="{{ forget_features() }}",
) }}

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

weighted_days as (
    select
        interest_days.*,
        {{ weighted_interests('interest_days', 'weights') }} as weight
    from interest_days
    cross join weights
),

known as (
    select
        weighted_days.customer_id,
        cutoffs.as_of_date,
        weighted_days.category,
        weighted_days.brand,
        weighted_days.price_tier,
        {{ decayed_sum(
            'weighted_days.weight',
            days_between('weighted_days.event_date', 'cutoffs.as_of_date'),
            var('affinity_half_life_days')
        ) }} as weight,
        sum(weighted_days.count_events) as count_events,
        {{ days_between('max(weighted_days.event_date)', 'cutoffs.as_of_date') }} as days_since_last_event
    from cutoffs
    inner join weighted_days
        on
            cutoffs.as_of_date >= weighted_days.event_date
            and cutoffs.as_of_date >= weighted_days.known_date
            and (weighted_days.is_due or not cutoffs.is_built)
            and {{ days_between('weighted_days.event_date', 'cutoffs.as_of_date') }} < {{ var('affinity_days') }}
    group by 1, 2, 3, 4, 5
),

by_value as (
    {% for dimension in ["category", "brand", "price_tier"] -%}
        select
            customer_id,
            as_of_date,
            '{{ dimension }}' as dimension,
            {{ dimension }} as value,
            sum(weight) as weight,
            cast(sum(count_events) as bigint) as count_events,
            min(days_since_last_event) as days_since_last_event
        from known
        where {{ dimension }} != ''
        group by customer_id, as_of_date, {{ dimension }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

-- The prior is weight for nothing in particular: who did little is fond of nothing much.
final as (
    select
        customer_id,
        as_of_date,
        dimension,
        value,
        row_number() over (partition by customer_id, as_of_date, dimension order by -weight, value) as place,
        {{ rate(
            'weight',
            'sum(weight) over (partition by customer_id, as_of_date, dimension) + ' ~ var('affinity_prior')
        ) }} as affinity,
        count_events,
        days_since_last_event
    from by_value
    qualify place <= {{ var('max_affinities') }}
)

select * from final
order by as_of_date, customer_id, dimension, place
