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
    {{ return([7, 30, 90, 365]) }}
{%- endmacro %}


{# Name of a count in the features -> event type that it counts. #}
{% macro counted_types() -%}
    {{ return({
        "count_product_views": "product_view",
        "count_list_views": "list_view",
        "count_searches": "search",
        "count_add_to_carts": "add_to_cart",
        "count_wishlists": "add_to_wishlist",
        "count_email_opens": "email_open",
        "count_email_clicks": "email_click",
    }) }}
{%- endmacro %}
