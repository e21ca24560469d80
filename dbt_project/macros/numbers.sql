{# Money in cents: decimals add up to the same sum in any order, floats do not. #}
{% macro money(expression) -%}
    cast(round({{ expression }}, 2) as decimal(18, 2))
{%- endmacro %}


{# A product of exact numbers. DuckDB keeps the product of two short decimals short, where it soon overflows. #}
{% macro product(value, factor) -%}
    cast({{ value }} as decimal(38, 6)) * {{ factor }}
{%- endmacro %}


{# An amount of a row in the reporting currency; null where it stands in a currency whose rate is not known. #}
{% macro converted(amount, currency, rate) -%}
    case
        when coalesce({{ currency }}, '{{ var("currency") }}') = '{{ var("currency") }}' then {{ amount }}
        else cast({{ product(amount, rate) }} as decimal(18, 6))
    end
{%- endmacro %}


{# What a part bears of an amount that is laid over a whole: the difference of two sums rounded to cents, `up_to` this part
   and before it. The parts add up to the amount, and no part bears more than itself while the amount is not above the whole. #}
{% macro share_of(amount, up_to, part, whole) -%}
    {{ money(amount ~ ' * ' ~ up_to ~ ' / nullif(' ~ whole ~ ', 0)') }}
    - {{ money(amount ~ ' * (' ~ up_to ~ ' - ' ~ part ~ ') / nullif(' ~ whole ~ ', 0)') }}
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


{# The standard deviation of whole numbers (n - 1), from exact sums, so that no order of the rows changes it. #}
{% macro spread(value) -%}
    round(
        sqrt(
            cast(count({{ value }}) * sum({{ value }} * {{ value }}) - sum({{ value }}) * sum({{ value }}) as double)
            / nullif(count({{ value }}) * (count({{ value }}) - 1), 0)
        ),
        6
    )
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
