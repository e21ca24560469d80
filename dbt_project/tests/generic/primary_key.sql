{# The columns together are never repeated and, unless `nullable`, never null: one query instead of one test a column. #}
{% test primary_key(model, columns, nullable=false) %}
    select
        {{ columns | join(', ') }},
        count(*) as n_rows
    from {{ model }}
    group by {{ columns | join(', ') }}
    having
        count(*) > 1
        {% if not nullable %}
            {% for column in columns %}
                or {{ column }} is null
            {% endfor %}
        {% endif %}
{% endtest %}
