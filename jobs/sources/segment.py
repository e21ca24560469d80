"""Calls to Segment, RudderStack or PostHog: one object a line, with one vocabulary for what happens in a shop.

Segment and RudderStack write `type, event, properties, context, messageId`; PostHog writes `event, distinct_id, properties,
uuid`, and in Parquet files its properties as text. Writes `raw.events`, and from some calls `raw.messages`, `raw.profiles`,
`raw.links`, `raw.consents` and `raw.exposures`.
"""

from jobs.sources import ga4
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

FILE_TYPES: tuple[FileType, ...] = ("jsonl", "parquet")

CALLS = ("track", "page", "screen", "identify", "alias", "group")

# Names as `_DERIVED["event_key"]` writes them: "Product Viewed", "productViewed" and "product_viewed" are one.
EVENT_NAMES = ga4.EVENT_NAMES | {
    "call:page": "page_view",
    "call:screen": "page_view",
    "call:identify": "identify",
    "call:alias": "identify",
    "pageview": "page_view",  # PostHog's `$pageview`
    "screen": "page_view",
    "identify": "identify",
    "create_alias": "identify",
    "products_searched": "search",
    "product_searched": "search",
    "product_list_viewed": "list_view",
    "product_list_filtered": "list_view",
    "viewed_product_category": "list_view",  # names of the first specification
    "product_viewed": "product_view",
    "viewed_product": "product_view",
    "product_added": "add_to_cart",
    "added_product": "add_to_cart",
    "product_added_to_cart": "add_to_cart",
    "wishlist_product_added_to_cart": "add_to_cart",
    "product_removed": "remove_from_cart",
    "removed_product": "remove_from_cart",
    "product_removed_from_cart": "remove_from_cart",
    "product_added_to_wishlist": "add_to_wishlist",
    "checkout_started": "begin_checkout",
    "started_checkout": "begin_checkout",
    "order_completed": "purchase",
    "completed_order": "purchase",
    "order_refunded": "refund",
    "refunded_order": "refund",
    "order_cancelled": "refund",
    "order_canceled": "refund",
    "product_reviewed": "review",
    "signed_in": "login",
    "logged_in": "login",
    "user_logged_in": "login",
    "signed_up": "identify",
    "user_signed_up": "identify",
    "account_created": "identify",
}

# Event -> what happened to a message, and its medium.
MESSAGES = {
    "email_sent": ("sent", "email"),
    "email_delivered": ("delivered", "email"),
    "email_opened": ("open", "email"),
    "email_link_clicked": ("click", "email"),
    "email_bounced": ("bounce", "email"),
    "email_marked_as_spam": ("complaint", "email"),
    "email_unsubscribed": ("unsubscribe", "email"),
    "unsubscribed": ("unsubscribe", "email"),
    "push_notification_sent": ("sent", "push"),
    "push_notification_received": ("delivered", "push"),
    "push_notification_tapped": ("open", "push"),
    "push_notification_bounced": ("bounce", "push"),
}

_MOST_LISTED_ITEMS = 100

_FIELDS = {
    "call": "type",
    "told_event": "event",
    "message_number": "messageId",
    "uuid": "uuid",
    "told_anonymous_id": "anonymousId",
    "told_user_id": "userId",
    "previous_id": "previousId",
    "distinct_id": "distinct_id",
    "page_name": "name",
    "corrected_at": "timestamp",
    "original_at": "originalTimestamp",
    "sent_at": "sentAt",
    "told_received_at": "receivedAt",
    "created_at": "created_at",
    "inserted_at": "_inserted_at",
    "platform": "channel",
    "agent": "context.userAgent",
    "context_path": "context.page.path",
    "context_url": "context.page.url",
    "context_referrer": "context.page.referrer",
    "campaign_name": "context.campaign.name",
    "campaign_medium": "context.campaign.medium",
    "device_kind": "context.device.type",
    "context_session": "context.sessionId",
    "location_country": "context.location.country",
    "location_region": "context.location.region",
    "consent": "context.consent",
    "consent_management": "context.consentManagement",
    "properties": "properties",
    # Of the traits only some are read; e-mail address, telephone number and name go no further than the vault.
    "traits": "traits",
    "context_traits": "context.traits",
}

