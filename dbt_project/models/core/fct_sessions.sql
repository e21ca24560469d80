{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ forget_touched('customer_id') }}",
    alias='sessions',
    on_schema_change='append_new_columns',
) }}

{% set viewed = "event_type in " ~ view_types() %}

with events as (
    select
        *,
        {{ place_of('occurred_at', 'event_id') }} as place
    from {{ ref('int_events') }}
    where session_id is not null and {{ is_made_now() }} and {{ in_slice('customer_id') }}
),

orders as (
    select
        session_id,
        count(*) as count_orders,
        sum(net_value) as net_value
    from {{ ref('int_orders') }}
    where session_id is not null and {{ is_made_now() }}
    group by session_id
),

sessions as (
    select
        session_id,
        customer_id,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as count_events,
        {% for name, event_type in session_counts().items() -%}
            count(*) filter (where event_type = '{{ event_type }}') as {{ name }},
        {% endfor -%}
        {{ count_different('coalesce(url_path, item_id)', viewed) }} as depth,
        {{ count_different('item_id', "event_type = 'product_view'") }} as count_items_viewed,
        {{ first_by('event_type', 'place') }} as entry_event_type,
        {{ last_by('event_type', 'place') }} as exit_event_type,
        {{ first_by('url_path', 'place') }} as entry_path,
        {{ last_by('url_path', 'place') }} as exit_path,
        {{ first_by('channel', 'place') }} as channel,
        {{ first_by('campaign', 'place') }} as campaign,
        {{ first_by('device', 'place') }} as device,
        {{ first_by('country', 'place') }} as country
    from events
    group by session_id, customer_id
),

measured as (
    select
        sessions.*,
        {{ seconds_between('sessions.started_at', 'sessions.ended_at') }} as duration_seconds,
        coalesce(orders.count_orders, 0) as count_orders,
        {{ total('orders.net_value') }} as net_value,
        row_number() over (
            partition by sessions.customer_id order by sessions.started_at, sessions.session_id
        ) as session_number,
        {{ monster_reason('sessions.count_events', 'sessions.started_at', 'sessions.ended_at') }} as monster_reason
    from sessions
    left join orders on sessions.session_id = orders.session_id
),

final as (
    select
        session_id,
        customer_id,
        session_number,
        started_at,
        ended_at,
        duration_seconds,
        count_events,
        {% for name in session_counts() -%}
            {{ name }},
        {% endfor -%}
        count_items_viewed,
        depth,
        count_orders,
        net_value,
        entry_event_type,
        exit_event_type,
        entry_path,
        exit_path,
        channel,
        campaign,
        device,
        country,
        session_number = 1 as is_new_customer,
        count_events = 1 as is_bounce,
        -- A page that is logged both as a page and as a product is one.
        duration_seconds >= {{ var('engaged_seconds') }}
        or greatest(count_page_views, count_product_views, depth) >= 2
        or count_orders > 0 as is_engaged,
        monster_reason is not null as is_monster,
        monster_reason
    from measured
)

select * from final
