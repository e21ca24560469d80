"""The RetailRocket layout: events, properties of items, and the category tree; times in milliseconds since the epoch (UTC).

- `events.csv`: `timestamp,visitorid,event,itemid[,transactionid]`. Visitors are never identified, and there are no prices;
  published extracts often lack `transactionid`.
- `item_properties_part1.csv`, `_part2.csv`: `timestamp,itemid,property,value`, one row a value and week. Property names and
  values are hashed but for `categoryid` and `available`; `790` is known to be the price.
- `category_tree.csv`: `categoryid,parentid`, a root without a parent.
"""

from jobs.sources.layout import Layout, Part

_EVENTS = frozenset({"timestamp", "visitorid", "event", "itemid"})
_ITEM_PROPERTIES = frozenset({"timestamp", "itemid", "property", "value"})
_CATEGORY_TREE = frozenset({"categoryid", "parentid"})
# The others are millions of hashes that nobody can read.
_READABLE = {"categoryid": "category", "available": "is_in_stock", "790": "price"}


def make_events_layout() -> Layout:
    """`events.csv`."""
    return Layout(
        file_type="csv",
        time_format="epoch_ms",
        fields={
            "timestamp": "timestamp",
            "visitorid": "visitorid",
            "event": "event",
            "itemid": "itemid",
            "transactionid": "transactionid",
        },
        optional=frozenset({"transactionid"}),
        parts=(
            Part(
                entity="events",
                columns={
                    "occurred_at": '"timestamp"',
                    "anonymous_id": "visitorid",
                    "event_type": "event",
                    "item_id": "itemid",
                    "order_id": "transactionid",
                },
                event_names={
                    "view": "product_view",
                    "addtocart": "add_to_cart",
                    "transaction": "purchase",
                },
            ),
        ),
    )


def make_item_properties_layout() -> Layout:
    """`item_properties_part*.csv`: category, stock and price; the other properties are passed over."""
    names = " ".join(f"WHEN '{name}' THEN '{meant}'" for name, meant in _READABLE.items())
    listed = ", ".join(f"'{name}'" for name in _READABLE)
    return Layout(
        file_type="csv",
        time_format="epoch_ms",
        fields={
            "timestamp": "timestamp",
            "itemid": "itemid",
            "property": "property",
            "value": "value",
        },
        parts=(
            Part(
                entity="item_properties",
                where=f"property IN ({listed})",
                columns={
                    "item_id": "itemid",
                    "property": f"CASE property {names} END",
                    # A number is written with an n before it: n277200.000
                    "value": r"""regexp_replace("value", '^n(-?\d)', '\1')""",
                    "valid_from": '"timestamp"',
                },
            ),
        ),
    )


def make_category_tree_layout() -> Layout:
    """`category_tree.csv`: delivered as a whole, so a new version takes the place of the old one."""
    return Layout(
        file_type="csv",
        fields={"categoryid": "categoryid", "parentid": "parentid"},
        when_rewritten="replace",
        parts=(
            Part(
                entity="categories",
                columns={"category_id": "categoryid", "parent_category_id": "parentid"},
            ),
        ),
    )


def recognises_events(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """True for a file with the header of `events.csv`.

    Args:
        name: of the file.
        head: its first lines (text), or its columns and their types (Parquet).
    """
    return _header(head) in (_EVENTS, _EVENTS | {"transactionid"})


def recognises_item_properties(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """True for a file with the header of `item_properties_part1.csv`; arguments as above."""
    return _header(head) == _ITEM_PROPERTIES


def recognises_category_tree(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """True for a file with the header of `category_tree.csv`; arguments as above."""
    return _header(head) == _CATEGORY_TREE


def _header(head: list[str] | dict[str, str]) -> frozenset[str]:
    if isinstance(head, dict) or not head:
        return frozenset()
    return frozenset(column.strip() for column in head[0].split(","))
