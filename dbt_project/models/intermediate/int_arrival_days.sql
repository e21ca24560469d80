{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_changed_files() }}") }}

with events as (
    select * from {{ ref('stg_events') }}
    where {{ is_of_changed_file() }}
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
