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


{# A sum of weights that each halve with every `half_life` days. Each is rounded to millionths, as a float that holds a whole
   number: such floats add up to the same sum in any order. #}
{% macro decayed_sum(weight, days, half_life) -%}
    sum(round(1000000 * cast({{ weight }} as double) * power(0.5, {{ days }} / {{ half_life }}.0))) / 1000000
{%- endmacro %}


{# From 0 towards 1 as a number grows; a half at `half_saturation`. #}
{% macro saturated(number, half_saturation) -%}
    greatest({{ number }}, 0) / (greatest({{ number }}, 0) + {{ half_saturation }})
{%- endmacro %}


{# Least-squares slope of a daily number over the last days, per day; days without a row are 0. The middle of the days has a
   fixed place, so the slope is one weighted sum. #}
{% macro trend_slope(number, days_ago, days) -%}
    {{ rate(
        sum_where('(' ~ (days - 1) ~ ' - 2 * ' ~ days_ago ~ ') * ' ~ number, days_ago ~ ' < ' ~ days),
        days * (days * days - 1) // 6
    ) }}
{%- endmacro %}


{# Squared deviations from their mean of what lies between two rows of running sums, both ends included. #}
{% macro squared_deviations(first, last) -%}
    cast({{ last }}.squared_to - {{ first }}.squared_to + {{ first }}.squared as double)
    - power(cast({{ last }}.weighted_to - {{ first }}.weighted_to + {{ first }}.weighted as double), 2)
    / cast({{ last }}.weight_to - {{ first }}.weight_to + {{ first }}.weight as double)
{%- endmacro %}


{# A sum of whole numbers over the rows for which a condition holds. Summed as floats, which are exact up to 2^53: that takes
   a third of the time and half of the memory. #}
{% macro sum_where(number, condition) -%}
    cast(sum(cast(case when {{ condition }} then {{ number }} else 0 end as double)) as bigint)
{%- endmacro %}


{# The part (0-1) of the events counted in count_events for which a condition holds, of those for which `among` does. #}
{% macro share_where(condition, among='true') -%}
    {{ rate(
        'coalesce(sum(count_events) filter (where ' ~ condition ~ '), 0)',
        'sum(count_events) filter (where ' ~ among ~ ')'
    ) }}
{%- endmacro %}


{# What a row's interests weigh together. #}
{% macro weighted_interests(counts, weights) -%}
    {%- for name in counted_interests() -%}
        {{ counts }}.{{ name }} * {{ weights }}.{{ name }}{{ ' + ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
