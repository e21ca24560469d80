"""The REES46 layout: `event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session`.

One row an event, quantity always one, no order ids. The dotted `category_code` is empty for a third of the rows, which then
keep the numeric `category_id` (19 digits, so never a float).
"""

from jobs.sources.layout import Layout, Part

_HEADER = (
    "event_time",
    "event_type",
    "product_id",
    "category_id",
    "category_code",
    "brand",
    "price",
    "user_id",
    "user_session",
)


def make_layout() -> Layout:
    """Events of the published files and of shops that log alike; more columns do no harm."""
    return Layout(
        file_type="csv",
        fields={name: name for name in _HEADER},
        parts=(
            Part(
                entity="events",
                columns={
                    "occurred_at": "event_time",
                    "event_type": "event_type",
                    "item_id": "product_id",
                    "category": "coalesce(category_code, category_id)",
                    "brand": "brand",
                    "price": "price",
                    "currency": "'USD'",
                    "user_id": "user_id",
                    "session_id": "user_session",
                },
                event_names={
                    "view": "product_view",
                    "cart": "add_to_cart",
                    "remove_from_cart": "remove_from_cart",
                    "purchase": "purchase",
                },
            ),
        ),
    )


def recognises(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """True for a file whose header has the columns of this layout.

    Args:
        name: of the file.
        head: its first lines (text), or its columns and their types (Parquet).
    """
    if isinstance(head, dict) or not head:
        return False
    return set(_HEADER) <= {column.strip() for column in head[0].split(",")}
