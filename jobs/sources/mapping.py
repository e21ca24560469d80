"""What a person writes to have a source read: the source in a run configuration, and a mapping file for logs of one's own."""

import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

import duckdb
import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from jobs.errors import ConfigError, describe_faults
from jobs.sources.column_names import looks_personal
from jobs.sources.entities import (
    ENTITIES,
    EVENT_TYPES,
    IDENTIFIERS,
    READER_COLUMNS,
    VAULT_ONLY,
    EntityName,
)
from jobs.sources.layout import FileType, Layout, Part
from jobs.sources.statement import name_groups, quote_identifier, quote_literal

# Filled by the loader where a source has no such column.
_DEFAULTED = {"orders": {"line_type"}, "consents": {"recorded_at"}}
_EACH = "each."


def check_time_zone(value: str) -> str:
    """Refuse a zone that does not exist."""
    # Not ZoneInfo(value), which takes a name that leads to any file.
    if value not in available_timezones():
        raise ValueError(f"unknown time zone {value!r}; use a name such as Europe/Berlin")
    return value


def check_encoding(value: str) -> str:
    """Refuse an encoding that Python does not know."""
    try:
        "".encode(value)
    except LookupError as err:
        raise ValueError(f"unknown encoding {value!r}; use a name such as latin-1") from err
    return value


