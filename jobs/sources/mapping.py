"""How a source's records become rows of `raw`: the mapping, and the source that uses it.

A mapping names, for each column of a raw table, where its value stands in the record. The known layouts (`rees46`,
`retailrocket`) are mappings that ship with the code; any other CSV or JSON-lines file is read by a mapping file.
"""

import json
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from jobs.errors import ConfigError, describe_faults
from jobs.lake.tables import TABLES

Entity = Literal["events", "items", "profiles", "consents"]

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

# Set by the reader itself, never by a mapping.
_READER_COLUMNS = {"source", "file_id", "line_number", "is_bot", "bot_rule", "properties"}

REQUIRED: dict[str, tuple[str, ...]] = {
    "events": ("event_type", "occurred_at"),
    "items": ("item_id",),
    "profiles": ("user_id",),
    "consents": ("user_id", "purpose", "state", "recorded_at"),
}


class Mapping(BaseModel, frozen=True, extra="forbid"):
    """Where each column of a raw table stands in a record.

    In a CSV file a source column is named by its header, in a JSON-lines file by its dotted path (`product.id`). A list of
    names takes the first that has a value.
    """

    file_type: Literal["csv", "jsonl"]
    entity: Entity = "events"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    time_zone: str = "UTC"  # of times that carry no offset
    time_format: str = "iso"  # iso, epoch_s, epoch_ms, epoch_us, or a strptime pattern
    columns: dict[str, str | tuple[str, ...]]
    optional: tuple[str, ...] = ()  # columns whose source column a file may lack
    constants: dict[str, str | float | bool] = {}
    event_names: dict[str, str] = {}
    identified_by: tuple[str, ...] = ()  # columns that tell two events apart where there is no id
    user_agent: str | None = None  # read to find bots, never stored
    properties: dict[str, str] = {}  # what else to keep: name -> source column

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as err:
            raise ValueError(
                f"unknown time zone {value!r}; use a name such as Europe/Berlin"
            ) from err
        return value

    @field_validator("time_format")
    @classmethod
    def _check_time_format(cls, value: str) -> str:
        if value in {"iso", "epoch_s", "epoch_ms", "epoch_us"}:
            return value
        if "%" not in value:
            raise ValueError(
                "expected iso, epoch_s, epoch_ms, epoch_us or a pattern such as %d.%m.%Y"
            )
        try:
            duckdb.execute("SELECT try_strptime('', ?)", [value])
        except duckdb.Error as err:
            raise ValueError(f"the pattern {value!r} is not one of strptime's") from err
        return value

    @model_validator(mode="after")
    def _check_columns(self) -> "Mapping":
        known = set(TABLES[f"raw.{self.entity}"].columns) - _READER_COLUMNS
        named = {*self.columns, *self.optional, *self.constants, *self.identified_by}
        if unknown := sorted(named - known):
            raise ValueError(
                f"unknown columns {unknown} of raw.{self.entity}; it has {sorted(known)}"
            )
        filled = {*self.columns, *self.constants}
        if missing := [name for name in REQUIRED[self.entity] if name not in filled]:
            raise ValueError(f"columns {missing} are needed; name their source columns")
        if unknown_types := sorted(set(self.event_names.values()) - set(EVENT_TYPES)):
            raise ValueError(f"unknown event types {unknown_types}; known: {list(EVENT_TYPES)}")
        if self.entity == "events" and not self.event_names and "event_type" in self.columns:
            raise ValueError("event_names is needed: the log's event names and their event types")
        return self

    def sources_of(self, column: str) -> tuple[str, ...]:
        """The source columns that a column is read from, best first."""
        value = self.columns.get(column, ())
        return (value,) if isinstance(value, str) else value


class SourceConfig(BaseModel, frozen=True, extra="forbid"):
    """One source of a run: files of one layout in one place."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    format: Literal["rees46", "retailrocket", "generic"] = "generic"
    path: str  # a file, a folder or a pattern; local or s3://bucket/prefix/*.gz; may hold ${VARIABLES}
    mapping: Path | None = None  # of a generic source

    @model_validator(mode="after")
    def _check_mapping(self) -> "SourceConfig":
        if self.format == "generic" and self.mapping is None:
            raise ValueError("a generic source needs `mapping:`, the path of a mapping file")
        if self.format != "generic" and self.mapping is not None:
            raise ValueError(f"format {self.format} brings its own mapping; leave `mapping:` out")
        return self


def mapping_schema() -> str:
    """The JSON Schema of mapping files, as `config/schemas/mapping.schema.json` holds it."""
    return json.dumps(Mapping.model_json_schema(), indent=2, sort_keys=True) + "\n"


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        ConfigError: it is missing, not YAML, or names a column, a type or a zone that does not exist.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(f"reading the mapping {path}: {err.strerror}; check `mapping:`") from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"reading the mapping {path}: not valid YAML in UTF-8") from err
    try:
        return Mapping.model_validate(content)
    except ValidationError as err:
        raise ConfigError(f"reading the mapping {path}: {describe_faults(err)}") from err