# Name in SQL -> where it stands in `properties`.
_PROPERTIES = {
    "p_product_id": "product_id",
    "p_sku": "sku",
    "p_name": "name",
    "p_category": "category",
    "p_brand": "brand",
    "p_variant": "variant",
    "p_price": "price",
    "p_quantity": "quantity",
    "p_discount": "discount",
    "p_coupon": "coupon",
    "p_currency": "currency",
    "p_position": "position",
    "p_products": "products",
    "p_order_id": "order_id",
    "p_total": "total",
    "p_subtotal": "subtotal",
    "p_revenue": "revenue",
    "p_tax": "tax",
    "p_shipping": "shipping",
    "p_query": "query",
    "p_path": "path",
    "p_url": "url",
    "p_referrer": "referrer",
    "p_list_id": "list_id",
    "p_rating": "rating",
    "p_step": "step",
    "p_email_id": "email_id",
    "p_message_id": "message_id",
    "p_campaign_id": "campaign_id",
    "p_campaign_name": "campaign_name",
    "p_link_url": "link_url",
    "p_experiment_id": "experiment_id",
    "p_experiment_name": "experiment_name",
    "p_variation_id": "variation_id",
    "p_variation_name": "variation_name",
    "p_current_url": "$current_url",
    "p_pathname": "$pathname",
    "p_ph_referrer": "$referrer",
    "p_session_id": "$session_id",
    "p_device_id": "$device_id",
    "p_anon_distinct_id": "$anon_distinct_id",
    "p_ph_user_id": "$user_id",
    "p_alias": "alias",
    "p_is_identified": "$is_identified",
    "p_device_type": "$device_type",
    "p_country": "$geoip_country_code",
    "p_region": "$geoip_subdivision_1_name",
    "p_raw_user_agent": "$raw_user_agent",
    "p_user_agent": "$user_agent",
    "p_utm_medium": "utm_medium",
    "p_utm_campaign": "utm_campaign",
    "p_set": "$set",
    "p_email": "email",
    "p_flag": "$feature_flag",
    "p_flag_response": "$feature_flag_response",
}

_PRODUCT_FIELDS = {
    "e_product_id": "product_id",
    "e_sku": "sku",
    "e_id": "id",
    "e_name": "name",
    "e_category": "category",
    "e_brand": "brand",
    "e_variant": "variant",
    "e_price": "price",
    "e_quantity": "quantity",
    "e_discount": "discount",
    "e_currency": "currency",
    "e_coupon": "coupon",
    "e_position": "position",
}


def _is_a(*types: str) -> str:
    return among("event_key", [name for name, type_ in EVENT_NAMES.items() if type_ in types])


_IS_BOUGHT = _is_a("purchase")
_IS_REFUND = _is_a("refund")
_HAS_LINES = (
    _is_a(
        "product_view",
        "add_to_cart",
        "remove_from_cart",
        "add_to_wishlist",
        "purchase",
        "refund",
        "review",
    )
    + " OR event_key = 'product_clicked'"
)
_IS_MESSAGE = among("event_key", MESSAGES)

_EVENT_KEY = r"""
CASE WHEN list_contains(['page', 'screen', 'identify', 'alias', 'group'], lower(call)) THEN 'call:' || lower(call)
    ELSE coalesce(
        nullif(trim(lower(regexp_replace(
            regexp_replace(told_event, '([\p{Ll}0-9])(\p{Lu})', '\1_\2', 'g'), '[^\p{L}\p{N}]+', '_', 'g')), '_'), ''),
        told_event)
END
"""

# PostHog has one id for whoever acts. Its browsers say whether that is a person's; a server's is, unless it looks drawn.
_IS_PERSON = """
CASE WHEN distinct_id IS NULL THEN NULL
    WHEN event_key IN ('identify', 'create_alias') OR lower(p_is_identified) = 'true' OR p_device_id <> distinct_id THEN 'yes'
    WHEN p_device_id IS NULL AND p_is_identified IS NULL
        AND NOT regexp_full_match(distinct_id, '[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}') THEN 'yes'
    ELSE 'no' END
"""


