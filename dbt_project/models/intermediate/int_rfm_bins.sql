{# What natural breaks cost is quadratic in the number of values, so many are put into bins that weigh the same. #}
with buyers as (
    select * from {{ ref('int_buyers') }}
    where count_orders > 0 and '{{ var("rfm_method") }}' = 'jenks'
),

measured as (
    {% for dimension, value in rfm_values().items() -%}
        select
            as_of_date,
            '{{ dimension }}' as dimension,
            cast({{ value }} as decimal(18, 2)) as value,
            count(*) as weight
        from buyers
        group by as_of_date, {{ value }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

ranked as (
    select
        *,
        count(*) over dimensions as count_values,
        sum(weight) over dimensions as total_weight,
        row_number() over upwards as place,
        sum(weight) over upwards as weight_up_to
    from measured
    window
        dimensions as (partition by as_of_date, dimension),
        upwards as (partition by as_of_date, dimension order by value)
),

bins as (
    select
        as_of_date,
        dimension,
        min(value) as lower_bound,
        sum(weight) as weight,
        sum(weight * value) as weighted,
        sum(weight * cast(value * value as decimal(38, 4))) as squared
    from ranked
    group by
        as_of_date,
        dimension,
        case
            when count_values <= {{ var('max_rfm_bins') }} then place
            else {{ var('max_rfm_bins') }} * (weight_up_to - weight) // total_weight
        end
),

-- Sums up to each bin and before it, so that the squared deviations of any run of bins are a difference.
final as (
    select
        *,
        row_number() over upwards as bin,
        sum(weight) over upwards as weight_to,
        sum(weighted) over upwards as weighted_to,
        sum(squared) over upwards as squared_to
    from bins
    window upwards as (partition by as_of_date, dimension order by lower_bound)
)

select * from final
