{# The columns together are never repeated and, unless `nullable`, never null: one query instead of one test a column.
   Keys are compared where their hashes meet, since hashes are grouped in half of the time. Of a table an increment looks
   at what it has made; of a view at nothing where that has been tested in the tables that it is made of
   (`in_increments`). #}
{% test primary_key(model, columns, nullable=false, in_increments=true) %}
    {%- set nulls = [] %}
    {%- for column in columns if not nullable %}
        {%- do nulls.append('or ' ~ column ~ ' is null') %}
    {%- endfor %}
    select
        {{ columns | join(', ') }},
        count(*) as n_rows
    from {{ model }}
    where
        {{ 'true' if in_increments or not is_increment() else 'false' }}
        and (
            {{ hashed_number(columns) }} in (
                select {{ hashed_number(columns) }} from {{ model }}
                group by 1
                having count(*) > 1
            )
            {{ nulls | join(' ') }}
        )
    group by {{ columns | join(', ') }}
    having count(*) > 1 {{ nulls | join(' ') }}
{% endtest %}
