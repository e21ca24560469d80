"""Tell what a file is by its beginning: one of the known formats, or a table whose columns `guessing.py` makes sense of.

Pure: takes the first lines of a file (of Parquet: its columns and first rows), opens nothing.
"""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jobs.errors import ConfigError, InputDataError
from jobs.sources.formats import FORMATS, make_layout
from jobs.sources.layout import FileType
from jobs.sources.mapping import SourceConfig
from jobs.sources.value_types import EMAIL

SHOWN_LINES = 50  # what a reader is shown to recognise its format
DELIMITERS = ",;\t|"
_MIN_AGREEING = 0.8  # of the lines with as many fields as the header; the rest may be broken
_MAX_DEPTH = 4  # of objects in objects
_NUMBER = re.compile(r"[+-]?[\d.,]*\d")
_DAY = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")


@dataclass(frozen=True)
class Head:
    """The beginning of a file.

    Attributes:
        name: of the file.
        lines: the first lines of a text file, decoded.
        columns: of a Parquet file, with their types.
        rows: the first rows of a Parquet file.
        encoding: of a text file, by Python's name.
    """

    name: str
    lines: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    rows: tuple[dict[str, Any], ...] = ()
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Sample:
    """Values of the first records of a table.

    Attributes:
        file_type: how the file is written.
        values: column (JSON, Parquet: dotted path) -> the values that are not blank, as text.
        lists: path of a list of objects -> the same of its elements.
        count_records: how many records were looked at.
        delimiter: of a CSV file.
    """

    file_type: FileType
    values: dict[str, list[str]]
    lists: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    count_records: int = 0
    delimiter: str = ","


def recognise_format(head: Head) -> str | None:
    """The format whose reader knows the file, by its name in `FORMATS`; None when none does."""
    shown: list[str] | dict[str, str] = (
        dict(head.columns) if head.columns else list(head.lines[:SHOWN_LINES])
    )
    if not shown:
        return None
    for name, known in FORMATS.items():
        if known.call(known.recogniser)(head.name, shown) and _is_read_as(name, head):
            return name
    return None


def _is_read_as(format_name: str, head: Head) -> bool:
    """Whether the format's reader would take the file for what it is: it goes by the file's name."""
    probe = SourceConfig.model_validate({"name": "probe", "format": format_name, "path": head.name})
    try:
        file_type = make_layout(probe, None, head.name).file_type
    except ConfigError:
        return False
    if head.columns or file_type == "parquet":
        return bool(head.columns) and file_type == "parquet"
    first = next((line for line in head.lines if line.strip()), "")
    return (file_type == "jsonl") == first.lstrip().startswith("{")


def take_sample(head: Head) -> Sample:
    """Read the beginning of a file that no reader knows as a table.

    Raises:
        InputDataError: it is no table with names for its columns; the message says what it is instead.
    """
    if head.columns:
        return _sample_records("parquet", list(head.rows))
    lines = [line for line in head.lines if line.strip()]
    if not lines:
        raise InputDataError(f"{head.name}: it is empty")
    if lines[0].lstrip().startswith(("{", "[")):
        return _sample_json(head.name, lines)
    return _sample_csv(head.name, lines)


def _sample_json(name: str, lines: list[str]) -> Sample:
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    if len(records) < len(lines) * _MIN_AGREEING:
        raise InputDataError(
            f"{name}: JSON that is not one object a line; write it so (`jq -c '.[]'`) and try again"
        )
    return _sample_records("jsonl", records)


def _sample_records(file_type: FileType, records: list[dict[str, Any]]) -> Sample:
    values: dict[str, list[str]] = {}
    lists: dict[str, dict[str, list[str]]] = {}
    for record in records:
        for path, value in _flatten(record):
            if isinstance(value, list):
                elements = [element for element in value if isinstance(element, dict)]
                for element in elements:
                    inner = lists.setdefault(path, {})
                    for name, text in _flatten(element):
                        _keep(inner, name, text)
            else:
                _keep(values, path, value)
    return Sample(file_type, values, lists, len(records))


def _flatten(record: dict[str, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if not name or set('.[]"') & set(name):  # a dotted path cannot name it
            continue
        if isinstance(value, dict) and depth < _MAX_DEPTH:
            yield from _flatten(value, f"{prefix}{name}.", depth + 1)
        elif not isinstance(value, dict | bytes | bytearray):
            yield f"{prefix}{name}", value


def _keep(values: dict[str, list[str]], name: str, value: Any) -> None:
    """Note a column's value as text; blank ones only make the column known."""
    found = values.setdefault(name, [])
    if value is None or isinstance(value, list):
        return
    text = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if text:
        found.append(text)


def _sample_csv(name: str, lines: list[str]) -> Sample:
    delimiter, rows = _split(lines)
    if not rows:
        raise InputDataError(
            f"{name}: no format that is known, and no table with , ; | or a tab between its columns"
        )
    header = [cell.strip() for cell in rows[0]]
    if any(looks_like_value(cell) for cell in header):
        # The line is not shown: it is a record.
        raise InputDataError(
            f"{name}: the first line does not name the columns; add a line that does"
        )
    counted = [cell.lower() for cell in header]
    values: dict[str, list[str]] = {
        cell: [] for cell in header if cell and counted.count(cell.lower()) == 1
    }
    records = [row for row in rows[1:] if len(row) == len(header)]
    for row in records:
        for cell, text in zip(header, row, strict=True):
            if cell in values and text.strip():
                values[cell].append(text.strip())
    return Sample("csv", values, {}, len(records), delimiter)


def _split(lines: list[str]) -> tuple[str, list[list[str]]]:
    """The delimiter that most lines agree on, and the lines by it; no lines where none does."""
    best: tuple[str, list[list[str]]] = (",", [])
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        agreeing = sum(len(row) == width for row in rows)
        if width > max(1, len(best[1][0]) if best[1] else 1) and agreeing >= _MIN_AGREEING * len(
            rows
        ):
            best = (delimiter, rows)
    return best


def looks_like_value(text: str) -> bool:
    """Whether a cell is rather a value (a number, a day, an address) than the name of a column."""
    return bool(_NUMBER.fullmatch(text) or _DAY.match(text) or EMAIL.search(text))


def merge_samples(samples: list[Sample]) -> tuple[Sample, frozenset[str]]:
    """Join the samples of files that are alike; tells which columns some of them lack.

    The last one says how the files are written.
    """
    newest = samples[-1]
    alike = [
        sample
        for sample in samples
        if (sample.file_type, sample.delimiter) == (newest.file_type, newest.delimiter)
    ]
    values: dict[str, list[str]] = {}
    lists: dict[str, dict[str, list[str]]] = {}
    for sample in reversed(alike):
        for name, found in sample.values.items():
            values.setdefault(name, []).extend(found)
        for path, inner in sample.lists.items():
            for name, found in inner.items():
                lists.setdefault(path, {}).setdefault(name, []).extend(found)
    lacking = frozenset(
        name for name in values if any(name not in sample.values for sample in alike)
    )
    joined = Sample(
        newest.file_type,
        values,
        lists,
        sum(sample.count_records for sample in alike),
        newest.delimiter,
    )
    return joined, lacking
