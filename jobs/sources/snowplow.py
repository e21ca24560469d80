"""Snowplow's enriched events: the tab-separated lines of the pipeline, or the JSON and Parquet forms made of them.

A line has 131 columns and no header; entities and self-describing events stand in it as JSON. The analytics SDKs and the lake
loader give each of these a column of its own (`contexts_com_..._product_1`). The IP address is never read. Writes
`raw.events` and `raw.consents`.
"""

from jobs.sources import segment
from jobs.sources.expressions import (
    among,
    decimal,
    first_object,
    known,
    objects_in,
    path_of,
    site_of,
)
from jobs.sources.layout import FileType, Layout, Part

FILE_TYPES: tuple[FileType, ...] = ("csv", "jsonl", "parquet")

# The canonical event model, in its order.
COLUMNS = tuple(
    """
    app_id platform etl_tstamp collector_tstamp dvce_created_tstamp event event_id txn_id name_tracker v_tracker
    v_collector v_etl user_id user_ipaddress user_fingerprint domain_userid domain_sessionidx network_userid
    geo_country geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name ip_isp ip_organization
    ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost page_urlport page_urlpath
    page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport refr_urlpath refr_urlquery
    refr_urlfragment refr_medium refr_source refr_term mkt_medium mkt_source mkt_term mkt_content mkt_campaign
    contexts se_category se_action se_label se_property se_value unstruct_event tr_orderid tr_affiliation tr_total
    tr_tax tr_shipping tr_city tr_state tr_country ti_orderid ti_sku ti_name ti_category ti_price ti_quantity
    pp_xoffset_min pp_xoffset_max pp_yoffset_min pp_yoffset_max useragent br_name br_family br_version br_type
    br_renderengine br_lang br_features_pdf br_features_flash br_features_java br_features_director
    br_features_quicktime br_features_realplayer br_features_windowsmedia br_features_gears br_features_silverlight
    br_cookies br_colordepth br_viewwidth br_viewheight os_name os_family os_manufacturer os_timezone dvce_type
    dvce_ismobile dvce_screenwidth dvce_screenheight doc_charset doc_width doc_height tr_currency tr_total_base
    tr_tax_base tr_shipping_base ti_currency ti_price_base base_currency geo_timezone mkt_clickid mkt_network
    etl_tags dvce_sent_tstamp refr_domain_userid refr_device_tstamp derived_contexts domain_sessionid derived_tstamp
    event_vendor event_name event_format event_version event_fingerprint true_tstamp
    """.split()  # noqa: SIM905 - 131 quoted lines would hide their order
)

_ACTIONS = {
    "product_view": "product_view",
    "list_view": "list_view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "checkout_step_1": "begin_checkout",
    "transaction": "purchase",
    "refund": "refund",
}
# A structured event names what was done in words of the shop; orders come with figures, which it has no place for.
_STRUCTURED = {
    name: type_
    for name, type_ in segment.EVENT_NAMES.items()
    if not name.startswith("call:") and type_ not in {"purchase", "refund"}
} | {
    "product_view": "product_view",
    "list_view": "list_view",
    "add_to_basket": "add_to_cart",
    "remove_from_basket": "remove_from_cart",
    "site_search": "search",
}
# Event name, `action:` and the type of an ecommerce action, or `struct:` and a structured event's action.
EVENT_NAMES = (
    {
        "page_view": "page_view",
        "screen_view": "page_view",
        "add_to_cart": "add_to_cart",
        "remove_from_cart": "remove_from_cart",
        "site_search": "search",
        "transaction_item": "purchase",
    }
    | {f"action:{name}": type_ for name, type_ in _ACTIONS.items()}
    | {f"struct:{name}": type_ for name, type_ in _STRUCTURED.items()}
)
# One row a product. A list view is one event, whose products are kept in `properties`.
_HAS_LINES = among(
    "event_key",
    (
        "action:product_view",
        "action:list_click",
        "action:add_to_cart",
        "action:remove_from_cart",
        "action:transaction",
        "action:refund",
        "add_to_cart",
        "remove_from_cart",
    ),
)
_MOST_LISTED_ITEMS = 100

