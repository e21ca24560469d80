"""The REES46 layout: `event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session`.

One row an event, quantity always one, no order ids. The dotted `category_code` is empty for a third of the rows, which then
keep the numeric `category_id` (19 digits, so never a float).
"""

from jobs.sources.mapping import Mapping

MAPPING = Mapping(
    file_type="csv",
    columns={
        "occurred_at": "event_time",
        "event_type": "event_type",
        "item_id": "product_id",
        "category": ("category_code", "category_id"),
        "brand": "brand",
        "price": "price",
        "user_id": "user_id",
        "session_id": "user_session",
    },
    constants={"currency": "USD"},
    event_names={
        "view": "product_view",
        "cart": "add_to_cart",
        "remove_from_cart": "remove_from_cart",
        "purchase": "purchase",
    },
)
