"""How a format's files become records, and how a record becomes rows of `raw`: the contract between readers and loader.

A reader module (`ga4.py`, `shopify.py`, ...) offers a `Layout` and writes no loop: it names the fields of a record and gives,
for each column of a raw table, SQL over these fields. `statement.py` turns a layout into statements, `extraction.py` runs
them. SQL in a layout is the project's own text; what a person wrote (headers, paths, names) is quoted by `statement.py`.
"""

from dataclasses import dataclass, field
from typing import Literal

from jobs.sources.entities import EntityName

FileType = Literal["csv", "jsonl", "parquet", "text"]


@dataclass(frozen=True)
class Part:
    """What a format gives to one raw table.

    SQL here reads the columns of one record: the layout's `fields` and `derived` by their names (VARCHAR, trimmed, null where
    blank), and `local_path` and `row_number`. With `each`, also `element` (JSON), `element_number` (from 1) and the
    `each_fields` by their names.

    Attributes:
        entity: the raw table.
        columns: raw column -> SQL of its text (VARCHAR); the loader trims, types and judges it. For events, `event_type` is
            the log's name of the event when there are `event_names`, else one of `EVENT_TYPES`; `event_id` is left out where
            the log has none. Numbers have a decimal point. Columns that are left out are null.
        where: SQL; the records that this part is of. Others are passed over. Empty for all records: then lines that are no
            record, too, are this part's and are rejected; exactly one part of a layout has that duty: the first.
        each: SQL of a JSON[]; a record gives one row for each element, and one row without an element (`element` is null)
            where the list is empty or null.
        each_fields: name -> JSON path within an element (`item_id`, `value.string_value`).
        event_names: the log's event names and their event types; others are rejected as unknown.
        other_events: event type of names that are not in `event_names`; empty to reject these.
        identified_by: columns that tell two records apart where there is no id; empty for all columns.
        time_formats: column -> how its text is written, where it is not the layout's `time_format`.
        user_agent: SQL of the user agent's text; read to find bots, never stored.
        properties: name -> SQL of a value to keep in `properties`.
        rejected_if: further reasons to refuse a record: (SQL test, reason code, reason), before all others.
    """

    entity: EntityName
    columns: dict[str, str]
    where: str = ""
    each: str = ""
    each_fields: dict[str, str] = field(default_factory=dict)
    event_names: dict[str, str] = field(default_factory=dict)
    other_events: str = ""
    identified_by: tuple[str, ...] = ()
    time_formats: dict[str, str] = field(default_factory=dict)
    user_agent: str = ""
    properties: dict[str, str] = field(default_factory=dict)
    rejected_if: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Layout:
    """How the files of a format are written.

    Attributes:
        file_type: `csv` (RFC 4180, a header line), `jsonl` (one object a line), `parquet`, or `text` (one record a line).
        fields: name of the field in SQL -> where its text stands: the header's column (csv), a dotted path (`context.ip`,
            `items[0].id`; jsonl and parquet; an object or a list comes as JSON text), the group of `pattern` (text). With an
            empty `fields`, a text file's record has the field `line`.
        parts: the raw tables that a record may give rows to, the main one first.
        optional: fields whose column a CSV file may lack; they are null then.
        header: the columns of CSV files that have no header line.
        delimiter: between the columns of a CSV file.
        quote: of CSV fields; empty where quotes have no meaning (Snowplow's TSV).
        pattern: regular expression (RE2) with named groups that a whole line of a text file matches.
        ignored: SQL over `line`: lines that are no records and no faults (`line LIKE '#%'`); text and jsonl only.
        skipped_lines: lines at the head of a text file that are no records.
        derived: further fields: name -> SQL over the fields, each of which may use those before it. Window functions may
            look at other records of the file (`OVER (PARTITION BY local_path, ... ORDER BY row_number ...)`): then
            `is_ordered` must be true.
        is_ordered: records are numbered before they are read on; needed by windows.
        time_zone: of times that carry no offset.
        time_format: `iso`; `epoch` (s, ms, us and ns told apart by size), `epoch_s`, `epoch_ms`, `epoch_us`; or a strptime
            pattern.
        decimal_mark: `.` or `,` in numbers.
        encoding: of text files, by Python's name.
        equal_rows: whether equal records of one file are one thing told `once` more (a tracker's), or `distinct` things
            (an invoice's lines). Only records without an id of their own are compared.
        when_rewritten: what a changed file of the same path does to the rows of the version before: `keep` them (logs that
            grow or rotate), or `replace` them (exports that are delivered anew as a whole).
        delivery: regular expression with the groups `unit` and (optional) `rank` over a path: what is replaced together.
            Files of one unit are loaded together, those of the highest rank only (ranks in the order of `ranks`).
        ranks: values of the group `rank`, lowest first.
    """

    file_type: FileType
    parts: tuple[Part, ...]
    fields: dict[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    header: tuple[str, ...] = ()
    delimiter: str = ","
    quote: str = '"'
    pattern: str = ""
    ignored: str = ""
    skipped_lines: int = 0
    derived: dict[str, str] = field(default_factory=dict)
    is_ordered: bool = False
    time_zone: str = "UTC"
    time_format: str = "iso"
    decimal_mark: Literal[".", ","] = "."
    encoding: str = "utf-8"
    equal_rows: Literal["once", "distinct"] = "once"
    when_rewritten: Literal["keep", "replace"] = "keep"
    delivery: str = ""
    ranks: tuple[str, ...] = ()