_PLAIN = (
    "app_id",
    "platform",
    "collector_tstamp",
    "event",
    "event_id",
    "domain_userid",
    "network_userid",
    "domain_sessionid",
    "geo_country",
    "geo_region",
    "page_url",
    "page_urlpath",
    "page_referrer",
    "refr_urlhost",
    "refr_urlpath",
    "refr_medium",
    "mkt_medium",
    "mkt_campaign",
    "se_category",
    "se_action",
    "se_label",
    "se_property",
    "se_value",
    "tr_orderid",
    "tr_total",
    "tr_tax",
    "tr_shipping",
    "tr_currency",
    "ti_orderid",
    "ti_sku",
    "ti_name",
    "ti_category",
    "ti_price",
    "ti_quantity",
    "ti_currency",
    "useragent",
    "dvce_type",
    "derived_tstamp",
    "event_vendor",
    "event_name",
)
_FIELDS = {name: name for name in _PLAIN} | {
    "told_user_id": "user_id",
    "contexts": "contexts",
    "unstruct_event": "unstruct_event",
}

_ECOMMERCE = "com.snowplowanalytics.snowplow.ecommerce"
_SNOWPLOW = "com.snowplowanalytics.snowplow"
# Name in SQL -> vendor and name of an entity.
_ENTITIES = {
    "products": (_ECOMMERCE, "product"),
    "transactions": (_ECOMMERCE, "transaction"),
    "refunds": (_ECOMMERCE, "refund"),
    "users": (_ECOMMERCE, "user"),
    "pages": (_ECOMMERCE, "page"),
    "carts": (_ECOMMERCE, "cart"),
    "checkout_steps": (_ECOMMERCE, "checkout_step"),
    "client_sessions": (_SNOWPLOW, "client_session"),
    "consent_documents": (_SNOWPLOW, "consent_document"),
}
# Self-describing events whose own data are read.
_UNSTRUCT_EVENTS = (
    (_ECOMMERCE, "snowplow_ecommerce_action"),
    (_SNOWPLOW, "add_to_cart"),
    (_SNOWPLOW, "remove_from_cart"),
    (_SNOWPLOW, "site_search"),
    (_SNOWPLOW, "consent_preferences"),
    (_SNOWPLOW, "consent_granted"),
    (_SNOWPLOW, "consent_withdrawn"),
)

_PRODUCT_FIELDS = {
    "product": "id",
    "product_name": "name",
    "product_category": "category",
    "product_brand": "brand",
    "product_variant": "variant",
    "product_price": "price",
    "product_list_price": "list_price",
    "product_quantity": "quantity",
    "product_currency": "currency",
    "product_position": "position",
}


def _column_of(prefix: str, vendor: str, name: str) -> str:
    """What the SDKs call the column of the first model of a schema."""
    return f"{prefix}_{vendor.replace('.', '_')}_{name}_1"


def _from_contexts(vendor: str, name: str) -> str:
    """SQL of the data of one kind of entity in `contexts`, as a JSON array's text."""
    schema = f"iglu:{vendor}/{name}/"
    # Finding the name in the text is far cheaper than parsing the text where there is none.
    return (
        f"CASE WHEN contains(contexts, '{vendor}/{name}/') THEN CASE WHEN json_valid(contexts) THEN "
        "to_json(list_transform(list_filter(json_extract(contexts, '$.data[*]'), "
        f"lambda e: starts_with(json_extract_string(e, '$.schema'), '{schema}')), "
        "lambda e: json_extract(e, '$.data')))::VARCHAR END END"
    )


_FROM_UNSTRUCT = "CASE WHEN json_valid(unstruct_event) THEN json_extract_string(unstruct_event, '$.data.data') END"


