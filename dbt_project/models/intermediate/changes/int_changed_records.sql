{# Of what a source told since the last build: rows that came or went, and rows that were there and lay in its
   future. #}
{% set columns = {
    "events": "file_id, anonymous_id, user_id, email, phone, order_id",
    "orders": "file_id, null as anonymous_id, user_id, email, phone, order_id",
    "messages": "file_id, anonymous_id, user_id, email, phone, null as order_id",
    "feedback": "file_id, anonymous_id, user_id, null as email, null as phone, null as order_id",
    "profiles": "file_id, null as anonymous_id, user_id, email, phone, null as order_id",
} %}
{% set happened_at = {
    "events": "occurred_at",
    "orders": "ordered_at",
    "messages": "occurred_at",
    "feedback": "occurred_at",
    "profiles": "updated_at",
} %}

with records as (
    {% for entity in columns -%}
        {% if is_increment() -%}
            select
                '{{ entity }}' as entity,
                *
            from ({{ changed_rows('raw', entity, columns[entity]) }})
            union all
            select
                '{{ entity }}' as entity,
                {{ columns[entity] }}
            from {{ source('raw', entity) }}
            where received_at > {{ since_as_of() }}
            union all
        {%- endif %}
        select
            '{{ entity }}' as entity,
            {{ columns[entity] }}
        from {{ source('raw', entity) }}
        where {{ happened_at[entity] ~ ' >= ' ~ since_as_of() if is_increment() else 'false' }}
        {{ "union all" if not loop.last }}
    {% endfor %}
),

final as (
    select distinct
        entity,
        file_id,
        coalesce({{ text_or_null('anonymous_id') }}, {{ identifier_of(has_device=false) }}) as actor_id,
        {{ identifier_of() }} as identifier,
        {{ text_or_null('order_id') }} as order_id
    from records
)

select * from final
