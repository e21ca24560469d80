"""Find a run's files and check that their mappings fit, before anything is loaded."""

import csv
import difflib
import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import duckdb

from jobs.errors import ConfigError, InputDataError
from jobs.run_config import RunConfig
from jobs.settings import PROJECT_ROOT, expand_variables
from jobs.sources import rees46, retailrocket
from jobs.sources.mapping import Mapping, SourceConfig, load_mapping
from jobs.sources.statement import NO_DELIMITER, source_columns
from jobs.storage import StoredFile, list_files, local_copy

BUILT_IN = {"rees46": rees46.MAPPING, "retailrocket": retailrocket.MAPPING}


@dataclass(frozen=True)
class PlannedSource:
    """A source with its mapping and the files that it has now."""

    config: SourceConfig
    mapping: Mapping
    mapping_path: Path | None
    files: tuple[StoredFile, ...]


def _resolve(name: str, config_path: Path) -> list[str]:
    """The places that a relative path may mean: beside the configuration, then in the project."""
    if name.startswith("s3://") or Path(name).is_absolute():
        return [name]
    bases = (config_path.resolve().parent, PROJECT_ROOT)
    places = [os.path.normpath(base / name) for base in bases]
    return list(dict.fromkeys(places))


def plan_sources(config: RunConfig, config_path: Path) -> tuple[PlannedSource, ...]:
    """List each source's files, in the order of the configuration.

    Raises:
        ConfigError: a mapping file is wrong.
        InputDataError: a source has no file, or its bucket does not exist.
    """
    planned = []
    for source in config.sources:
        mapping_path = None
        if source.mapping is not None:
            candidates = [Path(place) for place in _resolve(str(source.mapping), config_path)]
            mapping_path = next((path for path in candidates if path.is_file()), candidates[0])
        mapping = load_mapping(mapping_path) if mapping_path else BUILT_IN[source.format]
        places = _resolve(expand_variables(source.path), config_path)
        files = next((found for place in places if (found := list_files(place))), [])
        if not files:
            raise InputDataError(
                f"source {source.name}: no file at {' or '.join(places)}; "
                f"check `path:` in {config_path}"
            )
        planned.append(PlannedSource(source, mapping, mapping_path, tuple(files)))
    return tuple(planned)


def read_header(mapping: Mapping, path: Path, shown_path: str) -> list[str]:
    """Read the header of a CSV file. JSON lines have none, and neither has an empty file: an empty list.

    A name that stands there twice, in whatever case, gets a number behind it (`name (2)`), an empty one is `column N`.

    Raises:
        InputDataError: the file cannot be read.
    """
    if mapping.file_type != "csv":
        return []
    names = next(csv.reader([_first_line(path, shown_path)], delimiter=mapping.delimiter), [])
    seen: dict[str, int] = {}
    header = []
    for position, name in enumerate(names, start=1):
        unique = name.strip() or f"column {position}"
        seen[unique.lower()] = seen.get(unique.lower(), 0) + 1
        header.append(unique if seen[unique.lower()] == 1 else f"{unique} ({seen[unique.lower()]})")
    return header


def _first_line(path: Path, shown_path: str) -> str:
    """The first line of a text file; of a .zst file through DuckDB, which Python 3.11 cannot read."""
    try:
        if path.suffix == ".zst":
            text = duckdb.execute(
                "SELECT line FROM read_csv(?, columns = {'line': 'VARCHAR'}, delim = ?, quote = '', escape = '', "
                "header = false, auto_detect = false, store_rejects = true) LIMIT 1",
                [str(path), NO_DELIMITER],
            ).fetchone()
            line = text[0] if text and text[0] else ""
        else:
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rt", encoding="utf-8", errors="replace", newline=None) as stream:
                line = str(stream.readline())
    except (OSError, EOFError, zlib.error, duckdb.Error) as err:
        raise InputDataError(
            f"reading {shown_path}: {type(err).__name__}; check that it is a CSV file (plain, .gz or .zst)"
        ) from err
    return line.removeprefix("\ufeff").rstrip("\r\n")


def check_header(source: PlannedSource, header: list[str], shown_path: str) -> None:
    """Compare a CSV header with the mapping.

    Raises:
        ConfigError: the mapping names a column that the file lacks, or has twice.
    """
    mapping = source.mapping
    if mapping.file_type != "csv":
        return
    optional = {name for column in mapping.optional for name in mapping.sources_of(column)}
    for name in source_columns(mapping):
        if f"{name} (2)" in header:
            raise ConfigError(
                f"source {source.config.name}: {shown_path} has two columns {name!r}, and the mapping "
                "reads it; give one of them another name"
            )
        if name not in header and name not in optional:
            near = difflib.get_close_matches(name, header, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            where = source.mapping_path or f"format {source.config.format}"
            raise ConfigError(
                f"source {source.config.name}: {where} names the column {name!r}, which {shown_path} "
                f"does not have (it has {', '.join(header)}){hint}"
            )


def check_sources(sources: tuple[PlannedSource, ...]) -> None:
    """Check the newest file of each source against its mapping, so that a wrong one stops before the first write.

    Raises:
        ConfigError: the mapping does not fit.
        InputDataError: the file cannot be read.
    """
    for source in sources:
        file = source.files[-1]
        if file.size_bytes:
            with local_copy(file) as (path, _):
                check_header(source, read_header(source.mapping, path, file.path), file.path)
