{# An id that equal parts always give again. #}
{% macro hashed_id(parts) -%}
    md5(concat_ws('|', {{ parts | join(', ') }}))
{%- endmacro %}


{# The value (not null) of the earliest row; `tie_break` decides between rows of one instant. #}
{% macro first_by(value, instant, tie_break) -%}
    arg_min({{ value }}, row({{ instant }}, {{ tie_break }})) filter (where {{ value }} is not null)
{%- endmacro %}


{# The value (not null) of the latest row. #}
{% macro last_by(value, instant, tie_break) -%}
    arg_max({{ value }}, row({{ instant }}, {{ tie_break }})) filter (where {{ value }} is not null)
{%- endmacro %}


{# Several columns of the earliest row that has `needed`, as one struct: they belong together. #}
{% macro first_row_by(columns, needed, instant, tie_break) -%}
    arg_min({{ struct_of(columns) }}, row({{ instant }}, {{ tie_break }})) filter (where {{ needed }} is not null)
{%- endmacro %}


{# The same of the latest row. #}
{% macro last_row_by(columns, needed, instant, tie_break) -%}
    arg_max({{ struct_of(columns) }}, row({{ instant }}, {{ tie_break }})) filter (where {{ needed }} is not null)
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
