{# The KPIs, each defined here and nowhere else: tables compute them with `metric`, marts.metrics tells them to the report and
   to analysts, and the test `metrics_agree` computes them anew from the stored columns. They are a macro, since dbt can read
   neither a seed nor its own metrics (which need MetricFlow, and a reader of its API) while it writes a model's SQL.

   unit: count, money (var currency), share (0 to 1), number, seconds. aggregation: how values of several days make one; `sum`
   adds up, `distinct` cannot be added up, `ratio` is the sums of numerator and denominator divided. #}
{% macro metrics() %}
    {{ return({
        "n_events": {
            "label": "Events", "unit": "count", "aggregation": "sum", "good_direction": "up", "owner": "data",
            "description": "Events of people; bots and set-aside purchases left out.",
        },
        "n_sessions": {
            "label": "Sessions", "unit": "count", "aggregation": "sum", "good_direction": "up", "owner": "marketing",
            "description": "Visits begun.",
        },
        "n_engaged_sessions": {
            "label": "Engaged sessions", "unit": "count", "aggregation": "sum", "good_direction": "up", "owner": "marketing",
            "description": "Sessions that lasted, went on to a second product, or reached the cart or an order.",
        },
        "n_customers": {
            "label": "Active customers", "unit": "count", "aggregation": "distinct", "good_direction": "up", "owner": "marketing",
            "description": "Customers with an event.",
        },
        "n_new_customers": {
            "label": "New customers", "unit": "count", "aggregation": "sum", "good_direction": "up", "owner": "marketing",
            "description": "Active customers who had never been seen before.",
        },
        "n_returning_customers": {
            "label": "Returning customers", "unit": "count", "aggregation": "distinct", "good_direction": "up", "owner": "crm",
            "description": "Active customers who had been seen before.",
        },
        "n_orders": {
            "label": "Orders", "unit": "count", "aggregation": "sum", "good_direction": "up", "owner": "sales",
            "description": "Orders placed; test orders left out.",
        },
        "n_buyers": {
            "label": "Buyers", "unit": "count", "aggregation": "distinct", "good_direction": "up", "owner": "sales",
            "description": "Customers with an order.",
        },
        "gross_value": {
            "label": "Gross revenue", "unit": "money", "aggregation": "sum", "good_direction": "up", "owner": "sales",
            "description": "Price x quantity of the goods ordered.",
        },
        "discount_value": {
            "label": "Discounts", "unit": "money", "aggregation": "sum", "good_direction": "down", "owner": "sales",
            "description": "Taken off lines and orders.",
        },
        "refunded_value": {
            "label": "Refunds", "unit": "money", "aggregation": "sum", "good_direction": "down", "owner": "sales",
            "description": "Money given back, on the day of the order that it undoes.",
        },
        "net_value": {
            "label": "Net revenue", "unit": "money", "aggregation": "sum", "good_direction": "up", "owner": "sales",
            "description": "Gross revenue less discounts less refunds.",
        },
        "conversion_rate": {
            "label": "Conversion rate", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "sales",
            "numerator": "n_sessions_with_order", "denominator": "n_sessions",
            "description": "Sessions with an order / sessions.",
        },
        "bounce_rate": {
            "label": "Bounce rate", "unit": "share", "aggregation": "ratio", "good_direction": "down", "owner": "marketing",
            "numerator": "n_bounces", "denominator": "n_sessions",
            "description": "Sessions of a single event / sessions.",
        },
        "engagement_rate": {
            "label": "Engagement rate", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "marketing",
            "numerator": "n_engaged_sessions", "denominator": "n_sessions",
            "description": "Engaged sessions / sessions.",
        },
        "average_session_seconds": {
            "label": "Session duration", "unit": "seconds", "aggregation": "ratio", "good_direction": "up", "owner": "marketing",
            "numerator": "session_seconds", "denominator": "n_sessions",
            "description": "Seconds from the first event of a session to its last, on average.",
        },
        "events_per_session": {
            "label": "Events per session", "unit": "number", "aggregation": "ratio", "good_direction": "up", "owner": "marketing",
            "numerator": "n_session_events", "denominator": "n_sessions",
            "description": "Events of sessions / sessions.",
        },
        "stickiness": {
            "label": "Stickiness", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "crm",
            "numerator": "n_customers", "denominator": "n_customers_28d",
            "description": "Customers active on the day / customers active in the 28 days that end with it.",
        },
        "average_order_value": {
            "label": "Average order value", "unit": "money", "aggregation": "ratio", "good_direction": "up", "owner": "sales",
            "numerator": "net_value", "denominator": "n_orders",
            "description": "Net revenue / orders.",
        },
        "discount_rate": {
            "label": "Discount rate", "unit": "share", "aggregation": "ratio", "good_direction": "down", "owner": "sales",
            "numerator": "discount_value", "denominator": "gross_value",
            "description": "Discounts / gross revenue.",
        },
        "refund_rate": {
            "label": "Refund rate", "unit": "share", "aggregation": "ratio", "good_direction": "down", "owner": "sales",
            "numerator": "refunded_value", "denominator": "gross_value",
            "description": "Refunds / gross revenue.",
        },
        "return_rate": {
            "label": "Return rate", "unit": "share", "aggregation": "ratio", "good_direction": "down", "owner": "sales",
            "numerator": "returned_quantity", "denominator": "quantity",
            "description": "Pieces given back / pieces ordered.",
        },
        "view_to_cart_rate": {
            "label": "View to cart", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "sales",
            "numerator": "n_carts", "denominator": "n_views",
            "description": "Times put into the cart / product views.",
        },
        "cart_to_order_rate": {
            "label": "Cart to order", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "sales",
            "numerator": "n_orders", "denominator": "n_carts",
            "description": "Orders / times put into the cart.",
        },
        "retention_rate": {
            "label": "Retention", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "crm",
            "numerator": "n_active", "denominator": "n_customers",
            "description": "Customers of the cohort who ordered in the month / customers of the cohort.",
        },
        "orders_per_customer": {
            "label": "Orders per customer", "unit": "number", "aggregation": "ratio", "good_direction": "up", "owner": "crm",
            "numerator": "n_orders", "denominator": "n_customers",
            "description": "Orders / customers, those without an order included.",
        },
        "net_value_per_customer": {
            "label": "Net revenue per customer", "unit": "money", "aggregation": "ratio", "good_direction": "up", "owner": "crm",
            "numerator": "net_value", "denominator": "n_customers",
            "description": "Net revenue / customers, those without an order included.",
        },
        "cumulative_value_per_customer": {
            "label": "Cumulative value per customer", "unit": "money", "aggregation": "ratio", "good_direction": "up",
            "owner": "crm",
            "numerator": "cumulative_net_value", "denominator": "n_customers",
            "description": "Net revenue of the cohort since its first order / customers of the cohort.",
        },
        "purchase_probability_mean": {
            "label": "Purchase probability", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "crm",
            "numerator": "n_expected_buyers", "denominator": "n_scored",
            "description": "Mean probability, of those who have a score, that a customer buys within the model's horizon.",
        },
        "bot_rate": {
            "label": "Bot share", "unit": "share", "aggregation": "ratio", "good_direction": "down", "owner": "data",
            "numerator": "n_bot_events", "denominator": "n_events",
            "description": "Events left out as bots / all events received.",
        },
        "rate_rejected": {
            "label": "Rejected share", "unit": "share", "aggregation": "ratio", "good_direction": "down", "owner": "data",
            "numerator": "n_rejects", "denominator": "n_lines",
            "description": "Lines that did not fit / lines that told an event or did not fit.",
        },
        "duplicate_rate": {
            "label": "Duplicate share", "unit": "share", "aggregation": "ratio", "good_direction": "down", "owner": "data",
            "numerator": "n_duplicates", "denominator": "n_lines_read",
            "description": "Lines dropped because they had been loaded before / lines read.",
        },
        "item_rate": {
            "label": "Events with an item", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "data",
            "numerator": "n_with_item", "denominator": "n_item_events",
            "description": "Of the events that are about an item, those that name it.",
        },
        "category_rate": {
            "label": "Events with a category", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "data",
            "numerator": "n_with_category", "denominator": "n_item_events",
            "description": "Of the events that are about an item, those that tell its category themselves.",
        },
        "price_rate": {
            "label": "Purchases with a price", "unit": "share", "aggregation": "ratio", "good_direction": "up", "owner": "data",
            "numerator": "n_with_price", "denominator": "n_purchase_events",
            "description": "Of the purchase lines, those with a price or an amount.",
        },
    }) }}
{% endmacro %}


{# The expression of a KPI: its column where it is counted, its quotient where it is a ratio. Money is rounded to cents. #}
{% macro metric(name) -%}
    {%- set definition = metrics()[name] -%}
    {%- if definition.aggregation != "ratio" -%}
        {{ name }}
    {%- elif definition.unit == "money" -%}
        {{ average(definition.numerator, definition.denominator) }}
    {%- else -%}
        {{ rate(definition.numerator, definition.denominator) }}
    {%- endif -%}
{%- endmacro %}


{# Decimals with which a KPI is written; those of a share are of its per cent. #}
{% macro metric_decimals(unit) -%}
    {{ {"count": 0, "money": 2, "share": 1, "number": 2, "seconds": 0}[unit] }}
{%- endmacro %}


{# Steps of the funnel in their order: name -> the condition on a session of int_session_steps that reached it. #}
{% macro funnel_steps() %}
    {{ return({
        "session": "true",
        "product view": "count_product_views > 0",
        "add to cart": "count_add_to_carts > 0",
        "checkout": "count_begin_checkouts > 0",
        "purchase": "count_orders > 0",
    }) }}
{% endmacro %}


{# What those sessions have, in names of columns. #}
{% macro funnel_nouns() %}
    {{ return({"product view": "view", "add to cart": "cart", "checkout": "checkout", "purchase": "order"}) }}
{% endmacro %}


{# Counts of sessions that add up over channels and devices. #}
{% macro session_measures() %}
    {{ return([
        "n_sessions", "n_engaged_sessions", "n_bounces", "n_sessions_with_order", "n_session_events", "session_seconds",
    ]) }}
{% endmacro %}


{# KPIs that marts.kpi_anomalies watches -> what must be frequent enough for them to mean anything, and the least spread that
   matters: one crawl or one broken line more is nothing to act on, however rare it is. #}
{% macro watched_metrics() %}
    {{ return({
        "kpis": {
            "n_events": {"base": "n_events", "least": 0},
            "n_sessions": {"base": "n_sessions", "least": 0},
            "conversion_rate": {"base": "n_sessions", "least": 0},
            "n_orders": {"base": "n_orders", "least": 0},
            "net_value": {"base": "n_orders", "least": 0},
        },
        "quality": {
            "bot_rate": {"base": "n_events", "least": 0.01},
            "rate_rejected": {"base": "n_lines", "least": 0.005},
        },
    }) }}
{% endmacro %}
