"""What a shop's sources tell of, and the rules that every record has to keep, whatever its format.

An entity is a kind of record with a table of its own in `raw`. `config/schemas/entities/` holds the JSON Schema of each,
generated from here and from `jobs.lake.tables`.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from jobs.lake.tables import TABLES

EntityName = Literal[
    "events",
    "orders",
    "items",
    "item_properties",
    "categories",
    "profiles",
    "consents",
    "messages",
    "links",
    "exposures",
    "feedback",
    "exchange_rates",
]

EVENT_TYPES = (
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
)

Kind = Literal["user", "email", "shared_email", "phone", "device", "session", "name", "text"]
# Columns that name somebody, in whatever table: the loader writes a pseudonym of that kind.
IDENTIFIERS: dict[str, Kind] = {
    "user_id": "user",
    "email": "email",
    "phone": "phone",
    "anonymous_id": "device",
    "session_id": "session",
    "name_key": "name",
    "other_user_id": "user",
    "other_email": "email",
    "other_phone": "phone",
    "other_anonymous_id": "device",
}

# What a record may tell of a person beside its table's columns: only the vault gets it.
VAULT_ONLY = ("first_name", "last_name", "postal_code")

# Columns where people may have written an address: it is masked.
FREE_TEXTS = frozenset(
    {
        "search_query",
        "url_path",
        "referrer",
        "campaign",
        "title",
        "evidence",
        "reason",
        "properties",
    }
)

# Set by the reader itself, never by a mapping.
READER_COLUMNS = frozenset(
    {"source", "file_id", "line_number", "is_bot", "bot_rule", "properties", "name_key"}
)


@dataclass(frozen=True)
class Entity:
    """The rules of one kind of record.

    Attributes:
        id_column: tells two records apart; given by the source, or derived from the record's values.
        required: columns without which a record says nothing.
        one_of: columns of which at least one must have a value.
        happened: columns that say when something happened: it cannot lie in the future, nor before the source began.
        values: columns with a closed list of values (compared in lower case).
        minimums: columns with a least value.
        is_state: the record tells how a thing is, and a later record of it counts more; told again after another one it is
            no duplicate.
        has_vault_fields: the record may tell names and postal codes too.
    """

    name: EntityName
    id_column: str
    required: tuple[str, ...]
    one_of: tuple[str, ...] = ()
    happened: tuple[str, ...] = ()
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    minimums: dict[str, float] = field(default_factory=dict)
    is_state: bool = False
    has_vault_fields: bool = False

    @property
    def table(self) -> str:
        """`raw.<entity>`."""
        return f"raw.{self.name}"

    @property
    def columns(self) -> dict[str, str]:
        """Column -> DuckDB type, in the table's order."""
        return TABLES[self.table].columns

    @property
    def told_columns(self) -> dict[str, str]:
        """Column -> DuckDB type of what a source may tell: the table's columns, and what only the vault gets."""
        names = VAULT_ONLY if self.has_vault_fields else ()
        return self.columns | dict.fromkeys(names, "VARCHAR")

    @property
    def day_column(self) -> str | None:
        """The column whose day a record belongs to; None for records of no day."""
        return self.happened[0] if self.happened else None


