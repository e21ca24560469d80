"""Find a run's files and check that their layouts fit, before anything is loaded."""

import csv
import difflib
import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from jobs.consent import load_run_policy
from jobs.errors import ConfigError, InputDataError
from jobs.run_config import RunConfig
from jobs.settings import PROJECT_ROOT, expand_variables
from jobs.sources.formats import make_layout
from jobs.sources.layout import Layout
from jobs.sources.mapping import Mapping, SourceConfig, load_mapping
from jobs.storage import OpenedFile, StoredFile, list_files, open_binary, open_text
from jobs.storage.postgres import describe_url

_DAY_IN_PATH = re.compile(r"(?<!\d)(20\d{2})[-_/]?(0[1-9]|1[0-2])[-_/]?(0[1-9]|[12]\d|3[01])(?!\d)")


@dataclass(frozen=True)
class PlannedSource:
    """A source and the files that it has now."""

    config: SourceConfig
    mapping: Mapping | None
    mapping_path: Path | None
    files: tuple[StoredFile, ...]
    purposes: dict[str, str]  # word -> purpose of consent that it means
    url: str = ""  # of a database; holds a password
    _layouts: dict[str, Layout] = field(default_factory=dict)

    def layout_of(self, path: str) -> Layout:
        """The layout that a file is read by (made once for each kind of name)."""
        ending = "".join(Path(path).suffixes[-2:])
        if ending not in self._layouts:
            self._layouts[ending] = make_layout(self.config, self.mapping, path)
        return self._layouts[ending]

    def open(self, file: StoredFile) -> AbstractContextManager[OpenedFile]:
        """Open a file as its layout needs it."""
        layout = self.layout_of(file.path)
        if layout.file_type == "parquet":
            return open_binary(file)
        return open_text(file, encoding=layout.encoding)


def _resolve(name: str, config_path: Path) -> list[str]:
    """The places that a relative path may mean: beside the configuration, then in the project."""
    if name.startswith("s3://") or Path(name).is_absolute():
        return [name]
    bases = (config_path.resolve().parent, PROJECT_ROOT)
    places = [os.path.normpath(base / name) for base in bases]
    return list(dict.fromkeys(places))


