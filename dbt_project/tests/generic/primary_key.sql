{# The columns together are never repeated and, unless `nullable`, never null: one query instead of one test a column.
   After an increment only rows that it made are looked at, where `customer` tells whose they are, and `cutoff` of which date. Such
   tables are large: keys are compared where their hashes meet, since hashes are grouped in half of the time. #}
{% test primary_key(model, columns, nullable=false, customer=none, cutoff=none) %}
    {%- set made = [is_touched(customer) if customer else 'true'] %}
    {%- do made.append(cutoff ~ ' in (' ~ date_literals(unbuilt_dates()) ~ ')') if cutoff and unbuilt_dates() %}
    {%- set is_made = '(' ~ made | join(' or ') ~ ')' %}
    {%- set nulls = [] %}
    {%- for column in columns if not nullable %}
        {%- do nulls.append('or ' ~ column ~ ' is null') %}
    {%- endfor %}
    {%- set is_suspect %}
        and (
            {{ hashed_number(columns) }} in (
                select {{ hashed_number(columns) }} from {{ model }}
                where {{ is_made }}
                group by 1
                having count(*) > 1
            )
            {{ nulls | join(' ') }}
        )
    {%- endset %}
    select
        {{ columns | join(', ') }},
        count(*) as n_rows
    from {{ model }}
    where {{ is_made }} {{ is_suspect if customer }}
    group by {{ columns | join(', ') }}
    having count(*) > 1 {{ nulls | join(' ') }}
{% endtest %}