class Mapping(BaseModel, frozen=True, extra="forbid"):
    """Where each column of a raw table stands in a record.

    A source column is named by its header (CSV), its dotted path (JSON lines, Parquet: `product.id`) or its group in `pattern`
    (text). A list of names takes the first that has a value.
    """

    file_type: FileType
    entity: EntityName = "events"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    pattern: str = (
        ""  # of a text file's lines: a regular expression with named groups (?P<name>...)
    )
    skipped_lines: int = Field(default=0, ge=0)  # at the head of a text file
    header: tuple[
        str, ...
    ] = ()  # names for the columns of CSV files without a header line, in order
    encoding: str = "utf-8"
    time_zone: str = "UTC"  # of times that carry no offset
    time_format: str = "iso"  # iso, epoch, epoch_s, epoch_ms, epoch_us, or a strptime pattern
    decimal_mark: Literal[".", ","] = "."
    columns: dict[str, str | tuple[str, ...]]
    each: str | None = (
        None  # path of a list: one row an element, whose values are named each.<path>
    )
    optional: tuple[str, ...] = ()  # columns whose source column a file may lack
    constants: dict[str, str | float | bool] = {}
    event_names: dict[str, str] = {}
    other_events: str = (
        ""  # event type of names that are not in event_names; they are rejected unless set
    )
    values: dict[str, dict[str, str]] = {}  # column -> what the source writes -> what it means
    identified_by: tuple[str, ...] = ()  # columns that tell two records apart where there is no id
    equal_rows: Literal["once", "distinct"] = (
        "once"  # equal lines of a file: told twice, or two things
    )
    user_agent: str | None = None  # read to find bots, never stored
    properties: dict[str, str] = {}  # what else to keep: name -> source column
    # Source columns that hold personal data: `properties` gets pseudonyms of their values, and no other column may read them
    # but those that are pseudonyms or for the vault anyway.
    personal: tuple[str, ...] = ()
    not_personal: tuple[str, ...] = ()  # source columns that only sound as if they did

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str) -> str:
        return check_time_zone(value)

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str) -> str:
        return check_encoding(value)

    @field_validator("time_format")
    @classmethod
    def _check_time_format(cls, value: str) -> str:
        if value in {"iso", "epoch", "epoch_s", "epoch_ms", "epoch_us"}:
            return value
        if "%" not in value:
            raise ValueError(
                "expected iso, epoch, epoch_s, epoch_ms, epoch_us or a pattern such as %d.%m.%Y"
            )
        try:
            duckdb.execute("SELECT try_strptime('', ?)", [value])
        except duckdb.Error as err:
            raise ValueError(f"the pattern {value!r} is not one of strptime's") from err
        return value

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, value: str) -> str:
        try:
            names = name_groups(value)
            duckdb.execute("SELECT regexp_full_match('', ?)", [value])
        except (re.error, duckdb.Error) as err:
            raise ValueError("pattern is no regular expression that RE2 knows") from err
        if value and not any(" " not in name for name in names):
            raise ValueError("pattern has no named group: (?P<name>...)")
        return value

    @model_validator(mode="after")
    def _check_columns(self) -> "Mapping":
        entity = ENTITIES[self.entity]
        known = set(entity.told_columns) - READER_COLUMNS
        named = {*self.columns, *self.optional, *self.constants, *self.identified_by, *self.values}
        if unknown := sorted(named - known):
            raise ValueError(
                f"unknown columns {unknown} of raw.{self.entity}; it has {sorted(known)}"
            )
        filled = {*self.columns, *self.constants} | _DEFAULTED.get(self.entity, set())
        if missing := [name for name in entity.required if name not in filled]:
            raise ValueError(f"columns {missing} are needed; name their source columns")
        if entity.one_of and not filled & set(entity.one_of):
            raise ValueError(f"one of the columns {list(entity.one_of)} is needed")
        unknown_types = {*self.event_names.values(), self.other_events} - {*EVENT_TYPES, ""}
        if unknown_types:
            raise ValueError(
                f"unknown event types {sorted(unknown_types)}; known: {list(EVENT_TYPES)}"
            )
        if self.entity == "events" and not self.event_names and "event_type" in self.columns:
            raise ValueError("event_names is needed: the log's event names and their event types")
        if (self.file_type == "text") != bool(self.pattern):
            raise ValueError("`pattern` is needed for text files, and only for these")
        if self.pattern and (extra := set(self._names()) - set(name_groups(self.pattern))):
            raise ValueError(f"pattern has no groups {sorted(extra)}")
        if self.header:
            self._check_given_header()
        self._check_personal()
        if self.each and self.file_type not in {"jsonl", "parquet"}:
            raise ValueError("`each` needs JSON lines or Parquet")
        return self

    def _check_given_header(self) -> None:
        if self.file_type != "csv":
            raise ValueError("`header` names the columns of CSV files that have no header line")
        if len(set(self.header)) < len(self.header):
            raise ValueError(
                "`header` has a name twice; it names every column of the file, in order"
            )
        if extra := sorted(set(self._names()) - set(self.header)):
            raise ValueError(f"`header` does not name {extra}; it names every column of the file")

    def _check_personal(self) -> None:
        """Refuse to write in clear what is called as personal data is, or is declared so."""
        hidden = {*IDENTIFIERS, *VAULT_ONLY}
        clear = {
            name: column
            for column in self.columns
            if column not in hidden
            for name in self.sources_of(column)
        }
        for name, column in clear.items():
            if name in self.personal:
                raise ValueError(
                    f"{name!r} is personal, and {column} would hold it in clear; map it to email, phone, user_id, first_name, "
                    "last_name or postal_code, or keep a pseudonym of it under `properties`"
                )
        kept = {**clear, **{name: f"properties.{key}" for key, name in self.properties.items()}}
        for name, place in kept.items():
            if name not in {*self.personal, *self.not_personal} and looks_personal(name):
                raise ValueError(
                    f"{name!r} seems to hold personal data, and {place} would keep it in clear; list it under `personal:` (then "
                    "`properties` keeps a pseudonym), or under `not_personal:` if it only sounds like it"
                )

    def sources_of(self, column: str) -> tuple[str, ...]:
        """The source columns that a column is read from, best first."""
        value = self.columns.get(column, ())
        return (value,) if isinstance(value, str) else value

    def _names(self) -> list[str]:
        """Every source column that is read, each once, in order."""
        names = [name for column in self.columns for name in self.sources_of(column)]
        names += [*self.properties.values()]
        if self.user_agent:
            names.append(self.user_agent)
        return list(dict.fromkeys(names))

    def to_layout(self) -> Layout:
        """The layout of files that this mapping reads."""
        names = self._names()
        of_element = [name for name in names if self.each and name.startswith(_EACH)]
        of_record = [name for name in names if name not in of_element]
        fields = {f"s{index}": name for index, name in enumerate(of_record)}
        each_fields = {
            f"e{index}": name.removeprefix(_EACH) for index, name in enumerate(of_element)
        }
        sql = {name: field for field, name in fields.items()}
        sql |= {f"{_EACH}{name}": field for field, name in each_fields.items()}
        if self.each:
            fields["list"] = self.each
        columns = {}
        for column in ENTITIES[self.entity].told_columns:
            found = [sql[name] for name in self.sources_of(column)]
            text = found[0] if len(found) == 1 else f"coalesce({', '.join(found)})" if found else ""
            if not text and column in self.constants:
                text = quote_literal(str(self.constants[column]))
            if text and column in self.values:
                cases = " ".join(
                    f"WHEN {quote_literal(said)} THEN {quote_literal(meant)}"
                    for said, meant in self.values[column].items()
                )
                text = f"CASE {text} {cases} ELSE {text} END"
            if text:
                columns[column] = text
        optional = {sql[name] for column in self.optional for name in self.sources_of(column)}
        part = Part(
            entity=self.entity,
            columns=columns,
            each=_list_of("list") if self.each else "",
            each_fields=each_fields,
            event_names=self.event_names,
            other_events=self.other_events,
            identified_by=self.identified_by,
            user_agent=sql[self.user_agent] if self.user_agent else "",
            properties={
                name: f"pseudonym_of_text({sql[source]})"
                if source in self.personal
                else sql[source]
                for name, source in self.properties.items()
            },
        )
        return Layout(
            file_type=self.file_type,
            parts=(part,),
            fields=fields,
            optional=frozenset(optional),
            delimiter=self.delimiter,
            pattern=self.pattern,
            skipped_lines=self.skipped_lines,
            header=self.header,
            time_zone=self.time_zone,
            time_format=self.time_format,
            decimal_mark=self.decimal_mark,
            encoding=self.encoding,
            equal_rows=self.equal_rows,
        )


