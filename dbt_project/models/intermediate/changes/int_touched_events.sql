{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_all() }}") }}

{% set actor_id %}
    coalesce({{ text_or_null('anonymous_id') }}, {{ identifier_of(has_device=false) }})
{% endset %}
{% set is_read = is_touched(actor_key(actor_id, text_or_null('order_id'))) %}

with events as (
    {{ staged_events(is_read if is_increment() else 'false') }}
)

select * from events
