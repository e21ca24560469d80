{# The columns together are never repeated and, unless `nullable`, never null: one query instead of one test a column.
   After an increment only rows that it made are looked at, where `customer` tells whose they are, and `cutoff` of which date. Such
   tables are large: keys are compared where their hashes meet, since hashes are grouped in half of the time. #}
{% test primary_key(model, columns, nullable=false, customer=none, cutoff=none) %}
    {%- set new_dates = cutoff ~ ' in (' ~ date_literals(unbuilt_dates()) ~ ')' if cutoff and unbuilt_dates() else 'false' %}
    {%- set is_made = '(' ~ is_touched(customer) ~ ' or ' ~ new_dates ~ ')' if customer else 'true' %}
    select
        {{ columns | join(', ') }},
        count(*) as n_rows
    from {{ model }}
    where
        {{ is_made }}
        {% if customer %}
            and (
                {{ hashed_number(columns) }} in (
                    select {{ hashed_number(columns) }} from {{ model }}
                    where {{ is_made }}
                    group by 1
                    having count(*) > 1
                )
                {% if not nullable %}
                    {% for column in columns %}
                        or {{ column }} is null
                    {% endfor %}
                {% endif %}
            )
        {% endif %}
    group by {{ columns | join(', ') }}
    having
        count(*) > 1
        {% if not nullable %}
            {% for column in columns %}
                or {{ column }} is null
            {% endfor %}
        {% endif %}
{% endtest %}