_WHO = ("user_id", "email", "phone", "anonymous_id")
_DEVICE_OR_USER = ("user_id", "anonymous_id")
_WHO_OF_LIST = ("user_id", "email", "phone")

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        Entity(
            "events",
            "event_id",
            required=("event_type", "occurred_at"),
            happened=("occurred_at", "received_at"),
            values={"event_type": EVENT_TYPES},
            minimums={
                "price": 0.0,
                "quantity": 0.0,
                "discount": 0.0,
                "order_discount": 0.0,
                "order_tax": 0.0,
                "order_shipping": 0.0,
            },
        ),
        Entity(
            "orders",
            "order_line_id",
            required=("order_id", "ordered_at"),
            happened=("ordered_at", "received_at"),
            values={"line_type": ("sale", "return", "adjustment")},
            has_vault_fields=True,
        ),
        Entity(
            "items",
            "item_record_id",
            required=("item_id",),
            happened=("received_at",),
            minimums={"price": 0.0},
            is_state=True,
        ),
        Entity(
            "item_properties",
            "item_property_id",
            required=("item_id", "property", "valid_from"),
            happened=("valid_from", "received_at"),
        ),
        Entity("categories", "category_record_id", required=("category_id",), is_state=True),
        Entity(
            "profiles",
            "profile_record_id",
            required=(),
            one_of=_WHO_OF_LIST,
            happened=("updated_at", "received_at", "signed_up_at"),
            is_state=True,
            has_vault_fields=True,
        ),
        Entity(
            "consents",
            "consent_id",
            required=("purpose", "state", "recorded_at"),
            one_of=_WHO,
            happened=("recorded_at", "received_at"),
            values={"state": ("granted", "denied", "withdrawn")},
        ),
        Entity(
            "messages",
            "message_event_id",
            required=("message_type", "occurred_at"),
            one_of=_WHO,
            happened=("occurred_at", "received_at"),
            values={
                "message_type": (
                    "sent",
                    "delivered",
                    "open",
                    "click",
                    "bounce",
                    "unsubscribe",
                    "complaint",
                ),
                "medium": ("email", "push", "sms"),
            },
        ),
        Entity(
            "links",
            "link_id",
            required=("link_kind", "linked_at"),
            one_of=_WHO,
            happened=("linked_at", "received_at"),
            values={"link_kind": ("alias", "match")},
            minimums={"probability": 0.0},
        ),
        Entity(
            "exposures",
            "exposure_id",
            required=("experiment_id", "variant_id", "occurred_at"),
            one_of=_DEVICE_OR_USER,
            happened=("occurred_at", "received_at"),
        ),
        Entity(
            "feedback",
            "feedback_id",
            required=("feedback_type", "item_id", "occurred_at"),
            one_of=_DEVICE_OR_USER,
            happened=("occurred_at", "received_at"),
            values={"feedback_type": ("impression", "click", "dismissal")},
            minimums={"rank": 1},
        ),
        Entity(
            "exchange_rates",
            "exchange_rate_id",
            required=("currency", "valid_from", "rate"),
            happened=(),  # a rate may be fixed ahead
            minimums={"rate": 0.0},
        ),
    )
}
assert set(ENTITIES) == set(get_args(EntityName))  # noqa: S101 - a fault of this file, found at import

# What sources write for the values of closed lists, beside the values themselves.
SYNONYMS: dict[str, dict[str, str]] = {
    "state": {
        **dict.fromkeys(
            ("yes", "y", "true", "t", "1", "granted", "opt_in", "opt-in", "opted_in", "subscribed",
             "accepted", "allow", "allowed"),
            "granted",
        ),
        **dict.fromkeys(
            ("no", "n", "false", "f", "0", "denied", "declined", "rejected", "deny"), "denied"
        ),
        **dict.fromkeys(
            ("withdrawn", "revoked", "opt_out", "opt-out", "opted_out", "unsubscribed"), "withdrawn"
        ),
    },
}  # fmt: skip

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "VARCHAR": {"type": "string"},
    "JSON": {"type": "object"},
    "BOOLEAN": {"type": "boolean"},
    "INTEGER": {"type": "integer"},
    "BIGINT": {"type": "integer"},
    "TIMESTAMP WITH TIME ZONE": {"type": "string", "format": "date-time"},
}


def entity_schema(name: str) -> str:
    """The JSON Schema of an entity's record, as `config/schemas/entities/<name>.schema.json` holds it.

    A file of such records, one a line, is read with `format: canonical`.
    """
    entity = ENTITIES[name]
    properties: dict[str, Any] = {}
    for column, type_ in entity.told_columns.items():
        if column in READER_COLUMNS - {"properties"}:
            continue
        described = dict(_JSON_TYPES.get(type_, {"type": "number"}))
        if column in entity.values:
            described["enum"] = list(entity.values[column])
        if column in entity.minimums:
            described["minimum"] = entity.minimums[column]
        if column == "currency":
            described = {"type": "string", "pattern": "^[A-Z]{3}$"}
        if column not in entity.required:
            described["type"] = [described["type"], "null"]
            if "enum" in described:
                described["enum"] = [*described["enum"], None]
        properties[column] = described
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": TABLES[entity.table].grain,
        "type": "object",
        "required": list(entity.required),
        "properties": properties,
    }
    if entity.one_of:
        schema["anyOf"] = [{"required": [column]} for column in entity.one_of]
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
