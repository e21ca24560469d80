{# Seconds within which an event may arrive, see arrival_counts. #}
{% macro arrival_lags() %}
    {{ return([10, 60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000]) }}
{% endmacro %}


{# What is counted of received events. All of it adds up, so that days of files make days of sources. The lags are counts of
   what arrived within so many seconds, from which quantiles can be told whatever is added to what. #}
{% macro arrival_counts(is_bot, has_price) -%}
    count(*) as n_events,
    count(*) filter (where {{ is_bot }}) as n_bot_flagged,
    count(*) filter (where actor_id is null) as n_without_customer,
    count(*) filter (where event_type in {{ item_types() }}) as n_item_events,
    count(*) filter (where event_type in {{ item_types() }} and item_id is not null) as n_with_item,
    count(*) filter (where event_type in {{ item_types() }} and category is not null) as n_with_category,
    count(*) filter (where event_type = 'purchase') as n_purchase_events,
    count(*) filter (where event_type = 'purchase' and {{ has_price }}) as n_with_price,
    count(*) filter (where occurred_at > received_at) as n_ahead,
    {% for seconds in arrival_lags() -%}
        count(*) filter (
            where {{ seconds_between('occurred_at', 'received_at') }} <= {{ seconds }}
        ) as n_within_{{ seconds }}s,
    {% endfor -%}
    max(received_at) as latest_received_at
{%- endmacro %}


{# Names of those counts. #}
{% macro arrival_count_names() %}
    {%- set names = [
        "n_events", "n_bot_flagged", "n_without_customer", "n_item_events", "n_with_item", "n_with_category",
        "n_purchase_events", "n_with_price", "n_ahead",
    ] -%}
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
