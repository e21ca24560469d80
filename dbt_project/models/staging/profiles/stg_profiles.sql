with profiles as (
    select * from {{ source('raw', 'profiles') }}
),

known as (
    select
        user_id as customer_id,
        country,
        region,
        birth_year,
        gender,
        loyalty_tier,
        signed_up_at
    from profiles
    where
        coalesce(received_at <= {{ as_of() }}, true)
        and coalesce(updated_at < {{ as_of() }}, true)
    qualify
        row_number() over (
            partition by user_id
            order by
                updated_at desc nulls last,
                received_at desc nulls last,
                source asc,
                file_id desc,
                line_number desc
        ) = 1
)

select * from known
