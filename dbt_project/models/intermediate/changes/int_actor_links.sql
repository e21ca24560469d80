{# Pairs are added and never taken away: one too many makes an increment do more than it must, one too few would be
   wrong. #}
{{ config(materialized='incremental', incremental_strategy='append') }}

with changed as (
    select * from {{ ref('int_changed_records') }}
),

told as (
    {% if is_increment() -%}
        select
            {{ actor_key('actor_id') }} as actor_key,
            identifier,
            order_id
        from changed
    {%- else -%}
        {% for model in ['stg_events', 'stg_orders', 'stg_messages', 'stg_feedback'] -%}
            {%- set has_orders = model in ('stg_events', 'stg_orders') -%}
            {%- set actor = 'identifier' if model == 'stg_orders' else 'coalesce(anonymous_id, identifier)' -%}
            {%- set order_id = 'order_id' if has_orders else 'cast(null as varchar)' %}
            select
                {{ actor_key(actor, order_id) }} as actor_key,
                identifier,
                {{ order_id }} as order_id
            from {{ ref(model) }}
            where identifier != {{ actor }} {{ 'or order_id is not null' if has_orders }}
            {{ "union all" if not loop.last }}
        {% endfor -%}
    {%- endif %}
),

pairs as (
    select
        actor_key,
        identifier as linked_key
    from told
    where identifier != actor_key
    union
    select
        actor_key,
        {{ order_key('order_id') }} as linked_key
    from told
    where order_id is not null and actor_key != {{ order_key('order_id') }}
    union
    select
        identifier as actor_key,
        {{ order_key('order_id') }} as linked_key
    from told
    where order_id is not null and identifier != actor_key
),

final as (
    select * from pairs
    {% if is_increment() -%}
        anti join {{ this }} as known
            on pairs.actor_key = known.actor_key and pairs.linked_key = known.linked_key
    {%- endif %}
)

select * from final
