{# Fisher's exact dynamic program ("On grouping for maximum homogeneity", 1958), known as natural breaks. #}
{% set classes = range(1, 6) | list %}

with bins as (
    select * from {{ ref('int_rfm_bins') }}
),

ends as (
    select
        as_of_date,
        dimension,
        max(bin) as last_bin
    from bins
    group by as_of_date, dimension
),

runs as (
    select
        firsts.as_of_date,
        firsts.dimension,
        firsts.bin as first_bin,
        lasts.bin as last_bin,
        {{ squared_deviations('firsts', 'lasts') }} as cost
    from bins as firsts
    inner join bins as lasts
        on firsts.as_of_date = lasts.as_of_date and firsts.dimension = lasts.dimension and firsts.bin <= lasts.bin
),

-- The best partition of the first bins, up to each of them, into one class, then into one more and so on.
classes_1 as (
    select
        as_of_date,
        dimension,
        last_bin,
        cost,
        [first_bin] as starts
    from runs
    where first_bin = 1
),

{% for class in classes[1:] %}
    classes_{{ class }} as (
        select
            runs.as_of_date,
            runs.dimension,
            runs.last_bin,
            shorter.cost + runs.cost as cost,
            list_append(shorter.starts, runs.first_bin) as starts
        from classes_{{ class - 1 }} as shorter
        inner join runs
            on
                shorter.as_of_date = runs.as_of_date
                and shorter.dimension = runs.dimension
                and shorter.last_bin = runs.first_bin - 1
        qualify
            row_number() over (
                partition by runs.as_of_date, runs.dimension, runs.last_bin
                order by shorter.cost + runs.cost, runs.first_bin
            ) = 1
    ),
{% endfor %}

partitions as (
    {% for class in classes %}
        select * from classes_{{ class }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

-- Fewer values than classes: each is a class.
best as (
    select
        partitions.as_of_date,
        partitions.dimension,
        unnest(partitions.starts) as bin
    from partitions
    inner join ends
        on
            partitions.as_of_date = ends.as_of_date
            and partitions.dimension = ends.dimension
            and partitions.last_bin = ends.last_bin
            and len(partitions.starts) = least(ends.last_bin, {{ classes | length }})
),

final as (
    select
        best.as_of_date,
        best.dimension,
        row_number() over (partition by best.as_of_date, best.dimension order by best.bin) as class,
        bins.lower_bound
    from best
    inner join bins
        on best.as_of_date = bins.as_of_date and best.dimension = bins.dimension and best.bin = bins.bin
)

select * from final
