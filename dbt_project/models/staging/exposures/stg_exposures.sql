with exposures as (
    select * from {{ source('raw', 'exposures') }}
),

known as (
    select
        exposure_id,
        source,
        experiment_id,
        variant_id,
        occurred_at,
        coalesce(received_at, occurred_at) as received_at,
        {{ text_or_null('anonymous_id') }} as anonymous_id,
        {{ text_or_null('user_id') }} as user_id
    from exposures
    where
        occurred_at < {{ as_of() }}
        and coalesce(received_at, occurred_at) <= {{ as_of() }}
)

select * from known
