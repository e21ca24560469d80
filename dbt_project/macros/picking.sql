{# An id that equal parts always give again. #}
{% macro hashed_id(parts) -%}
    md5(concat_ws('|', {{ parts | join(', ') }}))
{%- endmacro %}


{# A number that equal values have in common, and others only by chance. #}
{% macro hashed_number(columns) -%}
    hash({{ columns | join(', ') }})
{%- endmacro %}


{# A number that orders rows by instant, and rows of one instant by their ids' hashes: a sort key of both, as a text, would take
   several times the memory where many columns are picked by it. #}
{% macro place_of(instant, tie_break) -%}
    cast(epoch_us({{ instant }}) as hugeint) * 18446744073709551616 + hash({{ tie_break }})
{%- endmacro %}


{# The value (not null) of the earliest row; `tie_break` decides between rows of one instant, unless places are given. #}
{% macro first_by(value, instant, tie_break=none) -%}
    arg_min({{ value }}, {{ order_of(instant, tie_break) }}) filter (where {{ value }} is not null)
{%- endmacro %}


{# The value (not null) of the latest row. #}
{% macro last_by(value, instant, tie_break=none) -%}
    arg_max({{ value }}, {{ order_of(instant, tie_break) }}) filter (where {{ value }} is not null)
{%- endmacro %}


{# Several columns of the earliest row that has `needed`, as one struct: they belong together. #}
{% macro first_row_by(columns, needed, instant, tie_break=none) -%}
    arg_min({{ struct_of(columns) }}, {{ order_of(instant, tie_break) }}) filter (where {{ needed }} is not null)
{%- endmacro %}


{# The same of the latest row. #}
{% macro last_row_by(columns, needed, instant, tie_break=none) -%}
    arg_max({{ struct_of(columns) }}, {{ order_of(instant, tie_break) }}) filter (where {{ needed }} is not null)
{%- endmacro %}


{% macro order_of(instant, tie_break) -%}
    {{ "row(" ~ instant ~ ", " ~ tie_break ~ ")" if tie_break else instant }}
{%- endmacro %}


{# How many different values there are, where a group has few rows: its values are gathered, by 64 bits each. #}
{% macro count_different(value, condition) -%}
    coalesce(len(list_distinct(list(hash({{ value }})) filter (where {{ condition }} and {{ value }} is not null))), 0)
{%- endmacro %}


{# Columns of a row as one value. #}
{% macro struct_of(columns) -%}
    struct_pack({% for column in columns %}{{ column }} := {{ column }}{{ ", " if not loop.last }}{% endfor %})
{%- endmacro %}


{# One of the columns of such a value. #}
{% macro field_of(struct, name) -%}
    struct_extract({{ struct }}, '{{ name }}')
{%- endmacro %}


{# A text that is there: blanks count as nothing, or all visitors without an id would be one customer. Nearly every text is as it
   should be, which is quicker to see than to make anew. #}
{% macro text_or_null(expression) -%}
    case
        when {{ expression }} < '!' or suffix({{ expression }}, ' ') then nullif(trim({{ expression }}), '') else {{ expression }}
    end
{%- endmacro %}


{# The code of a currency, null where it is blank. #}
{% macro currency_code(expression) -%}
    upper({{ text_or_null(expression) }})
{%- endmacro %}


{# A value with what places it in time, so that parts of a table can be aggregated one by one: `max` of stamps is the latest. #}
{% macro stamped(value, instant, tie_break) -%}
    struct_pack(at_instant := {{ instant }}, tie_break := {{ tie_break }}, stamped_value := {{ value }})
{%- endmacro %}


{# The versions of an attribute of an item, a list in the order in which they became known. #}
{% macro versions_of(attribute) -%}
    list(struct_pack(known_at := known_at, value := value) order by known_at) filter (where attribute = '{{ attribute }}')
{%- endmacro %}


{# The element of a list that is in force at an instant: the latest one known by then, else the first there is. #}
{% macro in_force(versions, instant) -%}
    case
        when len({{ versions }}) = 1 then {{ versions }}[1]
        else coalesce(
            list_last(list_filter({{ versions }}, lambda version: version.known_at <= {{ instant }})), {{ versions }}[1]
        )
    end
{%- endmacro %}
