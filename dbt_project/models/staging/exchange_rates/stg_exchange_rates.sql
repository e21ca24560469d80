with rates as (
    select * from {{ source('raw', 'exchange_rates') }}
),

files as (
    select
        file_id,
        path,
        loaded_at
    from {{ source('raw', 'files') }}
    where entity = 'exchange_rates'
),

known as (
    select
        {{ currency_code('rates.currency') }} as currency,
        rates.valid_from,
        rates.rate
    from rates
    left join files on rates.file_id = files.file_id
    where
        rates.rate > 0
        and coalesce(rates.received_at <= {{ as_of() }}, true)
    -- A rate that was corrected later counts as it was told last.
    qualify
        row_number() over (
            partition by {{ currency_code('rates.currency') }}, rates.valid_from
            order by
                rates.received_at desc nulls last,
                files.loaded_at desc nulls last,
                files.path desc nulls last,
                rates.line_number desc,
                rates.source asc,
                rates.file_id desc
        ) = 1
)

select * from known
