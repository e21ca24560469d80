{# Whether the pause between two instants, and the calendar where it counts, leave them in one session. #}
{% macro may_share_session(earlier, later) -%}
    not {{ is_longer_apart(earlier, later, 60 * (var('inactivity_minutes') | int(1))) }}
    {%- if var('new_session_at_midnight') %} and {{ local_date(later) }} = {{ local_date(earlier) }}{% endif -%}
{%- endmacro %}


{# The events of `resolved` that sessions are made of, with is_start of those that start one. #}
{% macro session_starts(resolved) -%}
    {%- set visit_order = 'partition by customer_id order by occurred_at, event_id' -%}
    {%- set up_to_here = 'rows between unbounded preceding and current row' -%}
    {%- if not var('new_session_on_campaign') -%}
        select
            event_id,
            customer_id,
            occurred_at,
            not coalesce({{ may_share_session('lag(occurred_at) over (' ~ visit_order ~ ')', 'occurred_at') }}, false) as is_start
        from {{ resolved }}
        where opens_session
    {%- else -%}
        with visits as (
            select
                event_id,
                customer_id,
                occurred_at,
                -- An order that the shop tells of has a campaign as well, and is no arrival.
                case when entity = 'events' and campaign is not null then concat_ws('|', campaign, channel) end as arrival,
                not coalesce({{ may_share_session('lag(occurred_at) over (' ~ visit_order ~ ')', 'occurred_at') }}, false)
                    as is_visit_start
            from {{ resolved }}
            where opens_session
        ),

        numbered as (
            select
                *,
                count(*) filter (where is_visit_start) over ({{ visit_order }} {{ up_to_here }}) as visit
            from visits
        )

        -- Who goes on without telling a campaign still comes by the last one of the visit.
        select
            event_id,
            customer_id,
            occurred_at,
            is_visit_start or coalesce(
                arrival != coalesce(
                    last_value(arrival ignore nulls) over (
                        partition by customer_id, visit order by occurred_at, event_id
                        rows between unbounded preceding and 1 preceding
                    ),
                    ''
                ),
                false
            ) as is_start
        from numbered
    {%- endif -%}
{%- endmacro %}


{# Name of a count in core.sessions -> event type that it counts. #}
{% macro session_counts() -%}
    {{ return({
        "count_page_views": "page_view",
        "count_product_views": "product_view",
        "count_searches": "search",
        "count_add_to_carts": "add_to_cart",
        "count_begin_checkouts": "begin_checkout",
    }) }}
{%- endmacro %}


{# Why a session is no visit of a person; null where it is one. #}
{% macro monster_reason(count_events, started_at, ended_at) -%}
    case
        when {{ count_events }} > {{ var('max_session_events') }} then 'too_many_events'
        when
            {{ seconds_between(started_at, ended_at) }} > {{ var('max_session_hours') }} * 3600
            then 'too_long'
    end
{%- endmacro %}
