"""Read rejected lines again, after their mapping was mended; what is good now becomes rows, and leaves `raw.rejects`.

Reads: `raw.rejects`, with the key of rejected lines. Writes: `raw.<entity>`, `raw.rejects`, `raw.files` (counts),
`ops.changed_days`. One transaction a source; a second replay finds nothing more to do.
"""

import csv
import io
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl

from jobs.keys import KeyRing, check_ring, decrypt_text, load_keys
from jobs.lake import connect, source_lock, transact
from jobs.run_config import RunConfig
from jobs.settings import Settings
from jobs.sources.batch import make_limits
from jobs.sources.entities import ENTITIES
from jobs.sources.layout import Layout
from jobs.sources.plan import PlannedSource, plan_sources
from jobs.sources.pseudonyms import make_pseudonyms, set_keys
from jobs.sources.staging import Staged, hiding_values, mend_ids
from jobs.sources.statement import build_fields, build_part
from jobs.sources.writing import REJECTS, insert_rows, keep_people, mark_duplicates, note_days

# Their lines cannot be read whatever the mapping says.
_HOPELESS = ("bad_encoding", "too_large")


@dataclass
class ReplayResult:
    """What a replay did with the rejected lines of one source."""

    source: str
    rows: int = 0
    loaded: int = 0
    duplicates: int = 0

    @property
    def rejected(self) -> int:
        """Lines that are rejected still."""
        return self.rows - self.loaded - self.duplicates


def replay(
    settings: Settings,
    config: RunConfig,
    config_path: Path,
    *,
    started_at: datetime,
    sources: tuple[str, ...] | None = None,
) -> list[ReplayResult]:
    """Judge the rejected lines of each source by its mapping as it is now.

    Raises:
        ConfigError: a mapping is wrong, or the key is another one.
        InputDataError: a source's place is gone.
    """
    results = []
    keys = load_keys(settings, config.people)
    for source in plan_sources(config, config_path, names=sources):
        name = source.config.name
        body = partial(_replay, source=source, keys=keys, started_at=started_at)
        with source_lock(settings, name):
            if not _has_rejects(settings, name):
                results.append(ReplayResult(name))
                continue
            results.append(transact(settings, body, message=f"replay: {name}"))
    return results


def _has_rejects(settings: Settings, source: str) -> bool:
    con = connect(settings)
    try:
        row = con.execute(
            "SELECT 1 FROM lake.raw.rejects WHERE source = ? LIMIT 1", [source]
        ).fetchone()
    finally:
        con.close()
    return row is not None


def _replay(
    con: duckdb.DuckDBPyConnection, source: PlannedSource, keys: KeyRing, started_at: datetime
) -> ReplayResult:
    name = source.config.name
    result = ReplayResult(name)
    check_ring(con, keys)
    set_keys(con, keys)
    key = keys.derive(REJECTS)
    rows = con.execute(
        """
        SELECT rejects.rowid, rejects.entity, rejects.file_id, rejects.path, line_number, raw_record, header
        FROM lake.raw.rejects AS rejects
        JOIN lake.raw.files AS files
            ON rejects.source = files.source AND rejects.file_id = files.file_id AND rejects.entity = files.entity
        WHERE rejects.source = $source AND files.state = 'loaded' AND raw_record IS NOT NULL
            AND reason_code NOT IN (SELECT unnest($hopeless))
        ORDER BY rejects.path, line_number, rejects.rowid
        """,
        {"source": name, "hopeless": list(_HOPELESS)},
    ).fetchall()
    groups: dict[tuple[str, str, tuple[str, ...]], list[tuple[int, str, int, str]]] = {}
    for row_id, entity, file_id, path, line, record, header in rows:
        kind = "".join(Path(path).suffixes[-2:])
        place = (row_id, file_id, line, decrypt_text(key, record, "rejected lines"))
        groups.setdefault((entity, kind, tuple(header or ())), []).append(place)
    result.rows = len(rows)
    for (entity, kind, header), lines in groups.items():
        layout = source.layout_of(f"replayed{kind}")
        _replay_group(con, source, keys, layout, entity, list(header), lines, started_at, result)
    return result


