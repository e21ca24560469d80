"""Look at a sample of each source through its mapping, before anything is loaded."""

from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from jobs.errors import InputDataError
from jobs.lake.tables import TABLES
from jobs.run_config import RunConfig
from jobs.sources.plan import PlannedSource, check_header, plan_sources, read_header
from jobs.sources.statement import build_read, build_select
from jobs.storage import local_copy

SAMPLE_ROWS = 1000  # enough to see a format; the whole file is judged when it is loaded


@dataclass(frozen=True)
class ColumnSample:
    """How a column was understood: where it is read from, its type, and the share of rows that have it."""

    name: str
    source: str
    type: str
    filled_rate: float


@dataclass(frozen=True)
class SourceSample:
    """What a sample of a source's newest file gives. Holds no values: they may be personal."""

    name: str
    file: str
    count_files: int
    count_rows: int
    count_good: int
    columns: tuple[ColumnSample, ...]
    rejects: dict[tuple[str, str], int] = field(default_factory=dict)


def sample_sources(config: RunConfig, config_path: Path) -> list[SourceSample]:
    """Read a sample of each source.

    Raises:
        ConfigError: a mapping does not fit its file.
        InputDataError: no file, or an unreadable one.
    """
    return [_sample(source) for source in plan_sources(config, config_path)]


def _sample(source: PlannedSource) -> SourceSample:
    mapping, file = source.mapping, source.files[-1]
    table = TABLES[f"raw.{mapping.entity}"]
    with local_copy(file) as (path, _):
        header = read_header(mapping, path, file.path)
        check_header(source, header, file.path)
        statement = build_select(mapping, source.config.name, header, "lines")
        con = duckdb.connect()
        try:
            con.execute("SET TimeZone = 'UTC'")
            reading = build_read(mapping, header, [str(path)], limit=SAMPLE_ROWS)
            con.execute(f"CREATE TEMP TABLE lines AS {reading}")
            con.execute(f"CREATE TEMP TABLE sample AS {statement.text}", statement.values)
            counted = con.execute(
                "SELECT count(*), count(*) - count(reason_code) FROM sample"
            ).fetchone()
            rejects = con.execute(
                "SELECT reason_code, reason, count(*) FROM sample WHERE reason_code IS NOT NULL "
                "GROUP BY ALL ORDER BY 3 DESC, 1, 2 LIMIT 10"
            ).fetchall()
            columns = tuple(
                ColumnSample(
                    column,
                    " or ".join(mapping.sources_of(column)) or "constant",
                    type_,
                    _filled(con, column),
                )
                for column, type_ in table.columns.items()
                if mapping.sources_of(column) or column in mapping.constants
            )
        except duckdb.Error as err:
            raise InputDataError(
                f"reading {file.path}: {type(err).__name__}; check that the file is what the source "
                "declares (text of that format, and not cut off if it is compressed)"
            ) from None
        finally:
            con.close()
    rows, good = counted or (0, 0)
    return SourceSample(
        name=source.config.name,
        file=Path(file.path).name,
        count_files=len(source.files),
        count_rows=rows,
        count_good=good,
        columns=columns,
        rejects={(code, reason): count for code, reason, count in rejects},
    )


def _filled(con: duckdb.DuckDBPyConnection, column: str) -> float:
    row = con.execute(
        f'SELECT coalesce(avg(("{column}" IS NOT NULL)::INTEGER), 0) FROM sample WHERE reason_code IS NULL'
    ).fetchone()
    return float(row[0]) if row else 0.0