def _entries(text: str) -> str:
    """SQL of a JSON object's members whose values say yes or no, as a list of {purpose, state}."""
    pairs = f"list_zip(json_keys({text}), json_extract_string({text}, '$.*'))"
    states = "('true', 'false', 'yes', 'no', 'granted', 'denied', 'opt_in', 'opt_out', '1', '0', 'accepted', 'rejected')"
    return (
        f"CASE WHEN json_valid({text}) THEN CASE WHEN json_type({text}) = 'OBJECT' THEN list_transform("
        f"list_filter({pairs}, lambda e: lower(e[2]) IN {states}), "
        "lambda e: {'purpose': lower(e[1]), 'state': CASE WHEN lower(e[2]) IN "
        "('true', 'yes', 'granted', 'opt_in', '1', 'accepted') THEN 'granted' ELSE 'denied' END}) END END"
    )


def _listed(path: str, state: str) -> str:
    """SQL of the ids of a list in `consent_management`, as a list of {purpose, state}."""
    return (
        f"list_transform(json_extract_string(consent_management, '$.{path}[*]'), "
        f"lambda e: {{'purpose': lower(e), 'state': '{state}'}})"
    )


_CONSENT_DECISIONS = (
    f"to_json(coalesce({_entries('consent_categories')}, "
    "CASE WHEN json_valid(consent_management) THEN "
    f"list_concat({_listed('allowedConsentIds', 'granted')}, {_listed('deniedConsentIds', 'denied')}) END))::VARCHAR"
)
_DECISIONS = "json_extract(decisions, '$[*]')"

_DERIVED = {
    "event_key": _EVENT_KEY,
    "is_person": _IS_PERSON,
    "who": known(
        "CASE WHEN distinct_id IS NULL THEN told_user_id WHEN is_person = 'yes' THEN distinct_id ELSE p_ph_user_id END"
    ),
    "browser": known(
        "CASE WHEN distinct_id IS NOT NULL THEN coalesce(p_anon_distinct_id, p_device_id, "
        "CASE WHEN event_key = 'create_alias' THEN p_alias WHEN is_person = 'no' THEN distinct_id END) "
        "WHEN event_key = 'call:alias' THEN coalesce(previous_id, told_anonymous_id) ELSE told_anonymous_id END"
    ),
    "happened_at": "coalesce(corrected_at, original_at, sent_at, told_received_at)",
    "known_at": "coalesce(told_received_at, inserted_at, created_at)",
    "user_agent_text": "coalesce(agent, p_raw_user_agent, p_user_agent)",
    # The object itself where there are no categories: some send {"marketing": true}.
    "consent_categories": (
        "CASE WHEN json_valid(consent) THEN coalesce(json_extract_string(consent, '$.categoryPreferences'), consent) END"
    ),
    "decisions": f"CASE WHEN consent_categories IS NOT NULL OR consent_management IS NOT NULL THEN {_CONSENT_DECISIONS} END",
    "flags": (
        f"list_aggregate(list_sort(list_transform({_DECISIONS}, "
        "lambda d: json_extract_string(d, '$.purpose') || '=' || json_extract_string(d, '$.state'))), 'string_agg', ',')"
    ),
    "told_traits": "coalesce(traits, context_traits, p_set)",
    "trait_text": (
        "CASE WHEN event_key IN ('call:identify', 'identify', 'set') THEN CASE WHEN json_valid(told_traits) THEN told_traits END END"
    ),
    "trait_email": "json_extract_string(trait_text, '$.email')",
    "trait_phone": "json_extract_string(trait_text, '$.phone')",
    "own_item": f"CASE WHEN NOT starts_with(event_key, 'call:') THEN coalesce({known('p_product_id')}, {known('p_sku')}) END",
}


