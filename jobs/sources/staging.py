"""Read a batch of files into temporary tables: typed rows, verdicts, and where each line stands.

Lines are never numbered by a window function, which one thread would have to work out: a table that was made in the order of
its files has row ids in that order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from jobs.errors import InputDataError
from jobs.sources.entities import ENTITIES, Entity
from jobs.sources.layout import Layout
from jobs.sources.statement import (
    BLANK,
    Limits,
    build_part,
    build_read,
    can_fuse,
    quote_identifier,
)
from jobs.storage import RemovedLine, StoredFile

_REFUSALS = {
    "line size over maximum": ("too_large", "the line is too long"),
    "invalid encoding": ("bad_encoding", "the line is not valid UTF-8"),
}
_REMOVALS = {
    "bad_encoding": "the line is not valid in its encoding",
    "too_large": "the line is too long",
}
_PLACES = [
    "file_number",
    "file_id",
    "local_path",
    "path",
    "delivery",
    "size_bytes",
    "etag",
    "sha256",
    "header",
]
_OWN_TIMES = ("updated_at", "received_at", "valid_from")


@dataclass(frozen=True)
class OpenFile:
    """A file of a batch, open: a local copy, its facts, and the lines that the copy lacks."""

    number: int
    file_id: str
    stored: StoredFile
    delivery: str
    path: Path
    sha256: str
    layout: Layout
    header: tuple[str, ...]
    removed: tuple[RemovedLine, ...] = ()


@dataclass
class Staged:
    """What a batch gives to one raw table: the view `staged_<entity>` over temporary tables.

    Its rows have `seq` (unique, in the order of reading), `local_path`, `row_number` within the group, the table's columns,
    `is_derived`, `user_agent`, `reason_code`, `reason` and `raw_text`.
    """

    entity: Entity
    is_main: bool
    pieces: list[str] = field(default_factory=list)

    @property
    def good_rows(self) -> str:
        """SQL of the rows that are no rejects."""
        return f"(SELECT * FROM {self.view} WHERE reason_code IS NULL)"

    @property
    def view(self) -> str:
        """Name of the view."""
        return f"staged_{self.entity.name}"


def stage(
    con: duckdb.DuckDBPyConnection, source: str, files: list[OpenFile], limits: Limits
) -> list[Staged]:
    """Read files into temporary tables.

    Beside the views there are the tables `places` (file_number, file_id, local_path, path, sha256, and the number of the line
    before the file's first record), `shifts` (how many lines are missing before a record) and `extra_rejects` (lines that never
    became rows).

    Raises:
        InputDataError: a file is not what its layout says.
    """
    groups: dict[tuple[int, tuple[str, ...]], list[OpenFile]] = {}
    for file in files:
        if file.stored.size_bytes or file.layout.file_type == "parquet":
            groups.setdefault((id(file.layout), file.header), []).append(file)
    staged: dict[str, Staged] = {}
    _create_tables(con, files)
    for number, group in enumerate(groups.values()):
        _stage_group(con, source, number, group, limits, staged)
    if not groups and files:
        for index, part in enumerate(files[0].layout.parts):
            staged[part.entity] = Staged(ENTITIES[part.entity], index == 0)
    for item in staged.values():
        _create_view(con, item)
    return list(staged.values())


def drop_staged(con: duckdb.DuckDBPyConnection) -> None:
    """Let go of what `stage` has made: of the next batch only some tables may have the same names."""
    views = con.execute("SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal")
    for (name,) in views.fetchall():
        con.execute(f"DROP VIEW temp.{quote_identifier(name)}")
    # Not duckdb_tables(), which counts the rows of every table of the lake.
    tables = con.execute(
        "SELECT DISTINCT table_name FROM duckdb_columns() WHERE database_name = 'temp' AND NOT internal"
    )
    for (name,) in tables.fetchall():
        con.execute(f"DROP TABLE temp.{quote_identifier(name)}")


def _create_tables(con: duckdb.DuckDBPyConnection, files: list[OpenFile]) -> None:
    con.execute(
        "CREATE OR REPLACE TEMP TABLE places (file_number INTEGER, file_id VARCHAR, local_path VARCHAR, "
        "path VARCHAR, delivery VARCHAR, size_bytes BIGINT, etag VARCHAR, sha256 VARCHAR, header VARCHAR[], "
        "before BIGINT)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE shifts (local_path VARCHAR, from_line BIGINT, shift BIGINT)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE extra_rejects (local_path VARCHAR, entity VARCHAR, line_number BIGINT, "
        "reason_code VARCHAR, reason VARCHAR, raw_text VARCHAR)"
    )
    rows = [
        (
            file.number,
            file.file_id,
            str(file.path),
            file.stored.path,
            file.delivery,
            file.stored.size_bytes,
            file.stored.etag,
            file.sha256,
            list(file.header) or None,
        )
        for file in files
    ]
    _append(con, "places", _PLACES, rows)


def _stage_group(
    con: duckdb.DuckDBPyConnection,
    source: str,
    number: int,
    group: list[OpenFile],
    limits: Limits,
    staged: dict[str, Staged],
) -> None:
    """Read files of one layout and one header."""
    layout, header = group[0].layout, list(group[0].header)
    con.execute("DROP TABLE IF EXISTS reject_errors")
    con.execute("DROP TABLE IF EXISTS reject_scans")
    reading = build_read(layout, header, [str(file.path) for file in group])
    is_fused = can_fuse(layout)
    with hiding_values(source, group):
        if not is_fused:
            con.execute(f"CREATE OR REPLACE TEMP TABLE records_{number} AS {reading}")
        for index, part in enumerate(layout.parts):
            item = staged.setdefault(part.entity, Staged(ENTITIES[part.entity], index == 0))
            piece = f"{item.view}_{number}_{index}"
            relation = (
                f"({reading})"
                if is_fused
                else f"(SELECT *, rowid + 1 AS row_number FROM records_{number})"
            )
            statement = build_part(
                layout, part, source, header, relation, limits, is_numbered=not is_fused
            )
            # Windows do not keep the order of lines, and the first one told of a thing counts.
            order = " ORDER BY row_number" if layout.is_ordered else ""
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {piece} AS {statement.text}{order}", statement.values
            )
            item.pieces.append(piece)
            mend_ids(con, piece, item.entity, layout)
    table = f"{staged[layout.parts[0].entity].view}_{number}_0" if is_fused else f"records_{number}"
    head = 1 if layout.file_type == "csv" and not layout.header else layout.skipped_lines
    con.execute(
        f"UPDATE places SET before = starts.first - {head} "
        f"FROM (SELECT local_path, min(rowid) AS first FROM {table} GROUP BY ALL) AS starts "
        "WHERE places.local_path = starts.local_path"
    )
    if not is_fused:
        con.execute(f"DROP TABLE records_{number}")
    _place_missing(con, group, layout)


def mend_ids(con: duckdb.DuckDBPyConnection, piece: str, entity: Entity, layout: Layout) -> None:
    """Give equal records of one file ids of their own, where they are distinct things; and states of no time their file's.

    Needs the table `places`.
    """
    column = entity.id_column
    if entity.is_state:
        times = [name for name in _OWN_TIMES if name in entity.columns]
        con.execute(
            f"UPDATE {piece} SET {column} = md5({column} || places.file_id) FROM places "
            f"WHERE {piece}.local_path = places.local_path AND is_derived AND coalesce({', '.join(times)}) IS NULL"
        )
    if layout.equal_rows == "distinct":
        con.execute(
            f"""
            UPDATE {piece} SET {column} = md5({piece}.{column} || ':' || told.number)
            FROM (
                SELECT rowid AS seq, row_number() OVER (PARTITION BY local_path, {column} ORDER BY rowid) AS number
                FROM {piece}
                WHERE is_derived AND reason_code IS NULL AND {column} IN (
                    SELECT {column} FROM {piece} WHERE is_derived AND reason_code IS NULL
                    GROUP BY {column} HAVING count(*) > 1
                )
            ) AS told
            WHERE {piece}.rowid = told.seq AND told.number > 1
            """
        )


def _place_missing(con: duckdb.DuckDBPyConnection, group: list[OpenFile], layout: Layout) -> None:
    """Note the lines that never became rows: those that the copy lacks, and those that the CSV reader refused."""
    refused: dict[str, list[tuple[int, str, str]]] = {}
    if layout.file_type in {"csv", "text", "jsonl"}:
        rows = con.execute(
            """
            SELECT file_path, line, lower(error_type::VARCHAR), trim(csv_line, chr(10) || chr(13))
            FROM reject_errors JOIN reject_scans USING (scan_id, file_id)
            QUALIFY row_number() OVER (PARTITION BY file_path, line ORDER BY error_type) = 1
            ORDER BY file_path, line
            """
        ).fetchall()
        for path, line, kind, text in rows:
            refused.setdefault(path, []).append((line, kind, text))
    entity = layout.parts[0].entity
    shifts: list[tuple[str, int, int]] = []
    rejects: list[tuple[str, str, int, str, str, str]] = []
    for file in group:
        path = str(file.path)
        gone = [line.line_number for line in file.removed]
        for line in file.removed:
            if line.reason_code:
                reason = _REMOVALS[line.reason_code]
                rejects.append(
                    (path, entity, line.line_number, line.reason_code, reason, line.text)
                )
        for copied, kind, text in refused.get(path, []):
            number = _original(copied, gone)
            code, reason = _REFUSALS.get(
                kind, ("malformed", f"the line is not a record of this format ({kind})")
            )
            rejects.append((path, entity, number, code, reason, text))
        missing = sorted({*gone, *(row[2] for row in rejects if row[0] == path)})
        # Of several missing lines in a row the last one tells how far what follows has moved.
        by_start = {line - index: index + 1 for index, line in enumerate(missing)}
        shifts += [(path, start, shift) for start, shift in by_start.items()]
    _append(con, "shifts", ["local_path", "from_line", "shift"], shifts)
    names = ["local_path", "entity", "line_number", "reason_code", "reason", "raw_text"]
    _append(con, "extra_rejects", names, rejects)


def _original(copied: int, gone: list[int]) -> int:
    """The number in the original of a line of the copy, which lacks the lines `gone`."""
    number = copied
    for line in gone:
        if line > number:
            break
        number += 1
    return number


def _append(
    con: duckdb.DuckDBPyConnection, table: str, names: list[str], rows: Sequence[tuple[object, ...]]
) -> None:
    if rows:
        con.register(
            "rows_to_append",
            pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None).to_arrow(),
        )
        con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM rows_to_append")
        con.unregister("rows_to_append")


def _create_view(con: duckdb.DuckDBPyConnection, item: Staged) -> None:
    """One view over the pieces of an entity; the pieces' order is part of `seq`."""
    if not item.pieces:
        columns = ", ".join(
            f"NULL::{type_} AS {name}"
            for name, type_ in item.entity.told_columns.items()
            if name not in {"source", "file_id", "line_number"}
        )
        text = (
            f"SELECT NULL::BIGINT AS seq, NULL::VARCHAR AS local_path, NULL::BIGINT AS row_number, {columns}, "
            "NULL::BOOLEAN AS is_derived, NULL::VARCHAR AS user_agent, NULL::VARCHAR AS reason_code, "
            "NULL::VARCHAR AS reason, NULL::VARCHAR AS raw_text WHERE false"
        )
    else:
        selects = []
        for index, piece in enumerate(item.pieces):
            described = {row[0] for row in con.execute(f"DESCRIBE {piece}").fetchall()}
            numbered = "" if "row_number" in described else "rowid + 1 AS row_number, "
            selects.append(
                f"SELECT {index} * (1::BIGINT << 40) + rowid AS seq, {numbered}* FROM {piece} "
                f"WHERE reason_code IS DISTINCT FROM '{BLANK}'"
            )
        text = " UNION ALL BY NAME ".join(selects)
    con.execute(f"CREATE OR REPLACE TEMP VIEW {item.view} AS {text}")


