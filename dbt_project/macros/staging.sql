{# The trackers' events as staging tells them, of those records for which a condition on raw columns holds: in a view that is filtered
   DuckDB would make every column of every record first. #}
{% macro staged_events(condition='true') -%}
    select
        event_id,
        source,
        event_type,
        occurred_at,
        received_at,
        {{ text_or_null('anonymous_id') }} as anonymous_id,
        {{ text_or_null('user_id') }} as user_id,
        {{ identifier_of() }} as identifier,
        coalesce({{ text_or_null('anonymous_id') }}, {{ identifier_of(has_device=false) }}) as actor_id,
        {{ text_or_null('item_id') }} as item_id,
        {{ text_or_null('title') }} as title,
        {{ text_or_null('category') }} as category,
        {{ text_or_null('brand') }} as brand,
        price,
        coalesce(quantity, 1) as quantity,
        coalesce(discount, 0) as discount,
        {{ currency_code('currency') }} as currency,
        {{ text_or_null('order_id') }} as order_id,
        order_discount,
        order_tax,
        order_shipping,
        search_query,
        url_path,
        channel,
        campaign,
        device,
        country,
        region,
        consent_flags,
        {{ scroll_depth_pct('properties') }} as scroll_depth_pct,
        is_bot,
        bot_rule,
        file_id
    from {{ source('raw', 'events') }}
    where
        occurred_at < {{ as_of() }}
        and received_at <= {{ as_of() }}
        and {{ condition }}
{%- endmacro %}
