{# The middle value. #}
{% macro median_of(expression) -%}
    median({{ expression }})
{%- endmacro %}


{# A spread that single outliers do not move: the median distance from the median, scaled to the standard deviation that it
   estimates for a normal distribution (Hampel 1974). #}
{% macro robust_spread(expression) -%}
    1.4826 * mad({{ expression }})
{%- endmacro %}


{# By how much a value of that size scatters by chance alone: Poisson for counts, binomial for shares (two added, so that a
   share of 0 scatters too), and for sums of money as the number of orders does. `base` is what the value is made of. #}
{% macro chance_spread(unit, expected, base) -%}
    case {{ unit }}
        when 'count' then sqrt(greatest({{ expected }}, 1))
        when 'share' then sqrt(
            ({{ expected }} * {{ base }} + 1) * ((1 - {{ expected }}) * {{ base }} + 1)
            / power({{ base }} + 2, 3)
        )
        else abs({{ expected }}) / sqrt(greatest({{ base }}, 1))
    end
{%- endmacro %}
