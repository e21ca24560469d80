{# The columns together are never repeated and, unless `nullable`, never null: one query instead of one test a column.
   After an increment only rows that it made are looked at, where `customer` names the column that tells whose they are. #}
{% test primary_key(model, columns, nullable=false, customer=none) %}
    {%- set is_made = is_touched(customer) if customer else 'true' %}
    select
        {{ columns | join(', ') }},
        count(*) as n_rows
    from {{ model }}
    where {{ is_made }}
    group by {{ columns | join(', ') }}
    having
        count(*) > 1
        {% if not nullable %}
            {% for column in columns %}
                or {{ column }} is null
            {% endfor %}
        {% endif %}
{% endtest %}
