{# Whether core.customer_history has been written for no later day than the run's. A run without a day writes none. #}
{% macro is_latest_history() -%}
    {{ has_as_of() }} and not exists (
        select 1 from {{ ref('int_customer_history_days') }} as written
        where written.as_of_date > {{ as_of_date() }}
    )
{%- endmacro %}
