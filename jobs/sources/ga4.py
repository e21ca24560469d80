"""The GA4 BigQuery export: one record an event, items and parameters nested, days that are written anew for 72 hours.

Reads tables that were exported as JSON lines (there integers are strings) or Parquet: `events_YYYYMMDD`, or until that is
there `events_fresh_YYYYMMDD`, or before that `events_intraday_YYYYMMDD`. Writes `raw.events` and `raw.consents`.
"""

from jobs.sources.expressions import (
    NOTHING,
    among,
    decimal,
    first_object,
    known,
    objects_in,
    path_of,
    site_of,
)
from jobs.sources.layout import FileType, Layout, Part

FILE_TYPES: tuple[FileType, ...] = ("jsonl", "parquet")

EVENT_NAMES = {
    "page_view": "page_view",
    "screen_view": "page_view",
    "view_item": "product_view",
    "view_item_list": "list_view",
    "view_search_results": "search",
    "search": "search",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "add_to_wishlist": "add_to_wishlist",
    "begin_checkout": "begin_checkout",
    "purchase": "purchase",
    "ecommerce_purchase": "purchase",  # before 2020
    "refund": "refund",
    "purchase_refund": "refund",  # before 2020
    "login": "login",
    "sign_up": "identify",
}
# One row an item. A list view is one event however long the list is; its items are kept in `properties`.
_ITEM_EVENTS = (
    "view_item",
    "select_item",
    "add_to_cart",
    "remove_from_cart",
    "add_to_wishlist",
    "purchase",
    "ecommerce_purchase",
    "refund",
    "purchase_refund",
)
_PURCHASES = "('purchase', 'ecommerce_purchase')"
_REFUNDS = "('refund', 'purchase_refund')"
_MOST_LISTED_ITEMS = 100  # a list view names a page of items, not the catalogue

_FIELDS = {
    "event_name": "event_name",
    "event_timestamp": "event_timestamp",
    "bundle": "event_bundle_sequence_id",
    "batch_page": "batch_page_id",
    "batch_ordering": "batch_ordering_id",
    "batch_event": "batch_event_index",
    "user_pseudo_id": "user_pseudo_id",
    "told_user_id": "user_id",
    "event_params": "event_params",
    "items": "items",
    "transaction_id": "ecommerce.transaction_id",
    "purchase_revenue": "ecommerce.purchase_revenue",
    "purchase_revenue_in_usd": "ecommerce.purchase_revenue_in_usd",
    "refund_value": "ecommerce.refund_value",
    "refund_value_in_usd": "ecommerce.refund_value_in_usd",
    "tax_value": "ecommerce.tax_value",
    "shipping_value": "ecommerce.shipping_value",
    "analytics_storage": "privacy_info.analytics_storage",
    "ads_storage": "privacy_info.ads_storage",
    "device_category": "device.category",
    "geo_country": "geo.country",
    "geo_region": "geo.region",
    "event_medium": "collected_traffic_source.manual_medium",
    "event_campaign": "collected_traffic_source.manual_campaign_name",
    "event_gclid": "collected_traffic_source.gclid",
    "session_medium": "session_traffic_source_last_click.manual_campaign.medium",
    "session_campaign": "session_traffic_source_last_click.manual_campaign.campaign_name",
    "session_any_medium": "session_traffic_source_last_click.cross_channel_campaign.medium",
    "session_any_campaign": "session_traffic_source_last_click.cross_channel_campaign.campaign_name",
    "first_medium": "traffic_source.medium",
    "first_campaign": "traffic_source.name",
    "platform": "platform",
}

_ITEM_FIELDS = {
    "item": "item_id",
    "item_name": "item_name",
    "item_brand": "item_brand",
    "item_variant": "item_variant",
    "item_category": "item_category",
    "item_category2": "item_category2",
    "item_category3": "item_category3",
    "item_category4": "item_category4",
    "item_category5": "item_category5",
    "item_price": "price",
    "item_price_in_usd": "price_in_usd",
    "item_quantity": "quantity",
    "item_revenue": "item_revenue",
    "item_revenue_in_usd": "item_revenue_in_usd",
    "item_refund": "item_refund",
    "item_refund_in_usd": "item_refund_in_usd",
    "item_discount": "discount",
    "item_coupon": "coupon",
    "item_list_name": "item_list_name",
    "item_list_index": "item_list_index",
    "item_params": "item_params",
}

