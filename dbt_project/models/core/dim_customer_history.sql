{# Not a snapshot of dbt: that stamps what has disappeared with the clock, keeps what a second run of a day has unsaid,
   and writes a run for an earlier day behind the later ones. Here a day that is run again replaces what it wrote before,
   and a run for a day before the last written one changes nothing. A full refresh keeps the history: it cannot be made
   anew. #}
{{ config(
    alias='customer_history',
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['customer_id', 'valid_from'],
    on_schema_change='append_new_columns',
    full_refresh=false,
    pre_hook=[
        "{% if is_incremental() %}delete from {{ this }}
            where valid_from = {{ as_of_date() }} and {{ is_latest_history() }}{% endif %}",
        "{% if is_incremental() %}update {{ this }} set valid_to = null
            where valid_to = {{ as_of_date() }} and {{ is_latest_history() }}{% endif %}",
    ],
) }}

{% set columns = history_columns() %}

with customers as (
    select * from {{ ref('dim_customers') }} where {{ is_latest_history() }}
),

open_rows as (
    {% if is_incremental() -%}
        select
            customer_id,
            {% for column in columns -%}
                {{ column }},
            {% endfor -%}
            valid_from
        from {{ this }}
        where valid_to is null and {{ is_latest_history() }}
    {%- else -%}
        select
            customer_id,
            {% for column in columns -%}
                {{ column }},
            {% endfor -%}
            {{ as_of_date() }} as valid_from
        from customers
        where false
    {%- endif %}
),

changes as (
    select coalesce(customers.customer_id, open_rows.customer_id) as customer_id
    from customers
    full outer join open_rows on customers.customer_id = open_rows.customer_id
    where
        customers.customer_id is null
        {% for column in columns -%}
            or customers.{{ column }} is distinct from open_rows.{{ column }}
        {% endfor -%}
        or open_rows.customer_id is null
),

final as (
    select
        customers.customer_id,
        {% for column in columns -%}
            customers.{{ column }},
        {% endfor -%}
        {{ as_of_date() }} as valid_from,
        cast(null as date) as valid_to
    from changes
    inner join customers on changes.customer_id = customers.customer_id
    union all
    select
        open_rows.customer_id,
        {% for column in columns -%}
            open_rows.{{ column }},
        {% endfor -%}
        open_rows.valid_from,
        {{ as_of_date() }} as valid_to
    from changes
    inner join open_rows on changes.customer_id = open_rows.customer_id
)

select * from final