def _of(text: str, path: str) -> str:
    """SQL of a value in a JSON text of our own making (valid, or null)."""
    return f"json_extract_string({text}, '{path}')"


_EVENT_KEY = r"""
CASE WHEN event_name = 'snowplow_ecommerce_action' THEN 'action:' || coalesce(
        CASE WHEN action = 'checkout_step' THEN 'checkout_step_' || checkout_step END, action, '')
    WHEN event = 'struct' THEN 'struct:' || trim(lower(regexp_replace(se_action, '[^\p{L}\p{N}]+', '_', 'g')), '_')
    WHEN event_name IS NULL OR event IN ('page_view', 'page_ping', 'transaction', 'transaction_item') THEN event
    ELSE event_name END
"""

_DERIVED = {
    "action": f"lower({_of('event_data', '$.type')})",
    "checkout_step": _of("checkout_steps", "$[0].step"),
    "event_key": _EVENT_KEY,
    # Who has no account in the tracker may have one in the shop.
    "who": known(
        f"coalesce(told_user_id, {_of('users', '$[0].id')}, {_of('users', '$[0].email')})"
    ),
    "browser": f"coalesce({known('domain_userid')}, {_of('client_sessions', '$[0].userId')}, "
    f"{_of('client_sessions', '$[0].user_id')}, {known('network_userid')})",
    "happened_at": "coalesce(derived_tstamp, collector_tstamp)",
    "order_number": (
        f"coalesce({_of('transactions', '$[0].transaction_id')}, {_of('refunds', '$[0].transaction_id')}, "
        "CASE WHEN event IN ('transaction', 'transaction_item') THEN coalesce(ti_orderid, tr_orderid) END)"
    ),
    "order_currency": (
        f"coalesce({_of('transactions', '$[0].currency')}, {_of('refunds', '$[0].currency')}, "
        f"{_of('carts', '$[0].currency')}, ti_currency, tr_currency)"
    ),
}

_IS_BOUGHT = "event_key = 'action:transaction'"
_IS_REFUND = "event_key = 'action:refund'"
_IS_OLD_ITEM = "event = 'transaction_item'"
# Of the tracker's first e-commerce events: they have no product entity.
_IS_OLD_CART = "event_key IN ('add_to_cart', 'remove_from_cart')"


def _amount(path: str) -> str:
    return f"coalesce({decimal(_of('transactions', path))}, 0)"


# Revenue is what was paid, with tax and shipping, after the discount.
_WHOLE_PRICE = (
    f"({decimal(_of('transactions', '$[0].revenue'))} - {_amount('$[0].tax')} - {_amount('$[0].shipping')} "
    f"+ {_amount('$[0].discount_amount')})::VARCHAR"
)


def _of_product(of_product: str, of_old: str, of_cart: str = "NULL") -> str:
    return (
        f"CASE WHEN element IS NOT NULL THEN {of_product} WHEN {_IS_OLD_ITEM} THEN {of_old} "
        f"WHEN {_IS_OLD_CART} THEN {of_cart} END"
    )


def _of_order(of_product: str, of_order: str) -> str:
    return f"CASE WHEN element IS NULL AND ({_IS_BOUGHT} OR {_IS_REFUND}) THEN {of_order} ELSE {of_product} END"