_PARAMS = (
    "ga_session_id",
    "page_location",
    "page_referrer",
    "currency",
    "transaction_id",
    "value",
    "discount",
    "search_term",
    "medium",
    "campaign",
    "coupon",
    "item_list_name",
    "firebase_screen",
    "screen_name",
    "percent_scrolled",
    "engagement_time_msec",
    "promotion_name",
    "method",
)
_PARAM = '{"key": "VARCHAR", "value": {"string_value": "VARCHAR", "int_value": "VARCHAR", "double_value": "VARCHAR", "float_value": "VARCHAR"}}'


def _flat_list(text: str) -> str:
    """SQL of a repeated field as a JSON array's text: some Parquet writers wrap it as `{list: [{element: ...}]}`."""
    elements = f"json_extract({text}, '$.list[*].element')"
    items = f"json_extract({text}, '$.list[*].item')"
    return (
        f"CASE WHEN json_valid({text}) THEN CASE json_type({text}) WHEN 'ARRAY' THEN {text} "
        f"WHEN 'OBJECT' THEN to_json(coalesce(nullif({elements}, []), {items}))::VARCHAR END END"
    )


def _params_object(text: str, names: tuple[str, ...]) -> str:
    """SQL of what a list of keys and typed values says of some keys, as one JSON object's text: each is found by its path."""
    value = "coalesce(nullif(p.value.string_value, ''), p.value.int_value, p.value.double_value, p.value.float_value)"
    listed = ", ".join(repr(name) for name in names)
    # Of the 15 to 25 parameters of an event a third is read; leaving out the others here halves the time for these.
    pairs = (
        f"list_transform(list_filter(from_json({text}, '[{_PARAM}]'), lambda p: p.key IN ({listed})), "
        f"lambda p: to_json(p.key)::VARCHAR || ':' || to_json({value})::VARCHAR)"
    )
    # Not array_to_string: it is a macro, which would work out the list twice.
    return f"'{{' || list_aggregate({pairs}, 'string_agg', ',') || '}}'"


def _param(name: str) -> str:
    if name not in _PARAMS:
        raise KeyError(name)
    return f"json_extract_string(params, '$.{name}')"


def _medium(text: str) -> str:
    return f"CASE lower({text}) WHEN '(none)' THEN 'direct' ELSE {known(f'lower({text})')} END"


def _campaign(text: str) -> str:
    return f"CASE WHEN lower({text}) NOT IN ('(direct)', '(organic)', '(referral)') THEN {known(text)} END"


def _storage(name: str, text: str) -> str:
    """SQL of what a consent mode says, as a flag; null where it says nothing."""
    return f"CASE lower({text}) WHEN 'yes' THEN '{name}=granted' WHEN 'no' THEN '{name}=denied' END"


def _decision(purpose: str, text: str) -> str:
    return f"json_object('purpose', '{purpose}', 'state', lower({text}))"


def _per_piece(amount: str) -> str:
    return f"TRY_CAST({decimal(amount)} / nullif({decimal('item_quantity')}, 0) AS DECIMAL(18,6))::VARCHAR"


_DERIVED = {
    "name": "lower(event_name)",
    "params": _params_object(_flat_list("event_params"), _PARAMS),
    "item_list": _flat_list("items"),
    "who": known("told_user_id"),
    "session_number": _param("ga_session_id"),
    "page_location": _param("page_location"),
    "page_referrer": _param("page_referrer"),
    "told_currency": _param("currency"),
    "order_number": f"coalesce({known('transaction_id')}, {known(_param('transaction_id'))})",
    "consent": f"nullif(concat_ws(',', {_storage('analytics', 'analytics_storage')}, {_storage('ads', 'ads_storage')}), '')",
}

