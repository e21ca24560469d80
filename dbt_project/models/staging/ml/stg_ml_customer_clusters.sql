with customer_clusters as (
    select * from {{ source('ml', 'customer_clusters') }}
),

identifiers as (
    select * from {{ source('identity', 'identifiers') }}
),

-- A customer's id is one of its identifiers, by which the history of a customer who was merged finds its person.
owned as (
    select
        coalesce(identifiers.customer_id, customer_clusters.customer_id) as customer_id,
        customer_clusters.customer_id as former_customer_id,
        customer_clusters.cluster_id,
        customer_clusters.model_version,
        customer_clusters.as_of_date
    from customer_clusters
    left join identifiers on customer_clusters.customer_id = identifiers.identifier
    where customer_clusters.as_of_date <= {{ as_of_date() }}
),

known as (
    select * exclude (former_customer_id)
    from owned
    qualify
        row_number() over (
            partition by customer_id, as_of_date
            order by former_customer_id = customer_id desc, former_customer_id asc
        ) = 1
)

select * from known