_EVENTS = Part(
    entity="events",
    columns={
        "event_id": "event_id",
        "event_type": "event_key",
        "occurred_at": "happened_at",
        "received_at": "collector_tstamp",
        "anonymous_id": "browser",
        "user_id": "who",
        "email": _of("users", "$[0].email"),
        "session_id": (
            f"coalesce(domain_sessionid, {_of('client_sessions', '$[0].sessionId')}, "
            f"{_of('client_sessions', '$[0].session_id')})"
        ),
        "item_id": _of_product(known("product"), "ti_sku", _of("event_data", "$.sku")),
        "title": _of_product("product_name", "ti_name", _of("event_data", "$.name")),
        "category": _of_product("product_category", "ti_category", _of("event_data", "$.category")),
        "brand": "product_brand",
        "price": _of_order(
            _of_product("product_price", "ti_price", _of("event_data", "$.unitPrice")),
            f"CASE WHEN {_IS_BOUGHT} THEN {_WHOLE_PRICE} ELSE {_of('refunds', '$[0].refund_amount')} END",
        ),
        "quantity": _of_order(
            _of_product("product_quantity", "ti_quantity", _of("event_data", "$.quantity")), "'1'"
        ),
        "currency": (
            f"coalesce(product_currency, order_currency, CASE WHEN {_IS_OLD_CART} "
            f"THEN {_of('event_data', '$.currency')} END)"
        ),
        "order_id": "order_number",
        "order_discount": _of("transactions", "$[0].discount_amount"),
        "order_tax": f"coalesce({_of('transactions', '$[0].tax')}, tr_tax)",
        "order_shipping": f"coalesce({_of('transactions', '$[0].shipping')}, tr_shipping)",
        "search_query": (
            "CASE WHEN event_key = 'site_search' THEN "
            "list_aggregate(json_extract_string(event_data, '$.terms[*]'), 'string_agg', ' ') "
            "WHEN event_key = 'struct:site_search' OR event_key = 'struct:search' THEN se_label END"
        ),
        "url_path": path_of("coalesce(page_urlpath, page_url)"),
        "referrer": f"coalesce(nullif(rtrim(concat(refr_urlhost, refr_urlpath), '/'), ''), {site_of('page_referrer')})",
        "channel": (
            "CASE WHEN mkt_medium IS NOT NULL THEN lower(mkt_medium) WHEN refr_medium = 'unknown' THEN 'referral' "
            "WHEN refr_medium <> 'internal' THEN refr_medium END"
        ),
        "campaign": "mkt_campaign",
        "device": (
            "CASE WHEN dvce_type = 'Computer' THEN 'desktop' WHEN dvce_type IS NOT NULL THEN lower(dvce_type) "
            "WHEN platform = 'mob' THEN 'mobile' END"
        ),
        "country": "geo_country",
        "region": "geo_region",
    },
    each=f"CASE WHEN {_HAS_LINES} THEN {objects_in('products')} END",
    each_fields=_PRODUCT_FIELDS,
    event_names=EVENT_NAMES,
    other_events="custom",
    user_agent="useragent",
    properties={
        "event_name": "coalesce(action, event_name, event)",
        "event_vendor": "event_vendor",
        "app_id": "app_id",
        "platform": "platform",
        "list_name": f"CASE WHEN starts_with(action, 'list') THEN {_of('event_data', '$.name')} END",
        "list_position": "product_position",
        "list_price": "product_list_price",
        "variant": "product_variant",
        "coupon": _of("transactions", "$[0].discount_code"),
        "checkout_step": "checkout_step",
        "page_type": _of("pages", "$[0].type"),
        "cart_value": _of("carts", "$[0].total_value"),
        "refund_reason": _of("refunds", "$[0].refund_reason"),
        # Only where the products have no rows of their own.
        "item_ids": (
            "CASE WHEN element IS NULL THEN to_json(nullif(list_slice(list_filter(list_transform("
            f"{objects_in('products')}, lambda o: json_extract_string(o, '$.id')), lambda i: i IS NOT NULL), "
            f"1, {_MOST_LISTED_ITEMS}), [])) END"
        ),
        "se_category": "se_category",
        "se_action": "se_action",
        "se_label": "se_label",
        "se_property": "se_property",
        "se_value": "se_value",
        "total": "CASE WHEN event = 'transaction' THEN tr_total END",
    },
)