def plan_sources(
    config: RunConfig,
    config_path: Path,
    *,
    names: tuple[str, ...] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> tuple[PlannedSource, ...]:
    """List each source's files, urgent sources first, else in the order of the configuration.

    Args:
        config: the run configuration.
        config_path: where it was read from.
        names: only these sources.
        since: leave out files whose path names an earlier day.
        until: leave out files whose path names this or a later day.

    Raises:
        ConfigError: a mapping file or the consent policy is wrong, or there is no source of a name.
        InputDataError: a source has no file, or its bucket does not exist.
    """
    wanted = order_sources(config, names)
    by_name = {source.name: source for source in config.sources}
    purposes = load_run_policy(config, config_path).words
    return tuple(_plan(by_name[name], config_path, purposes, since, until) for name in wanted)


def order_sources(config: RunConfig, names: tuple[str, ...] | None = None) -> list[str]:
    """The names of a run's sources, or of some of them: urgent ones first, else as they are configured.

    Raises:
        ConfigError: there is no source of a name.
    """
    known = {source.name for source in config.sources}
    if unknown := sorted(set(names or ()) - known):
        raise ConfigError(
            f"{config.name} has no source {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
    chosen = [source for source in config.sources if names is None or source.name in names]
    return [
        source.name for source in sorted(chosen, key=lambda source: source.priority != "urgent")
    ]


def _plan(
    source: SourceConfig,
    config_path: Path,
    purposes: dict[str, str],
    since: date | None,
    until: date | None,
) -> PlannedSource:
    mapping_path = None
    if source.mapping is not None:
        candidates = [Path(place) for place in _resolve(str(source.mapping), config_path)]
        mapping_path = next((path for path in candidates if path.is_file()), candidates[0])
    mapping = load_mapping(mapping_path) if mapping_path else None
    path = expand_variables(source.path)
    if source.is_database:
        file = StoredFile(f"{describe_url(path)}/{source.table or 'query'}", 0, "")
        return PlannedSource(source, mapping, mapping_path, (file,), purposes, path)
    places = _resolve(path, config_path)
    files = next((found for place in places if (found := list_files(place))), [])
    if not files:
        raise InputDataError(
            f"source {source.name}: no file at {' or '.join(places)}; check `path:` in {config_path}"
        )
    kept = [file for file in files if _is_within(file.path, since, until)]
    return PlannedSource(source, mapping, mapping_path, tuple(kept), purposes)


def _is_within(path: str, since: date | None, until: date | None) -> bool:
    """Whether a file belongs to a backfill: the last day that its path names does, or it names none."""
    days = _DAY_IN_PATH.findall(path)
    if not days:
        return True
    year, month, day = map(int, days[-1])
    try:
        named = date(year, month, day)
    except ValueError:  # 30 February is no day, so the path names none
        return True
    return (since is None or named >= since) and (until is None or named < until)


def read_header(layout: Layout, path: Path, shown_path: str) -> list[str]:
    """The columns of a CSV or Parquet file; other files, and empty ones, have none: an empty list.

    A name that stands there twice, in whatever case, gets a number behind it (`name (2)`), an empty one is `column N`.

    Raises:
        InputDataError: the file cannot be read.
    """
    if layout.file_type == "parquet":
        try:
            described = duckdb.execute(
                "DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)", [str(path)]
            )
            return [row[0] for row in described.fetchall()]
        except duckdb.Error as err:
            raise InputDataError(
                f"reading {shown_path}: {type(err).__name__}; check that it is a whole Parquet file"
            ) from None
    if layout.file_type != "csv":
        return []
    if layout.header:
        return list(layout.header)
    try:
        names = next(csv.reader([_first_line(path, shown_path)], delimiter=layout.delimiter), [])
    except csv.Error as err:
        raise _no_header(shown_path) from err
    seen: dict[str, int] = {}
    header = []
    for position, name in enumerate(names, start=1):
        unique = name.strip() or f"column {position}"
        seen[unique.lower()] = seen.get(unique.lower(), 0) + 1
        header.append(unique if seen[unique.lower()] == 1 else f"{unique} ({seen[unique.lower()]})")
    return header


def _no_header(shown_path: str) -> InputDataError:
    return InputDataError(
        f"reading {shown_path}: its first line names no columns; a CSV file needs a header line, or a mapping with `header:`"
    )


def _first_line(path: Path, shown_path: str) -> str:
    """The first line of a text file, whatever its compression."""
    import pyarrow as pa

    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    try:
        with pa.input_stream(str(path), compression=compression) as stream:
            data = b""
            while b"\n" not in data and (chunk := stream.read(65_536)):
                data += chunk
    except (OSError, ValueError) as err:
        raise InputDataError(
            f"reading {shown_path}: {type(err).__name__}; check that it is a CSV file"
        ) from err
    line = data.split(b"\n", 1)[0].decode("utf-8", errors="replace")
    return line.removeprefix("\ufeff").rstrip("\r\n")


def check_header(source: PlannedSource, layout: Layout, header: list[str], shown_path: str) -> None:
    """Compare a file's columns with the layout.

    Raises:
        ConfigError: the layout reads a column that the file lacks, or has twice.
    """
    if layout.file_type != "csv":
        return
    if not header:
        raise _no_header(shown_path)
    # Without one known name the line may be no header but a row, and its values personal.
    has_names = bool(set(header) & set(layout.fields.values()))
    shown = f" (it has {', '.join(header)[:500]})" if has_names else ""
    for name, column in layout.fields.items():
        where = source.mapping_path or f"format {source.config.format}"
        if f"{column} (2)" in header:
            raise ConfigError(
                f"source {source.config.name}: {shown_path} has two columns {column!r}, and {where} "
                "reads it; give one of them another name"
            )
        if column not in header and name not in layout.optional:
            near = difflib.get_close_matches(column, header, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"source {source.config.name}: {where} names the column {column!r}, which {shown_path} "
                f"does not have{shown}{hint}"
            )


def check_sources(sources: tuple[PlannedSource, ...]) -> None:
    """Check the newest file of each source against its layout, so that a wrong one stops before the first write.

    Raises:
        ConfigError: the layout does not fit.
        InputDataError: the file cannot be read.
    """
    for source in sources:
        if source.config.is_database or not source.files:
            continue
        file = source.files[-1]
        layout = source.layout_of(file.path)
        if file.size_bytes and layout.file_type == "csv":
            with source.open(file) as opened:
                check_header(source, layout, read_header(layout, opened.path, file.path), file.path)
