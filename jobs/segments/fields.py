"""The names that a rule may use: event types, subjects, filters, features and attributes.

Everything that reaches the text of a query is looked up here; whatever else a person writes is a bound parameter.
"""

from dataclasses import dataclass
from typing import Literal, get_args

EventType = Literal[
    "page_view",
    "product_view",
    "list_view",
    "search",
    "add_to_cart",
    "remove_from_cart",
    "add_to_wishlist",
    "begin_checkout",
    "purchase",
    "refund",
    "review",
    "recommendation_impression",
    "recommendation_click",
    "recommendation_dismiss",
    "email_open",
    "email_click",
    "push_open",
    "login",
    "identify",
    "custom",
]
EVENT_TYPES: tuple[str, ...] = get_args(EventType)

EVENT_WORDS: dict[str, tuple[str, str]] = {
    "page_view": ("page view", "page views"),
    "product_view": ("product view", "product views"),
    "list_view": ("list view", "list views"),
    "search": ("search", "searches"),
    "add_to_cart": ("addition to cart", "additions to cart"),
    "remove_from_cart": ("removal from cart", "removals from cart"),
    "add_to_wishlist": ("addition to wishlist", "additions to wishlist"),
    "begin_checkout": ("checkout", "checkouts"),
    "purchase": ("purchase", "purchases"),
    "refund": ("refund", "refunds"),
    "review": ("review", "reviews"),
    "recommendation_impression": ("recommendation shown", "recommendations shown"),
    "recommendation_click": ("recommendation click", "recommendation clicks"),
    "recommendation_dismiss": ("recommendation dismissed", "recommendations dismissed"),
    "email_open": ("email open", "email opens"),
    "email_click": ("email click", "email clicks"),
    "push_open": ("push open", "push opens"),
    "login": ("login", "logins"),
    "identify": ("identification", "identifications"),
    "custom": ("custom event", "custom events"),
}


@dataclass(frozen=True)
class Subject:
    """What events are gathered by (`same`) or counted in (`distinct`).

    Attributes:
        expression: SQL over a row of the events.
        preposition: "product views *in* 3 different sessions".
        singular: its word for one.
        plural: its word for more.
    """

    expression: str
    preposition: str
    singular: str
    plural: str


Same = Literal["item", "category", "brand", "session"]
Distinct = Literal["item", "category", "brand", "session", "order", "day"]
SUBJECTS: dict[str, Subject] = {
    "item": Subject("item_id", "of", "item", "items"),
    "category": Subject("category", "of", "category", "categories"),
    "brand": Subject("brand", "of", "brand", "brands"),
    "session": Subject("session_id", "in", "session", "sessions"),
    "order": Subject("order_id", "in", "order", "orders"),
    # Days are UTC days whatever the connection's time zone, like every date in the lake.
    "day": Subject("CAST(occurred_at AT TIME ZONE 'UTC' AS DATE)", "on", "day", "days"),
}

Measure = Literal["value", "quantity", "price"]

# A rule's filter -> the column of features.customer_events that it reads.
FILTER_COLUMNS: dict[str, str] = {
    "item": "item_id",
    "category": "category",
    "brand": "brand",
    "channel": "channel",
    "campaign": "campaign",
    "device": "device",
    "country": "country",
    "region": "region",
}
FILTER_BOUNDS: dict[str, tuple[str, str, str]] = {
    "min_price": ("price", ">=", "price from"),
    "max_price": ("price", "<=", "price up to"),
    "min_value": ("value", ">=", "value from"),
    "max_value": ("value", "<=", "value up to"),
}

Kind = Literal["number", "text", "boolean"]

_WINDOWS_DAYS = (1, 7, 14, 30, 90, 365)  # the windows of features.customer_features
_WINDOWED = (
    "count_sessions",
    "session_seconds",
    "count_active_days",
    "count_events",
    "count_page_views",
    "count_product_views",
    "count_list_views",
    "count_searches",
    "count_add_to_carts",
    "count_remove_from_carts",
    "count_wishlists",
    "count_checkouts",
    "count_recommendation_impressions",
    "count_recommendation_clicks",
    "count_email_opens",
    "count_email_clicks",
    "count_push_opens",
    "count_reviews",
    "count_orders",
    "value",
)
_NUMBERS = (
    "days_since_first_seen",
    "days_since_last_seen",
    "count_orders",
    "gross_value",
    "total_value",
    "average_order_value",
    "days_since_first_order",
    "days_since_last_order",
    "mean_days_between_orders",
    "stddev_days_between_orders",
    "days_overdue",
    "overdue_ratio",
    "refund_rate",
    "refunded_quantity_rate",
    "discount_share",
    *(f"{stem}_{days}d" for days in _WINDOWS_DAYS for stem in _WINDOWED),
    "session_seconds_mean_90d",
    "bounce_rate_90d",
    "cart_to_view_rate_90d",
    "order_to_session_rate_90d",
    "list_to_view_rate_90d",
    "recommendation_click_rate_90d",
    "scroll_depth_mean_pct_90d",
    "average_viewed_price_90d",
    "luxury_share_90d",
    "budget_share_90d",
    "count_categories_90d",
    "top_category_share_90d",
    "top_category_affinity",
    "top_brand_affinity",
    "top_price_tier_affinity",
    "view_seconds_30d",
    "top_category_by_time_seconds_30d",
    "top_category_by_time_share_30d",
    "count_open_cart_items",
    "open_cart_value",
    "open_cart_age_days",
    "count_abandoned_carts_90d",
    "funnel_step",
    "email_click_to_open_rate_90d",
    "days_since_last_email_open",
    "events_slope_30d",
    "events_ratio_30d",
    "engagement_score",
    "night_share_90d",
    "morning_share_90d",
    "afternoon_share_90d",
    "evening_share_90d",
    "weekend_share_90d",
    "top_weekday_90d",
    "top_device_share_90d",
    "top_channel_share_90d",
    "recency_score",
    "frequency_score",
    "monetary_score",
)
_TEXTS = (
    "top_category_90d",
    "top_brand_90d",
    "top_category",
    "top_brand",
    "top_price_tier",
    "top_category_by_time_30d",
    "funnel_position",
    "top_device_90d",
    "top_country_90d",
    "top_region_90d",
    "top_channel_90d",
    "rfm_segment",
)
FEATURES: dict[str, Kind] = {
    **dict.fromkeys(_NUMBERS, "number"),
    "is_registered": "boolean",
    **dict.fromkeys(_TEXTS, "text"),
}
ATTRIBUTES: dict[str, Kind] = {
    "is_registered": "boolean",
    "has_marketing_consent": "boolean",
    "country": "text",
    "region": "text",
    "gender": "text",
    "loyalty_tier": "text",
    "lifecycle_stage": "text",
    "first_channel": "text",
    "last_device": "text",
    "birth_year": "number",
    "count_sessions": "number",
    "count_orders": "number",
    "net_value": "number",
}
