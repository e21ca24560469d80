with customer_clusters as (
    select * from {{ source('ml', 'customer_clusters') }}
),

known as (
    select
        customer_id,
        cluster_id,
        model_version,
        as_of_date
    from customer_clusters
    where as_of_date <= {{ as_of_date() }}
)

select * from known
