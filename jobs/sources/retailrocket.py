"""The RetailRocket layout: `timestamp,visitorid,event,itemid[,transactionid]`, times in milliseconds since the epoch (UTC).

Visitors are never identified, and the file has no prices; published extracts often lack `transactionid`.
"""

from jobs.sources.mapping import Mapping

MAPPING = Mapping(
    file_type="csv",
    time_format="epoch_ms",
    columns={
        "occurred_at": "timestamp",
        "anonymous_id": "visitorid",
        "event_type": "event",
        "item_id": "itemid",
        "order_id": "transactionid",
    },
    optional=("order_id",),
    event_names={"view": "product_view", "addtocart": "add_to_cart", "transaction": "purchase"},
)
