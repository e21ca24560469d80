{# An id that equal parts always give again. #}
{% macro hashed_id(parts) -%}
    md5(concat_ws('|', {{ parts | join(', ') }}))
{%- endmacro %}


{# One value that orders rows by instant and tie break: worth computing where several columns are picked by it. #}
{% macro place_of(instant, tie_break) -%}
    create_sort_key({{ instant }}, 'asc nulls last', {{ tie_break }}, 'asc nulls last')
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


{# A text that is there: blanks count as nothing, or all visitors without an id would be one customer. #}
{% macro text_or_null(expression) -%}
    nullif(trim({{ expression }}), '')
{%- endmacro %}


{# The code of a currency, null where it is blank. #}
{% macro currency_code(expression) -%}
    upper({{ text_or_null(expression) }})
{%- endmacro %}