_DEVICE = r"""
CASE WHEN p_device_type IS NOT NULL THEN lower(p_device_type)
    WHEN lower(device_kind) IN ('ios', 'android', 'mobile') THEN 'mobile'
    WHEN lower(device_kind) IN ('tablet', 'desktop', 'tv') THEN lower(device_kind)
    WHEN regexp_matches(user_agent_text, '(?i)ipad|tablet') THEN 'tablet'
    WHEN regexp_matches(user_agent_text, '(?i)mobi|iphone|android') THEN 'mobile'
    WHEN user_agent_text IS NOT NULL THEN 'desktop' END
"""
_PRODUCTS = objects_in("p_products")
_PRODUCT_DISCOUNT = decimal("json_extract_string(o, '$.discount')")
_LINE_DISCOUNTS = f"list_sum(list_transform({_PRODUCTS}, lambda o: {_PRODUCT_DISCOUNT}))"
# Told of the whole transaction, so without what its lines tell.
_ORDER_DISCOUNT = (
    f"CASE WHEN {decimal(_LINE_DISCOUNTS)} > 0 AND {decimal('p_discount')} IS NOT NULL "
    f"THEN greatest({decimal('p_discount')} - {decimal(_LINE_DISCOUNTS)}, 0)::VARCHAR ELSE p_discount END"
)
# Revenue is without tax and shipping, and before discounts; the subtotal is after them; the total holds everything.
_WHOLE_PRICE = (
    f"coalesce(p_revenue, ({decimal('p_subtotal')} + coalesce({decimal('p_discount')}, 0))::VARCHAR, "
    f"({decimal('p_total')} - coalesce({decimal('p_tax')}, 0) - coalesce({decimal('p_shipping')}, 0) "
    f"+ coalesce({decimal('p_discount')}, 0))::VARCHAR)"
)
# Some count what comes back with a minus.
_WHOLE_REFUND = "ltrim(coalesce(p_total, p_revenue, p_subtotal), '-')"


def _of_product(of_product: str, of_event: str) -> str:
    return f"CASE WHEN element IS NULL THEN {of_event} ELSE {of_product} END"


def _unsigned(text: str) -> str:
    return f"CASE WHEN {_IS_REFUND} THEN ltrim({text}, '-') ELSE {text} END"


_EVENTS = Part(
    entity="events",
    columns={
        "event_id": "coalesce(message_number, uuid)",
        "event_type": "event_key",
        "occurred_at": "happened_at",
        "received_at": "known_at",
        "anonymous_id": "browser",
        "user_id": "who",
        "email": "coalesce(p_email, trait_email)",
        "phone": "trait_phone",
        "session_id": "coalesce(p_session_id, browser || '.' || context_session)",
        "item_id": _of_product(
            f"coalesce({known('e_product_id')}, {known('e_sku')}, {known('e_id')})", "own_item"
        ),
        "title": _of_product("e_name", "CASE WHEN own_item IS NOT NULL THEN p_name END"),
        "category": _of_product("e_category", "CASE WHEN own_item IS NOT NULL THEN p_category END"),
        "brand": _of_product("e_brand", "p_brand"),
        "price": _of_product(
            _unsigned("e_price"),
            f"CASE WHEN own_item IS NOT NULL THEN {_unsigned('p_price')} WHEN {_IS_BOUGHT} THEN {_WHOLE_PRICE} "
            f"WHEN {_IS_REFUND} THEN {_WHOLE_REFUND} END",
        ),
        "quantity": _of_product(
            _unsigned("e_quantity"),
            f"CASE WHEN own_item IS NOT NULL THEN {_unsigned('p_quantity')} "
            f"WHEN {_IS_BOUGHT} OR {_IS_REFUND} THEN '1' END",
        ),
        "discount": f"CASE WHEN NOT {_IS_REFUND} THEN e_discount END",
        "currency": "coalesce(e_currency, p_currency)",
        "order_id": known("p_order_id"),
        "order_discount": f"CASE WHEN {_IS_BOUGHT} THEN {_ORDER_DISCOUNT} END",
        "order_tax": f"CASE WHEN {_IS_BOUGHT} THEN p_tax END",
        "order_shipping": f"CASE WHEN {_IS_BOUGHT} THEN p_shipping END",
        "search_query": "p_query",
        "url_path": path_of(
            "coalesce(context_path, context_url, p_pathname, p_current_url, "
            "CASE WHEN event_key = 'call:page' THEN coalesce(p_path, p_url) END)"
        ),
        "referrer": f"nullif({site_of('coalesce(context_referrer, p_ph_referrer, p_referrer)')}, '$direct')",
        "channel": "lower(coalesce(campaign_medium, p_utm_medium))",
        "campaign": "coalesce(campaign_name, p_utm_campaign)",
        "device": _DEVICE,
        "country": "coalesce(location_country, p_country)",
        "region": "coalesce(location_region, p_region)",
        "consent_flags": "flags",
    },
    # What happened to a message is no visit. Lines that are no record have no event, and belong here.
    where=f"NOT coalesce({_IS_MESSAGE}, false)",
    each=f"CASE WHEN {_HAS_LINES} THEN {_PRODUCTS} END",
    each_fields=_PRODUCT_FIELDS,
    event_names=EVENT_NAMES,
    other_events="custom",
    user_agent="user_agent_text",
    properties={
        "event_name": "coalesce(told_event, call)",
        "page_name": "CASE WHEN event_key IN ('call:page', 'call:screen') THEN coalesce(page_name, p_name) END",
        "platform": "platform",
        "variant": "coalesce(e_variant, p_variant)",
        "coupon": "coalesce(e_coupon, p_coupon)",
        "list_name": "p_list_id",
        "list_position": "coalesce(e_position, p_position)",
        # Only where the products have no rows of their own.
        "item_ids": (
            "CASE WHEN element IS NULL THEN to_json(nullif(list_slice(list_filter(list_transform("
            f"{_PRODUCTS}, lambda o: coalesce(json_extract_string(o, '$.product_id'), json_extract_string(o, '$.sku'))), "
            f"lambda i: i IS NOT NULL), 1, {_MOST_LISTED_ITEMS}), [])) END"
        ),
        "rating": "p_rating",
        "checkout_step": "p_step",
    },
)

