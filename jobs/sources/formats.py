"""The formats that are known by name: which reader each has, and the layout that a source's files are read by."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from jobs.errors import ConfigError
from jobs.sources.entities import ENTITIES, READER_COLUMNS
from jobs.sources.layout import FileType, Layout, Part
from jobs.sources.mapping import Mapping, SourceConfig

_COMPRESSED = re.compile(r"\.(gz|zst|bz2)$", re.IGNORECASE)
_PARQUET = re.compile(r"\.(parquet|pq)$", re.IGNORECASE)
_JSON = re.compile(r"\.(jsonl?|ndjson)$", re.IGNORECASE)


@dataclass(frozen=True)
class Format:
    """A format: what it is, and the function of a reader module that makes its layout.

    Attributes:
        title: for people.
        module: of `jobs.sources`.
        maker: name of its function.
        recogniser: name of its function `(file name, head) -> bool`, for `personalake init`.
        takes: what the maker is given: nothing, the `file_type` or the `rules`.
    """

    title: str
    module: str
    maker: str
    recogniser: str
    takes: str = ""

    def call(self, name: str) -> Callable[..., Any]:
        """A function of the reader module; the module is imported only now."""
        found: Callable[..., Any] = getattr(import_module(f"jobs.sources.{self.module}"), name)
        return found


FORMATS: dict[str, Format] = {
    "ga4": Format("GA4 BigQuery export", "ga4", "make_layout", "recognises", "file_type"),
    "segment": Format(
        "Segment, RudderStack or PostHog calls", "segment", "make_layout", "recognises", "file_type"
    ),
    "snowplow": Format(
        "Snowplow enriched events", "snowplow", "make_layout", "recognises", "file_type"
    ),
    "shopify_orders": Format(
        "Shopify orders CSV", "shopify", "make_orders_layout", "recognises_orders"
    ),
    "shopify_customers": Format(
        "Shopify customers CSV", "shopify", "make_customers_layout", "recognises_customers"
    ),
    "rees46": Format("REES46 events CSV", "rees46", "make_layout", "recognises"),
    "retailrocket": Format(
        "RetailRocket events CSV", "retailrocket", "make_events_layout", "recognises_events"
    ),
    "retailrocket_item_properties": Format(
        "RetailRocket item properties CSV",
        "retailrocket",
        "make_item_properties_layout",
        "recognises_item_properties",
    ),
    "retailrocket_category_tree": Format(
        "RetailRocket category tree CSV",
        "retailrocket",
        "make_category_tree_layout",
        "recognises_category_tree",
    ),
    "access_log": Format(
        "nginx or Apache access log",
        "access_logs",
        "make_access_log_layout",
        "recognises_access_log",
        "rules",
    ),
    "w3c": Format(
        "W3C extended log (IIS)", "access_logs", "make_w3c_layout", "recognises_w3c", "rules"
    ),
}


def find_file_type(path: str) -> FileType:
    """What a file is by its name: Parquet, JSON lines, or else CSV."""
    name = _COMPRESSED.sub("", PurePosixPath(path).name)
    if _PARQUET.search(name):
        return "parquet"
    return "jsonl" if _JSON.search(name) else "csv"


def make_layout(source: SourceConfig, mapping: Mapping | None, path: str) -> Layout:
    """The layout that a file of a source is read by.

    Args:
        source: as configured; what it says of zones, encodings and such counts more than the format's own.
        mapping: of a generic source.
        path: the file.

    Raises:
        ConfigError: the format has no reader for a file of this kind.
    """
    if mapping is not None:
        layout = mapping.to_layout()
        if source.is_database:
            layout = replace(layout, file_type="parquet")
    elif source.format == "canonical":
        layout = _canonical(source, "parquet" if source.is_database else find_file_type(path))
    else:
        format_ = FORMATS[source.format]
        arguments: list[Any] = []
        if format_.takes == "rules":
            arguments = [source.rules]
        elif format_.takes == "file_type":
            arguments = [find_file_type(path)]
        try:
            layout = format_.call(format_.maker)(*arguments)
        except (KeyError, ValueError) as err:
            raise ConfigError(
                f"source {source.name}: {path} is no file that format {source.format} is read from ({err})"
            ) from err
    said = {
        name: value
        for name in ("time_zone", "encoding", "equal_rows", "when_rewritten")
        if (value := getattr(source, name)) is not None
    }
    return replace(layout, **said) if said else layout


def _canonical(source: SourceConfig, file_type: FileType) -> Layout:
    """Records that are written as the tables are: the JSON Schema of the entity is their description."""
    entity = ENTITIES[source.entity]
    names = [name for name in entity.columns if name not in READER_COLUMNS - {"properties"}]
    required = {*entity.required}
    part = Part(entity=entity.name, columns={name: f'"{name}"' for name in names})
    return Layout(
        file_type=file_type,
        parts=(part,),
        fields={name: name for name in names},
        optional=frozenset(names) - required,
    )
