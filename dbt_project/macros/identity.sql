{# By which of its identifiers a record is somebody's: the surest that it tells. Of an address that many share (`g_`) it is nobody's. #}
{% macro identifier_of(relation=none, has_contact=true, has_device=true) -%}
    {%- set of = relation ~ '.' if relation else '' -%}
    coalesce(
        {{ text_or_null(of ~ 'user_id') }}
        {%- if has_contact %},
        case when not starts_with({{ of }}email, 'g_') then {{ of }}email end,
        {{ of }}phone
        {%- endif %}
        {%- if has_device %},
        {{ text_or_null(of ~ 'anonymous_id') }}
        {%- endif %}
    )
{%- endmacro %}
