{# Seconds within which an event may arrive, see arrivals. #}
{% macro arrival_lags() %}
    {{ return([10, 60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000]) }}
{% endmacro %}


{# What is counted of events as they arrived: name -> the condition on an event. `has_price` depends on who tells of it. #}
{% macro arrival_counts(is_bot, has_price) %}
    {{ return({
        "n_events": "true",
        "n_bot_flagged": is_bot,
        "n_without_customer": "actor_id is null",
        "n_item_events": "event_type in " ~ item_types(),
        "n_with_item": "event_type in " ~ item_types() ~ " and item_id is not null",
        "n_with_category": "event_type in " ~ item_types() ~ " and category is not null",
        "n_purchase_events": "event_type = 'purchase'",
        "n_with_price": "event_type = 'purchase' and " ~ has_price,
        "n_ahead": "occurred_at > received_at",
    }) }}
{% endmacro %}


{# One row per file, source and day of receipt of `relation`. All of it adds up, so that days of files make days of sources:
   the lags are counts of what arrived within so many seconds, from which quantiles can be told whatever is added to what. #}
{% macro arrivals(relation, is_bot, has_price) -%}
    {%- set counts = arrival_counts(is_bot, has_price) -%}
    select
        file_id,
        source,
        day,
        {% for name in counts -%}
            cast(sum({{ name }}) as bigint) as {{ name }},
        {% endfor -%}
        {% for seconds in arrival_lags() -%}
            cast(coalesce(sum(n_events) filter (where lag_limit <= {{ seconds }}), 0) as bigint) as n_within_{{ seconds }}s,
        {% endfor -%}
        max(latest_received_at) as latest_received_at
    from (
        select
            file_id,
            source,
            {{ utc_date('received_at') }} as day,
            case
                {% for seconds in arrival_lags() -%}
                    when {{ elapsed_microseconds('occurred_at', 'received_at') }} <= {{ seconds * 1000000 }} then {{ seconds }}
                {% endfor -%}
            end as lag_limit,
            {% for name, condition in counts.items() -%}
                count(*) filter (where {{ condition }}) as {{ name }},
            {% endfor -%}
            max(received_at) as latest_received_at
        from {{ relation }}
        group by 1, 2, 3, 4
    ) as by_lag
    group by file_id, source, day
{%- endmacro %}


{# Names of the counts that it gives. #}
{% macro arrival_count_names() %}
    {%- set names = arrival_counts("", "") | list -%}
    {%- for seconds in arrival_lags() -%}{%- do names.append("n_within_" ~ seconds ~ "s") -%}{%- endfor -%}
    {{ return(names) }}
{% endmacro %}


{# Seconds within which that share of the events arrived, the least of the limits above; null beyond the last of them. #}
{% macro arrived_within(share) -%}
    case
        {% for seconds in arrival_lags() -%}
            when n_within_{{ seconds }}s >= {{ share }} * n_events then {{ seconds }}
        {% endfor -%}
    end
{%- endmacro %}