# Events of one batch share their time, and exports before 2024 do not number them: there their content tells them apart.
# So it does where nobody may be recognised.
_EVENT_ID = """
md5(concat_ws('|', coalesce(user_pseudo_id, ''), event_timestamp, event_name, coalesce(bundle, ''), coalesce(batch_page, ''),
    coalesce(batch_ordering, ''), CASE WHEN batch_event IS NULL OR user_pseudo_id IS NULL
        THEN md5(concat_ws('|', coalesce(event_params, ''), coalesce(items, ''))) ELSE batch_event END))
"""

_IS_BOUGHT = f"name IN {_PURCHASES}"
_IS_REFUND = f"name IN {_REFUNDS}"
_PIECE_PRICE = f"coalesce(item_price, CASE WHEN {_IS_REFUND} THEN {_per_piece('item_refund')} END, {_per_piece('item_revenue')})"
_PIECE_PRICE_IN_USD = (
    f"coalesce(item_price_in_usd, CASE WHEN {_IS_REFUND} THEN {_per_piece('item_refund_in_usd')} END, "
    f"{_per_piece('item_revenue_in_usd')})"
)
_ITEM_DISCOUNT = (
    "coalesce(item_discount, "
    f"json_extract_string({_params_object(_flat_list('item_params'), ('discount',))}, '$.discount'))"
)
# GA4's price is what is paid after `discount`; the model's is the one before.
_FULL_PRICE = (
    f"CASE WHEN {decimal(_ITEM_DISCOUNT)} > 0 AND NOT {_IS_REFUND} AND {decimal(_PIECE_PRICE)} IS NOT NULL "
    f"THEN ({decimal(_PIECE_PRICE)} + {decimal(_ITEM_DISCOUNT)})::VARCHAR ELSE {_PIECE_PRICE} END"
)
_LINE_DISCOUNT = (
    f"CASE WHEN {decimal(_ITEM_DISCOUNT)} > 0 AND NOT {_IS_REFUND} AND {_PIECE_PRICE} IS NOT NULL "
    f"THEN ({decimal(_ITEM_DISCOUNT)} * coalesce(TRY_CAST(item_quantity AS DECIMAL(18,3)), 1))::VARCHAR END"
)
_WHOLE_PRICE = (
    f"CASE WHEN {_IS_BOUGHT} THEN coalesce(purchase_revenue, {_param('value')}) "
    f"WHEN {_IS_REFUND} THEN coalesce(refund_value, {_param('value')}) END"
)
_WHOLE_PRICE_IN_USD = f"CASE WHEN {_IS_BOUGHT} THEN purchase_revenue_in_usd WHEN {_IS_REFUND} THEN refund_value_in_usd END"


def _of_item(of_item: str, of_whole: str) -> str:
    return f"CASE WHEN element IS NULL THEN {of_whole} ELSE {of_item} END"


