with scores as (
    select * from {{ source('ml', 'scores') }}
),

known as (
    select
        customer_id,
        score_name,
        probability,
        decile,
        as_of_date
    from scores
    where as_of_date = {{ as_of_date() }}
)

select * from known
