{# Money in cents: decimals add up to the same sum in any order, floats do not. #}
{% macro money(expression) -%}
    cast(round({{ expression }}, 2) as decimal(18, 2))
{%- endmacro %}


{# A sum of money as a table shows it: DOUBLE, 0 where there is nothing. #}
{% macro total(expression) -%}
    cast(coalesce({{ expression }}, 0) as double)
{%- endmacro %}


{# A quotient of exact numbers to 6 decimals, null where the denominator is 0 or null. #}
{% macro rate(numerator, denominator) -%}
    round(cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0), 6)
{%- endmacro %}


{# The same to cents, for averages of money. #}
{% macro average(numerator, denominator) -%}
    round(cast({{ numerator }} as double) / nullif(cast({{ denominator }} as double), 0), 2)
{%- endmacro %}


{# Fifths (or other parts) by rank, 1 the lowest, so that equal values get equal scores; NTILE would part them. #}
{% macro score_by_rank(order_by, partition_by, parts=5) -%}
    cast(
        1 + floor(
            {{ parts }} * (rank() over (partition by {{ partition_by }} order by {{ order_by }}) - 1)
            / count(*) over (partition by {{ partition_by }})
        ) as bigint
    )
{%- endmacro %}
