{# The columns hold what macros/metrics.sql says: each KPI is computed anew from the stored columns of its formula. #}
{% test metrics_agree(model, metrics) %}
    {% for name in metrics %}
        select
            '{{ name }}' as metric,
            {{ name }} as stored,
            {{ metric(name) }} as defined
        from {{ model }}
        where {{ name }} is distinct from {{ metric(name) }}
        {{ "union all" if not loop.last }}
    {% endfor %}
{% endtest %}
