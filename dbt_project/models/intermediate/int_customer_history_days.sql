{{ config(materialized='incremental', incremental_strategy='append', full_refresh=false) }}

with runs as (
    select {{ as_of_date() }} as as_of_date
),

final as (
    select runs.as_of_date
    from runs
    where
        {{ has_as_of() }}
        {%- if is_incremental() %}
            and not exists (select 1 from {{ this }} as written where written.as_of_date >= runs.as_of_date)
        {%- endif %}
)

select * from final