def _list_of(name: str) -> str:
    """SQL of the elements of a field that holds a JSON list."""
    field = quote_identifier(name)
    return (
        f"CASE WHEN {field} IS NOT NULL AND json_valid({field}) AND json_type({field}) = 'ARRAY' "
        f"THEN json_extract({field}, '$[*]') END"
    )


class PathRule(BaseModel, frozen=True, extra="forbid"):
    """Which requests of an access log are which events; the first rule that fits counts."""

    path: str  # regular expression; groups item_id, category, search_query, order_id give these columns
    event_type: str
    method: str | None = None

    @field_validator("event_type")
    @classmethod
    def _check_event_type(cls, value: str) -> str:
        if value not in EVENT_TYPES:
            raise ValueError(f"unknown event type {value!r}; known: {list(EVENT_TYPES)}")
        return value

    @field_validator("path")
    @classmethod
    def _check_path(cls, value: str) -> str:
        try:
            groups = {name for name in name_groups(value) if " " not in name}
            duckdb.execute("SELECT regexp_matches('', ?)", [value])
        except (re.error, duckdb.Error) as err:
            raise ValueError(f"the path {value!r} is no regular expression that RE2 knows") from err
        if extra := groups - {"item_id", "category", "search_query", "order_id"}:
            raise ValueError(
                f"unknown groups {sorted(extra)}; known: item_id, category, search_query, order_id"
            )
        return value


Format = Literal[
    "generic",
    "canonical",
    "ga4",
    "segment",
    "snowplow",
    "shopify_orders",
    "shopify_customers",
    "rees46",
    "retailrocket",
    "retailrocket_item_properties",
    "retailrocket_category_tree",
    "access_log",
    "w3c",
]


class SourceConfig(BaseModel, frozen=True, extra="forbid"):
    """One source of a run: files of one layout in one place, or a table of a database."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    format: Format = "generic"
    # A file, a folder or a pattern; local or s3://bucket/prefix/*.gz; or postgresql://...; may hold ${VARIABLES}.
    path: str
    mapping: Path | None = None  # of a generic source
    entity: EntityName = "events"  # of a canonical source
    rules: tuple[PathRule, ...] = ()  # of an access log
    table: str | None = None  # of a database: schema.table
    query: str | None = None  # of a database, instead of a table
    watermark: str | None = (
        None  # of a database: a column that only grows; read from where the last run ended
    )
    overlap_seconds: float = Field(
        default=600, ge=0
    )  # read again before the watermark: late commits
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")  # of amounts that name none
    time_zone: str | None = None  # of times that carry no offset, where the format leaves it open
    phone_country: str | None = Field(
        default=None, pattern=r"^[A-Z]{2}$"
    )  # whose national telephone numbers are meant; international ones need none
    encoding: str | None = None
    equal_rows: Literal["once", "distinct"] | None = None
    when_rewritten: Literal["keep", "replace"] | None = None
    starts_at: date | datetime | None = None  # earlier times are rejected
    max_reject_rate: float = Field(default=0.5, ge=0, le=1)  # more is a wrong mapping, not dirt
    # This tracker sends nothing unless its visitor agreed to these purposes of the consent policy.
    consented: tuple[str, ...] = ()
    priority: Literal["urgent", "normal"] = "normal"

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str | None) -> str | None:
        return check_time_zone(value) if value else value

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str | None) -> str | None:
        return check_encoding(value) if value else value

    @model_validator(mode="after")
    def _check_together(self) -> "SourceConfig":
        if self.format == "generic" and self.mapping is None:
            raise ValueError("a generic source needs `mapping:`, the path of a mapping file")
        if self.format != "generic" and self.mapping is not None:
            raise ValueError(f"format {self.format} brings its own mapping; leave `mapping:` out")
        if self.rules and self.format not in {"access_log", "w3c"}:
            raise ValueError("`rules:` are for the formats access_log and w3c")
        is_postgres = self.path.startswith(("postgresql://", "postgres://"))
        if is_postgres and not self.is_database:
            raise ValueError("a database needs `table:` or `query:`")
        if self.is_database and not (is_postgres or self.path.startswith("${")):
            raise ValueError("`table:` and `query:` go with a path postgresql://...")
        if self.table and self.query:
            raise ValueError("give `table:` or `query:`, not both")
        if self.watermark and not self.is_database:
            raise ValueError("`watermark:` is a column of a database's table")
        return self

    @property
    def is_database(self) -> bool:
        """True when rows come from PostgreSQL, not from files."""
        return bool(self.table or self.query)


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
