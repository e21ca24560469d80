with customer_stages as (
    select * from {{ source('ml', 'customer_stages') }}
),

known as (
    select
        customer_id,
        stage,
        as_of_date
    from customer_stages
    where as_of_date = {{ as_of_date() }}
)

select * from known