_PREFERENCE = (
    f"lower(coalesce({_of('event_data', '$.eventType')}, {_of('event_data', '$.event_type')}))"
)
_DECISION = f"""
CASE event_name WHEN 'consent_granted' THEN 'granted' WHEN 'consent_withdrawn' THEN 'withdrawn'
    WHEN 'consent_preferences' THEN CASE {_PREFERENCE} WHEN 'allow_all' THEN 'granted' WHEN 'allow_selected' THEN 'granted'
        WHEN 'implicit_consent' THEN 'granted' WHEN 'deny_all' THEN 'denied' WHEN 'withdrawn' THEN 'withdrawn'
        WHEN 'expired' THEN 'withdrawn' END
END
"""
# The scopes are those that are still allowed. A refusal that names none is one of everything.
_SCOPES = (
    "CASE WHEN event_name = 'consent_preferences' THEN coalesce("
    "nullif(json_extract_string(event_data, '$.consentScopes[*]'), []), json_extract_string(event_data, '$.consent_scopes[*]')) "
    "ELSE list_filter(list_transform("
    f"{objects_in('consent_documents')}, lambda o: coalesce(json_extract_string(o, '$.name'), json_extract_string(o, '$.id'))), "
    "lambda s: s IS NOT NULL) END"
)
_CONSENTS = Part(
    entity="consents",
    columns={
        "consent_id": "event_id",
        "user_id": "who",
        "anonymous_id": "browser",
        "purpose": "coalesce(lower(scope), 'all')",
        "state": _DECISION,
        "evidence": "event_name",
        "recorded_at": "happened_at",
        "received_at": "collector_tstamp",
    },
    where=(
        f"({_DECISION}) IS NOT NULL AND coalesce(who, browser) IS NOT NULL "
        f"AND (({_DECISION}) <> 'granted' OR len({_SCOPES}) > 0)"
    ),
    each=f"list_transform({_SCOPES}, lambda s: json_object('scope', s))",
    each_fields={"scope": "scope"},
)


def make_layout(file_type: FileType) -> Layout:
    """The layout of enriched events.

    Args:
        file_type: `csv` for the pipeline's tab-separated lines, `jsonl` or `parquet` for what the SDKs and loaders make.
    """
    if file_type == "csv":
        entities = {name: _from_contexts(*schema) for name, schema in _ENTITIES.items()}
        return Layout(
            file_type="csv",
            parts=(_EVENTS, _CONSENTS),
            fields=_FIELDS,
            header=COLUMNS,
            delimiter="\t",
            quote="",
            derived={"event_data": _FROM_UNSTRUCT, **entities, **_DERIVED},
        )
    told = {f"told_{name}": _column_of("contexts", *schema) for name, schema in _ENTITIES.items()}
    events = {
        f"told_{name}_event": _column_of("unstruct_event", vendor, name)
        for vendor, name in _UNSTRUCT_EVENTS
    }
    valid = {
        name: f"CASE WHEN json_valid(told_{name}) THEN told_{name} ELSE {_from_contexts(*schema)} END"
        for name, schema in _ENTITIES.items()
    }
    event_data = " ".join(
        f"WHEN {name} IS NOT NULL THEN CASE WHEN json_valid({name}) THEN {name} END"
        for name in events
    )
    return Layout(
        file_type=file_type,
        parts=(_EVENTS, _CONSENTS),
        fields=_FIELDS | told | events,
        derived={
            "event_data": f"CASE {event_data} ELSE {_FROM_UNSTRUCT} END",
            **valid,
            **_DERIVED,
        },
    )


def recognises(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """Whether a file is of this format.

    Args:
        name: the file's name.
        head: the first lines of a text file, or the columns and types of a Parquet file.
    """
    if not isinstance(head, dict) and head and head[0].count("\t") == len(COLUMNS) - 1:
        return True
    columns = head if isinstance(head, dict) else first_object(head)
    return {"event_id", "collector_tstamp"} <= columns.keys()
