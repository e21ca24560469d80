{# Events that happen to a customer elsewhere than in the shop: they belong to no session. #}
{% macro outside_session_types() -%}
    ('email_open', 'email_click', 'push_open', 'refund')
{%- endmacro %}


{# What one request may log many times over, so it says nothing about speed. #}
{% macro unpaced_types() -%}
    ('purchase', 'refund', 'email_open', 'email_click', 'push_open', 'recommendation_impression')
{%- endmacro %}


{# Events that show a page. #}
{% macro view_types() -%}
    ('page_view', 'product_view', 'list_view')
{%- endmacro %}


{# Events that are about an item. #}
{% macro item_types() -%}
    ('product_view', 'add_to_cart', 'remove_from_cart', 'add_to_wishlist', 'purchase')
{%- endmacro %}


{# The rules of int_bots that condemn a whole actor, the surest first. #}
{% macro bot_rules() -%}
    {{ return(["events_per_minute", "events_per_hour", "views_without_pause", "constant_pace"]) }}
{%- endmacro %}


{# Why a tracked purchase or refund does not count, see int_set_aside_events. #}
{% macro set_aside_rules() -%}
    {{ return(["told_by_shop", "double_firing", "repeated_order"]) }}
{%- endmacro %}


{# Events that show interest in an item. #}
{% macro interest_types() -%}
    ('product_view', 'add_to_wishlist', 'add_to_cart', 'purchase')
{%- endmacro %}


{# The windows, in days, of the counts in features.customer_features. #}
{% macro window_days() -%}
    {{ return([1, 7, 14, 30, 90, 365]) }}
{%- endmacro %}


{# Name of a count in the features -> event type that it counts. #}
{% macro counted_types() -%}
    {{ return({
        "count_page_views": "page_view",
        "count_product_views": "product_view",
        "count_list_views": "list_view",
        "count_searches": "search",
        "count_add_to_carts": "add_to_cart",
        "count_remove_from_carts": "remove_from_cart",
        "count_wishlists": "add_to_wishlist",
        "count_checkouts": "begin_checkout",
        "count_recommendation_impressions": "recommendation_impression",
        "count_recommendation_clicks": "recommendation_click",
        "count_email_opens": "email_open",
        "count_email_clicks": "email_click",
        "count_push_opens": "push_open",
        "count_reviews": "review",
    }) }}
{%- endmacro %}


{# What a profile tells of a customer -> its type. #}
{% macro profile_attributes() -%}
    {{ return({
        "country": "varchar",
        "region": "varchar",
        "birth_year": "integer",
        "gender": "varchar",
        "loyalty_tier": "varchar",
        "signed_up_at": "timestamp with time zone",
    }) }}
{%- endmacro %}


{# Name of a count of an interest -> event type that it counts; they are interest_types. #}
{% macro counted_interests() -%}
    {{ return({
        "count_product_views": "product_view",
        "count_wishlists": "add_to_wishlist",
        "count_add_to_carts": "add_to_cart",
        "count_purchases": "purchase",
    }) }}
{%- endmacro %}


{# The columns of core.customers whose changes core.customer_history keeps. #}
{% macro history_columns() -%}
    {{ return([
        "country",
        "region",
        "loyalty_tier",
        "is_registered",
        "lifecycle_stage",
        "has_marketing_consent",
        "archetype",
    ]) }}
{%- endmacro %}


{# What the engagement score may be made of: columns of the features without their window. #}
{% macro engagement_features() -%}
    {{ return([
        "count_active_days",
        "count_sessions",
        "session_seconds",
        "count_page_views",
        "count_product_views",
        "count_list_views",
        "count_searches",
        "count_add_to_carts",
        "count_wishlists",
        "count_checkouts",
        "count_orders",
        "value",
        "count_recommendation_clicks",
        "count_email_opens",
        "count_email_clicks",
        "count_push_opens",
        "count_reviews",
    ]) }}
{%- endmacro %}


{# Parts of a day in local time -> the hour at which each ends. #}
{% macro day_parts() -%}
    {{ return({"night": 6, "morning": 12, "afternoon": 18, "evening": 24}) }}
{%- endmacro %}


{# How far down a page was scrolled, in percent, as an event's properties tell it under one of these keys; else null. #}
{% macro scroll_depth_pct(properties) -%}
    {%- set told = "json_extract_string(" ~ properties ~ ", '$.percent_scrolled'), json_extract_string(" ~ properties ~ ", '$.scroll_depth')" -%}
    {%- set depth = "try_cast(coalesce(" ~ told ~ ") as decimal(9, 3))" -%}
    case
        -- Most events tell none, and their properties need not be parsed.
        when not contains(cast({{ properties }} as varchar), 'scroll') then null
        when {{ depth }} < 0 then 0
        when {{ depth }} > 100 then 100
        else {{ depth }}
    end
{%- endmacro %}


{# Dimension of RFM -> the number that is scored. #}
{% macro rfm_values() -%}
    {{ return({"recency": "days_since_last_order", "frequency": "count_orders", "monetary": "total_value"}) }}
{%- endmacro %}


{# How far somebody has come, from step 0 on. #}
{% macro funnel_positions() -%}
    {{ return(["none", "visit", "view", "cart", "checkout", "purchase"]) }}
{%- endmacro %}


{# The furthest step of funnel_positions in the last 30 days, of a row of int_customer_windows. #}
{% macro funnel_step() -%}
    case
        when windows.count_orders_30d > 0 then 5
        when windows.count_checkouts_30d > 0 then 4
        when windows.count_add_to_carts_30d > 0 then 3
        when windows.count_product_views_30d > 0 then 2
        when windows.count_active_days_30d > 0 then 1
        else 0
    end
{%- endmacro %}