def _replay_group(
    con: duckdb.DuckDBPyConnection,
    source: PlannedSource,
    keys: KeyRing,
    layout: Layout,
    entity: str,
    header: list[str],
    lines: list[tuple[int, str, int, str]],
    started_at: datetime,
    result: ReplayResult,
) -> None:
    """Judge rejected lines of one table and one header; write those that are good."""
    part = next((part for part in layout.parts if part.entity == entity), None)
    if part is None:
        return
    name = source.config.name
    if layout.is_ordered:  # what stood around the line was put into the record when it was rejected
        fields = {key: key for key in [*layout.fields, *layout.derived]}
        layout = replace(
            layout, file_type="jsonl", fields=fields, derived={}, is_ordered=False, ignored="", parts=(part,)
        )  # fmt: skip
        part = layout.parts[0]
    table = _read_lines(layout, header, lines)
    con.register("rejected_lines", table.to_arrow())
    is_csv = layout.file_type == "csv"
    read = "*" if is_csv else f"*, {build_fields(layout)} AS f"
    item = Staged(ENTITIES[entity], is_main=True)
    statement = build_part(
        layout,
        part,
        name,
        header,
        f"(SELECT {read} FROM rejected_lines)",
        make_limits(source, started_at),
    )
    with hiding_values(name, []):
        con.execute(f"CREATE OR REPLACE TEMP TABLE judged AS {statement.text}", statement.values)
    con.unregister("rejected_lines")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE places AS SELECT DISTINCT local_path, local_path AS file_id FROM judged"
    )
    mend_ids(con, "judged", item.entity, layout)
    con.execute(f"CREATE OR REPLACE TEMP VIEW {item.view} AS SELECT rowid AS seq, * FROM judged")
    places = pl.DataFrame(
        {
            "row_number": range(1, len(lines) + 1),
            "reject": [line[0] for line in lines],
            "file_id": [line[1] for line in lines],
            "line_number": [line[2] for line in lines],
        }
    )
    con.register("reject_places", places.to_arrow())
    mark_duplicates(con, name, item)
    rows = (item.good_rows, set(item.entity.columns))
    make_pseudonyms(con, keys, [rows], source.config.phone_country)
    keep_people(con, keys, name, [item], started_at)
    located = (
        f"SELECT s.*, reject_places.file_id, reject_places.line_number FROM {item.view} AS s "
        "JOIN reject_places USING (row_number)"
    )
    insert_rows(con, name, item, located)
    note_days(con, name, item, started_at, {})
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE replayed AS
        SELECT reject_places.reject, any_value(reject_places.file_id) AS file_id, count(*) AS count_rows,
            count(duplicates.seq) AS count_duplicates
        FROM {item.view} AS s JOIN reject_places USING (row_number) LEFT JOIN duplicates ON s.seq = duplicates.seq
        GROUP BY 1 HAVING count(reason_code) = 0
        """
    )
    con.unregister("reject_places")
    _take_out(con, name, entity, result)


def _read_lines(
    layout: Layout, header: list[str], lines: list[tuple[int, str, int, str]]
) -> pl.DataFrame:
    """The rejected lines as the reader would give them: columns `c0, c1...` of a CSV record, else `line`."""
    numbered = {
        "row_number": pl.Series(range(1, len(lines) + 1), dtype=pl.Int64),
        "local_path": pl.Series([line[1] for line in lines], dtype=pl.String),
    }
    if layout.file_type != "csv":
        return pl.DataFrame(
            {**numbered, "line": pl.Series([line[3] for line in lines], dtype=pl.String)}
        )
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if layout.quote else csv.QUOTE_NONE
    cells: list[list[str | None]] = [[] for _ in header]
    for _, _, _, text in lines:
        reader = csv.reader(io.StringIO(text), delimiter=layout.delimiter, quoting=quoting)
        found = next(reader, [])
        # A field too few or too many is a fault that no mapping mends: an empty record stays rejected.
        record = found if len(found) == len(header) else [""] * len(header)
        for index, value in enumerate(record):
            cells[index].append(value or None)
    columns = {
        f"c{index}": pl.Series(values, dtype=pl.String) for index, values in enumerate(cells)
    }
    return pl.DataFrame({**numbered, **columns})


def _take_out(
    con: duckdb.DuckDBPyConnection, source: str, entity: str, result: ReplayResult
) -> None:
    """Remove the rejects that are rows now, and count them where their file is counted."""
    row = con.execute(
        "SELECT count(*), coalesce(sum(count_duplicates), 0)::BIGINT FROM replayed"
    ).fetchone()
    if row is None or not row[0]:
        return
    result.loaded += row[0] - row[1]
    result.duplicates += row[1]
    con.execute(
        "DELETE FROM lake.raw.rejects WHERE source = ? AND rowid IN (SELECT reject FROM replayed)",
        [source],
    )
    con.execute(
        """
        UPDATE lake.raw.files SET
            count_rows = files.count_rows + told.more,
            count_rejected = files.count_rejected - told.lines,
            count_duplicates = files.count_duplicates + told.duplicates,
            count_loaded = files.count_loaded + told.lines + told.more - told.duplicates
        FROM (
            SELECT file_id, count(*) AS lines, (sum(count_rows) - count(*))::BIGINT AS more,
                sum(count_duplicates)::BIGINT AS duplicates
            FROM replayed GROUP BY 1
        ) AS told
        WHERE files.file_id = told.file_id AND files.source = ? AND files.entity = ?
        """,
        [source, entity],
    )