_MESSAGE_TYPES = "CASE event_key " + " ".join(
    f"WHEN '{name}' THEN '{type_}'" for name, (type_, _) in MESSAGES.items()
)
_MEDIA = "CASE event_key " + " ".join(
    f"WHEN '{name}' THEN '{medium}'" for name, (_, medium) in MESSAGES.items()
)
_MESSAGES = Part(
    entity="messages",
    columns={
        "message_event_id": "coalesce(message_number, uuid)",
        "message_type": f"{_MESSAGE_TYPES} END",
        "medium": f"{_MEDIA} END",
        "occurred_at": "happened_at",
        "received_at": "known_at",
        "user_id": "who",
        "anonymous_id": "browser",
        "message_id": "coalesce(p_email_id, p_message_id)",
        "campaign": "coalesce(p_campaign_name, p_campaign_id, campaign_name)",
        "url_path": path_of("p_link_url"),
        "device": _DEVICE,
    },
    where=_IS_MESSAGE,
)


def _trait(*paths: str) -> str:
    found = ", ".join(f"json_extract_string(trait_text, '$.{path}')" for path in paths)
    return f"nullif(trim(coalesce({found})), '')"


def _year(text: str) -> str:
    return rf"CASE WHEN regexp_matches({text}, '^(19|20)\d\d(-|$)') THEN {text}[:4] END"


def _moment(text: str) -> str:
    """SQL of a time that some write as seconds or milliseconds since 1970; null where it is neither these nor ISO."""
    return (
        rf"CASE WHEN regexp_full_match({text}, '\d{{10}}') THEN to_timestamp({text}::BIGINT)::VARCHAR "
        rf"WHEN regexp_full_match({text}, '\d{{13}}') THEN to_timestamp({text}::BIGINT / 1000)::VARCHAR "
        f"WHEN TRY_CAST({text} AS TIMESTAMPTZ) IS NOT NULL THEN {text} END"
    )


