with clusters as (
    select * from {{ source('ml', 'clusters') }}
),

known as (
    select
        cluster_id,
        cluster_name,
        description,
        model_version,
        as_of_date
    from clusters
    where as_of_date <= {{ as_of_date() }}
)

select * from known