_EVENTS = Part(
    entity="events",
    columns={
        "event_id": _EVENT_ID,
        "event_type": "name",
        "occurred_at": "event_timestamp",
        "anonymous_id": "user_pseudo_id",
        "user_id": "who",
        "session_id": f"user_pseudo_id || '.' || {known('session_number')}",
        "item_id": known("item"),
        "title": known("item_name"),
        "category": (
            "concat_ws('/', "
            + ", ".join(known(f"item_category{level}") for level in ("", 2, 3, 4, 5))
            + ")"
        ),
        "brand": known("item_brand"),
        "price": _of_item(
            f"coalesce({_FULL_PRICE}, {_PIECE_PRICE_IN_USD})",
            f"coalesce({_WHOLE_PRICE}, {_WHOLE_PRICE_IN_USD})",
        ),
        "quantity": _of_item(
            "item_quantity", f"CASE WHEN {_IS_BOUGHT} OR {_IS_REFUND} THEN '1' END"
        ),
        "discount": _LINE_DISCOUNT,
        "currency": (
            f"CASE WHEN {_of_item(_PIECE_PRICE, _WHOLE_PRICE)} IS NULL "
            f"AND {_of_item(_PIECE_PRICE_IN_USD, _WHOLE_PRICE_IN_USD)} IS NOT NULL "
            f"THEN 'USD' ELSE {known('told_currency')} END"
        ),
        "order_id": "order_number",
        "order_discount": f"CASE WHEN {_IS_BOUGHT} THEN {_param('discount')} END",
        "order_tax": f"CASE WHEN {_IS_BOUGHT} THEN tax_value END",
        "order_shipping": f"CASE WHEN {_IS_BOUGHT} THEN shipping_value END",
        "search_query": _param("search_term"),
        "url_path": path_of("page_location"),
        "referrer": site_of("page_referrer"),
        "channel": (
            f"coalesce({_medium('event_medium')}, {_medium(_param('medium'))}, "
            f"CASE WHEN event_gclid IS NOT NULL THEN 'cpc' END, {_medium('session_medium')}, "
            f"{_medium('session_any_medium')}, {_medium('first_medium')})"
        ),
        "campaign": (
            f"coalesce({_campaign('event_campaign')}, {_campaign(_param('campaign'))}, "
            f"{_campaign('session_campaign')}, {_campaign('session_any_campaign')}, {_campaign('first_campaign')})"
        ),
        "device": f"lower({known('device_category')})",
        "country": known("geo_country"),
        "region": known("geo_region"),
        "consent_flags": "consent",
    },
    each=f"CASE WHEN {among('name', _ITEM_EVENTS)} THEN {objects_in('item_list')} END",
    each_fields=_ITEM_FIELDS,
    event_names=EVENT_NAMES,
    other_events="custom",
    properties={
        "event_name": "event_name",
        "platform": "platform",
        "variant": known("item_variant"),
        "coupon": f"coalesce({known('item_coupon')}, {known(_param('coupon'))})",
        "list_name": f"coalesce({known('item_list_name')}, {_param('item_list_name')})",
        "list_position": "item_list_index",
        # Only where the items have no rows of their own.
        "item_ids": (
            "CASE WHEN element IS NULL THEN to_json(nullif(list_slice(list_filter(list_transform("
            f"{objects_in('item_list')}, lambda o: json_extract_string(o, '$.item_id')), lambda i: lower(i) NOT IN {NOTHING}), "
            f"1, {_MOST_LISTED_ITEMS}), [])) END"
        ),
        "screen": f"coalesce({_param('firebase_screen')}, {_param('screen_name')})",
        "percent_scrolled": _param("percent_scrolled"),
        "engagement_msec": _param("engagement_time_msec"),
        "promotion": _param("promotion_name"),
        "method": _param("method"),
    },
)

# Each event repeats the consent mode; one decision a visit is enough to know from when it held.
_CONSENTS = Part(
    entity="consents",
    columns={
        "user_id": "who",
        "anonymous_id": "user_pseudo_id",
        "purpose": "purpose",
        "state": "state",
        "evidence": "'privacy_info'",
        "recorded_at": "event_timestamp",
    },
    where=(
        "name IN ('session_start', 'first_visit') AND consent IS NOT NULL "
        "AND coalesce(who, user_pseudo_id) IS NOT NULL"
    ),
    each=(
        f"list_filter([{_decision('analytics', 'analytics_storage')}, {_decision('ads', 'ads_storage')}], "
        "lambda o: json_extract_string(o, '$.state') IN ('yes', 'no'))"
    ),
    each_fields={"purpose": "purpose", "state": "state"},
)


def make_layout(file_type: FileType) -> Layout:
    """The layout of exported event tables.

    Args:
        file_type: `parquet`; anything else is JSON lines, since these tables cannot be exported as CSV and the files may
            have no ending.
    """
    return Layout(
        file_type="parquet" if file_type == "parquet" else "jsonl",
        parts=(_EVENTS, _CONSENTS),
        fields=_FIELDS,
        derived=_DERIVED,
        time_format="epoch_us",
        when_rewritten="replace",
        delivery=r"(?:^|/)events_(?P<rank>intraday_|fresh_|)(?P<unit>\d{8})(?:\D|$)",
        ranks=("intraday_", "fresh_", ""),
    )


def recognises(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """Whether a file is of this format.

    Args:
        name: the file's name.
        head: the first lines of a text file, or the columns and types of a Parquet file.
    """
    columns = head if isinstance(head, dict) else first_object(head)
    return {"event_name", "event_timestamp"} <= columns.keys()
