"""Look at a sample of each source through its layout, before anything is loaded."""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from jobs.errors import InputDataError
from jobs.run_config import RunConfig
from jobs.sources.batch import make_limits
from jobs.sources.entities import ENTITIES
from jobs.sources.layout import Layout, Part
from jobs.sources.manifest import find_deliveries
from jobs.sources.plan import PlannedSource, check_header, plan_sources, read_header
from jobs.sources.statement import build_part, build_read
from jobs.storage import StoredFile, open_binary, pull_table

SAMPLE_ROWS = 1000  # enough to see a format; the whole file is judged when it is loaded


@dataclass(frozen=True)
class ColumnSample:
    """How a column was understood: where it is read from, its type, and the share of rows that have it."""

    name: str
    source: str
    type: str
    filled_rate: float


@dataclass(frozen=True)
class TableSample:
    """What a sample gives to one raw table. Holds no values: they may be personal."""

    entity: str
    count_rows: int
    count_good: int
    columns: tuple[ColumnSample, ...]
    rejects: dict[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceSample:
    """What a sample of a source's newest file gives."""

    name: str
    format: str
    file: str
    count_files: int
    tables: tuple[TableSample, ...]

    @property
    def count_good(self) -> int:
        """Rows that would be loaded, into whatever table."""
        return sum(table.count_good for table in self.tables)


def sample_sources(
    config: RunConfig, config_path: Path, started_at: datetime
) -> list[SourceSample]:
    """Read a sample of each source.

    Raises:
        ConfigError: a layout does not fit its file.
        InputDataError: no file, or an unreadable one.
    """
    return [_sample(source, started_at) for source in plan_sources(config, config_path)]


def _sample(source: PlannedSource, started_at: datetime) -> SourceSample:
    file = find_deliveries(source)[-1].files[-1]
    layout = source.layout_of(file.path)
    limits = make_limits(source, started_at)
    with ExitStack() as stack:
        if source.config.is_database:
            opened = stack.enter_context(open_binary(_pull_sample(source, stack)))
        else:
            opened = stack.enter_context(source.open(file))
        header = read_header(layout, opened.path, file.path)
        check_header(source, layout, header, file.path)
        con = duckdb.connect()
        stack.callback(con.close)
        con.execute("SET TimeZone = 'UTC'")
        # Nothing of the sample is kept, so it needs no keys.
        con.execute("CREATE TEMP MACRO pseudonym_of_text(said) AS 'x_'")
        try:
            reading = build_read(layout, header, [str(opened.path)], limit=SAMPLE_ROWS)
            con.execute(f"CREATE TEMP TABLE records AS {reading}")
            tables = []
            for part in layout.parts:
                relation = "(SELECT *, rowid + 1 AS row_number FROM records)"
                statement = build_part(layout, part, source.config.name, header, relation, limits)
                con.execute(
                    f"CREATE OR REPLACE TEMP TABLE sample AS {statement.text}", statement.values
                )
                tables.append(_look_at(con, layout, part))
        except duckdb.Error as err:
            raise InputDataError(
                f"reading {file.path}: {type(err).__name__}; check that the file is what the source "
                "declares (text of that format, and not cut off if it is compressed)"
            ) from None
    return SourceSample(
        name=source.config.name,
        format=source.config.format,
        file=Path(file.path).name,
        count_files=len(source.files),
        tables=tuple(tables),
    )


def _pull_sample(source: PlannedSource, stack: ExitStack) -> StoredFile:
    """The first rows of a database's table, as a file."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="personalake-"))
    target = Path(folder) / "sample.parquet"
    config = source.config
    pull_table(
        source.url,
        table=config.table,
        query=config.query,
        watermark=None,
        after=None,
        overlap_seconds=0,
        since=None,
        until=None,
        target=target,
        limit=SAMPLE_ROWS,
    )
    return StoredFile(str(target), target.stat().st_size, "")


def _look_at(con: duckdb.DuckDBPyConnection, layout: Layout, part: Part) -> TableSample:
    counted = con.execute("SELECT count(*), count(*) - count(reason_code) FROM sample").fetchone()
    rejects = con.execute(
        "SELECT reason_code, reason, count(*) FROM sample WHERE reason_code IS NOT NULL "
        "GROUP BY ALL ORDER BY 3 DESC, 1, 2 LIMIT 10"
    ).fetchall()
    types = ENTITIES[part.entity].told_columns
    columns = tuple(
        ColumnSample(name, _describe(layout, part, sql), types[name], _filled(con, name))
        for name, sql in part.columns.items()
        if name in types
    )
    rows, good = counted or (0, 0)
    return TableSample(
        entity=part.entity,
        count_rows=rows,
        count_good=good,
        columns=columns,
        rejects={(code, reason): count for code, reason, count in rejects},
    )


def _describe(layout: Layout, part: Part, sql: str) -> str:
    """Where a column is read from, in the source's own words."""
    import re

    places = {**layout.fields, **{name: f"each {path}" for name, path in part.each_fields.items()}}
    words = dict.fromkeys(re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'", "", sql)))
    named = [places[word] for word in words if word in places]
    derived = [word for word in words if word in layout.derived]
    if named or derived:
        return " or ".join(dict.fromkeys([*named, *derived]))
    return "constant" if sql.startswith("'") else "worked out"


def _filled(con: duckdb.DuckDBPyConnection, column: str) -> float:
    row = con.execute(
        f'SELECT coalesce(avg(("{column}" IS NOT NULL)::INTEGER), 0) FROM sample WHERE reason_code IS NULL'
    ).fetchone()
    return float(row[0]) if row else 0.0