_PROFILE = {
    "email": _trait("email"),
    "phone": _trait("phone", "phoneNumber", "phone_number"),
    "first_name": _trait("firstName", "first_name"),
    "last_name": _trait("lastName", "last_name"),
    "postal_code": _trait("address.postalCode", "address.postal_code", "address.zip"),
    "country": _trait("address.country", "country"),
    "region": _trait("address.state", "region"),
    "birth_year": f"coalesce({_year(_trait('birth_year'))}, {_year(_trait('birthday'))})",
    "gender": f"lower({_trait('gender')})",
    "loyalty_tier": _trait("loyalty_tier"),
    "signed_up_at": _moment(_trait("createdAt", "created_at")),
}
_PROFILES = Part(
    entity="profiles",
    columns=_PROFILE
    | {
        "profile_record_id": "coalesce(message_number, uuid)",
        "user_id": "who",
        "updated_at": "happened_at",
        "received_at": "known_at",
    },
    where=f"trait_text IS NOT NULL AND who IS NOT NULL AND coalesce({', '.join(_PROFILE.values())}) IS NOT NULL",
)

# Both ids may be a person's; where the former is a device's, the event tells so.
_ALIASES = Part(
    entity="links",
    columns={
        "link_id": "coalesce(message_number, uuid)",
        "link_kind": "'alias'",
        "user_id": "who",
        "other_user_id": "previous_id",
        "linked_at": "happened_at",
        "received_at": "known_at",
    },
    where="event_key = 'call:alias' AND who IS NOT NULL AND previous_id IS NOT NULL",
)

# Every call repeats the consent; decisions are taken where somebody becomes known, and where one is told.
_CONSENTS = Part(
    entity="consents",
    columns={
        "consent_id": "coalesce(message_number, uuid)",
        "user_id": "who",
        "anonymous_id": "browser",
        "purpose": "purpose",
        "state": "state",
        "evidence": "coalesce(told_event, call)",
        "recorded_at": "happened_at",
        "received_at": "known_at",
    },
    where=(
        "(event_key IN ('call:identify', 'identify') OR regexp_matches(event_key, '^(segment_)?consent_')) "
        f"AND len({_DECISIONS}) > 0 AND coalesce(who, browser) IS NOT NULL"
    ),
    each=_DECISIONS,
    each_fields={"purpose": "purpose", "state": "state"},
)

_EXPOSURES = Part(
    entity="exposures",
    columns={
        "exposure_id": "coalesce(message_number, uuid)",
        "experiment_id": "coalesce(p_experiment_id, p_experiment_name, p_flag)",
        "variant_id": "coalesce(p_variation_id, p_variation_name, p_flag_response)",
        "occurred_at": "happened_at",
        "received_at": "known_at",
        "user_id": "who",
        "anonymous_id": "browser",
    },
    # A flag that is off shows nobody anything.
    where="event_key = 'experiment_viewed' OR (event_key = 'feature_flag_called' AND p_flag_response <> 'false')",
)


def make_layout(file_type: FileType) -> Layout:
    """The layout of recorded calls.

    Args:
        file_type: `parquet`, where properties may be text that holds JSON; anything else is JSON lines, since the files that
            Segment writes have no such ending.
    """
    derived = _DERIVED
    fields = _FIELDS | {name: f"properties.{path}" for name, path in _PROPERTIES.items()}
    if file_type == "parquet":
        fields = _FIELDS
        unpacked = {
            name: f"json_extract_string(property_text, '$.\"{path}\"')"
            for name, path in _PROPERTIES.items()
        }
        derived = {
            "property_text": "CASE WHEN json_valid(properties) THEN properties END",
            **unpacked,
            **_DERIVED,
        }
    return Layout(
        file_type="parquet" if file_type == "parquet" else "jsonl",
        parts=(_EVENTS, _MESSAGES, _PROFILES, _ALIASES, _CONSENTS, _EXPOSURES),
        fields=fields,
        derived=derived,
    )


def recognises(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """Whether a file is of this format.

    Args:
        name: the file's name.
        head: the first lines of a text file, or the columns and types of a Parquet file.
    """
    if isinstance(head, dict):
        return {"event", "distinct_id", "properties"} <= head.keys() or (
            {"type", "messageId"} <= head.keys()
        )
    record = first_object(head)
    if {"event", "distinct_id"} <= record.keys():
        return True
    is_somebody = bool({"messageId", "anonymousId", "userId"} & record.keys())
    return record.get("type") in CALLS and is_somebody
