with events as (
    select * from {{ ref('stg_events') }}
),

final as (
    select
        file_id,
        source,
        {{ utc_date('received_at') }} as day,
        {{ arrival_counts(is_bot='is_bot', has_price='price is not null') }}
    from events
    group by 1, 2, 3
)

select * from final