def located(con: duckdb.DuckDBPyConnection, view: str) -> str:
    """SQL of a staged view with the file and the line of each row: adds `file_number`, `file_id`, `line_number`."""
    counted = con.execute("SELECT count(*) FROM shifts").fetchone()
    if not counted or not counted[0]:  # nearly always; an ASOF join would sort every row
        return (
            "SELECT s.*, places.file_number, places.file_id, s.row_number - places.before AS line_number "
            f"FROM {view} AS s JOIN places USING (local_path)"
        )
    return (
        "SELECT s.*, places.file_number, places.file_id, "
        "s.row_number - places.before + coalesce(shifts.shift, 0) AS line_number "
        f"FROM {view} AS s JOIN places ON s.local_path = places.local_path "
        "ASOF LEFT JOIN shifts ON s.local_path = shifts.local_path "
        "AND s.row_number - places.before >= shifts.from_line"
    )


@contextmanager
def hiding_values(source: str, group: list[OpenFile]) -> Iterator[None]:
    """Tell only the kind of a fault: DuckDB's own text may quote a line, which may hold personal data."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as err:
        which = (
            group[0].stored.path if len(group) == 1 else f"{len(group)} files of source {source}"
        )
        raise InputDataError(
            f"reading {which}: {type(err).__name__}; check that it is what the source declares "
            "(text of that format, and not cut off if compressed)"
        ) from None
