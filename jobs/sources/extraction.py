"""Load files into `raw`: each file once, each event once, every other line into `raw.rejects`.

Reads: the sources of a run configuration. Writes: `raw.files` (the manifest), `raw.<entity>`, `raw.rejects`, `ops.runs`.
A batch of files is loaded in one transaction together with its manifest rows, so a crash leaves each file either loaded or
not begun; a rerun loads what is missing and changes nothing else.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb

from jobs.errors import ConfigError, InputDataError
from jobs.lake import TABLES, connect, create_tables, transact
from jobs.run_config import RunConfig
from jobs.settings import Settings
from jobs.sources.plan import PlannedSource, check_header, check_sources, plan_sources, read_header
from jobs.sources.statement import build_read, build_select
from jobs.stages import StageRequest, digest_of, find_latest_run, record_run
from jobs.storage import StoredFile, local_copy

logger = logging.getLogger(__name__)

STAGE = "extract_logs"
# What one transaction loads: small enough to redo, large enough to be quick.
BATCH_BYTES = 512 * 1024 * 1024
# An e-mail address in a line that could not be read must not reach the lake in clear.
_EMAIL = r"[^\s\"'<>,;:=]+@[^\s\"'<>,;:=]+"
_RAW_LINE_LENGTH = 4000

Progress = Callable[[int, int, str], None]


@dataclass
class ExtractResult:
    """What an extraction did, in rows and files."""

    files_loaded: int = 0
    files_known: int = 0
    rows: int = 0
    loaded: int = 0
    duplicates: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def count_rows(self) -> dict[str, int]:
        """The counts by name, for `ops.runs`."""
        return {
            "loaded": self.loaded,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
        }


@dataclass(frozen=True)
class _Pending:
    source: PlannedSource
    file: StoredFile

    @property
    def file_id(self) -> str:
        """Names this version of the file; the same bytes at the same place have the same id."""
        return digest_of(
            self.source.config.name, self.file.path, self.file.size_bytes, self.file.etag
        )


def _batches(pending: list[_Pending]) -> Iterator[list[_Pending]]:
    batch: list[_Pending] = []
    size = 0
    for item in pending:
        changes_source = bool(batch) and item.source is not batch[-1].source
        if batch and (changes_source or size + item.file.size_bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.file.size_bytes
    if batch:
        yield batch


def extract(
    settings: Settings,
    config: RunConfig,
    config_path: Path,
    *,
    started_at: datetime,
    on_progress: Progress | None = None,
) -> ExtractResult:
    """Load what is new at the sources.

    Args:
        settings: where the lake is.
        config: the run configuration.
        config_path: where it was read from; relative paths mean places beside it, or in the project.
        started_at: the run's time, recorded as `loaded_at`.
        on_progress: called with files done, files to do and the file's name.

    Raises:
        ConfigError: a mapping does not fit its files.
        InputDataError: no file, an unreadable file, a missing bucket.
    """
    sources = plan_sources(config, config_path)
    check_sources(sources)
    transact(settings, create_tables, message="create tables")
    con = connect(settings)
    try:
        _check_owner(con, settings, config)
        known = {row[0] for row in con.execute("SELECT file_id FROM lake.raw.files").fetchall()}
    finally:
        con.close()
    every = [_Pending(source, file) for source in sources for file in source.files]
    pending = [item for item in every if item.file_id not in known]
    result = ExtractResult(files_known=len(every) - len(pending))
    done = 0
    for batch in _batches(pending):
        started = time.perf_counter()

        load = partial(
            _load_batch,
            batch=batch,
            started_at=started_at,
            on_progress=on_progress,
            done=done,
            total=len(pending),
        )
        part = transact(settings, load, message=f"{STAGE}: {len(batch)} files")
        done += len(batch)
        result.files_loaded += part.files_loaded
        result.files_known += part.files_known
        result.rows += part.rows
        result.loaded += part.loaded
        result.duplicates += part.duplicates
        result.rejected += part.rejected
        for reason, count in part.reasons.items():
            result.reasons[reason] = result.reasons.get(reason, 0) + count
        logger.info(
            "loaded %s: %d files, %d rows, %d duplicates, %d rejects in %.1f s",
            batch[0].source.config.name,
            part.files_loaded,
            part.loaded,
            part.duplicates,
            part.rejected,
            time.perf_counter() - started,
        )
    return result


def _check_owner(con: duckdb.DuckDBPyConnection, settings: Settings, config: RunConfig) -> None:
    """Refuse to mix two pipelines in one lake: their customers would become one shop's."""
    row = con.execute(
        "SELECT pipeline FROM lake.ops.runs WHERE pipeline <> ? LIMIT 1", [config.name]
    ).fetchone()
    if row is not None:
        raise ConfigError(
            f"loading {config.name} into the lake at {settings.lake_dir}: it holds the pipeline {row[0]}; "
            "give this one its own place with --lake DIR or `folder:` in its configuration"
        )


def record_extraction(
    settings: Settings, result: ExtractResult, request: StageRequest, seconds: float = 0.0
) -> str:
    """Write the extraction's `ops.runs` row and return its run_id: the digest of all that `raw` holds.

    Two extractions that leave the same files loaded have the same id; the second writes nothing.
    """
    con = connect(settings)
    try:
        rows = con.execute(
            "SELECT source, entity, sha256, count_loaded FROM lake.raw.files ORDER BY ALL"
        ).fetchall()
        config_digest = digest_of(rows)
        run_id = digest_of(STAGE, config_digest)
        latest = find_latest_run(con, STAGE)
        if latest is not None and latest.run_id == run_id:
            return run_id
    finally:
        con.close()

    def write(con: duckdb.DuckDBPyConnection) -> None:
        record_run(
            con,
            run_id=run_id,
            stage=STAGE,
            request=request,
            config_digest=config_digest,
            seconds=seconds,
            count_rows=result.count_rows(),
        )

    transact(settings, write, message=f"{STAGE} {run_id}")
    return run_id


def _load_batch(
    con: duckdb.DuckDBPyConnection,
    batch: list[_Pending],
    started_at: datetime,
    on_progress: Progress | None,
    done: int,
    total: int,
) -> ExtractResult:
    source = batch[0].source
    entity = source.mapping.entity
    columns = {
        name: type_ for name, type_ in TABLES[f"raw.{entity}"].columns.items() if name != "source"
    }
    definition = ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE staged (file_number INTEGER, {definition}, "
        "reason_code VARCHAR, reason VARCHAR, raw_line VARCHAR)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE staged_files (file_number INTEGER, file_id VARCHAR, path VARCHAR, "
        "size_bytes BIGINT, etag VARCHAR, sha256 VARCHAR, local_path VARCHAR)"
    )
    versions = con.execute(
        "SELECT path, sha256 FROM lake.raw.files WHERE source = ? ORDER BY rowid",
        [source.config.name],
    ).fetchall()
    newest = dict(versions)
    contents = {sha256 for _, sha256 in versions}
    result = ExtractResult()
    by_header: dict[tuple[str, ...], list[str]] = {}
    with ExitStack() as copies:
        for number, item in enumerate(batch):
            if on_progress:
                on_progress(done + number, total, Path(item.file.path).name)
            path, sha256 = copies.enter_context(local_copy(item.file))
            is_copy = item.file.path not in newest and sha256 in contents
            if is_copy or newest.get(item.file.path) == sha256:  # renamed, or touched: nothing new
                result.files_known += 1
                continue
            newest[item.file.path] = sha256
            contents.add(sha256)
            if item.file.size_bytes:
                header = read_header(source.mapping, path, item.file.path)
                check_header(source, header, item.file.path)
                by_header.setdefault(tuple(header), []).append(str(path))
            facts = (item.file_id, item.file.path, item.file.size_bytes, item.file.etag, sha256)
            con.execute(
                "INSERT INTO staged_files VALUES (?, ?, ?, ?, ?, ?, ?)", [number, *facts, str(path)]
            )
            result.files_loaded += 1
        for names, paths in by_header.items():
            _stage_files(con, source, list(names), paths, started_at)
    _write_batch(con, source, columns, started_at, result)
    return result


def _stage_files(
    con: duckdb.DuckDBPyConnection,
    source: PlannedSource,
    header: list[str],
    paths: list[str],
    started_at: datetime,
) -> None:
    """Read files of one header into `staged`: good rows and rejects, with their line numbers."""
    mapping = source.mapping
    con.execute("DROP TABLE IF EXISTS reject_errors")
    con.execute("DROP TABLE IF EXISTS reject_scans")
    # A clock may run ahead a little; a day more than that is no time at which something has happened.
    latest = started_at + timedelta(days=1)
    statement = build_select(mapping, source.config.name, header, "lines", latest=latest)
    with _hiding_values(source, paths):
        # Two steps: lines are numbered in order, by one thread; what they say is worked out by all.
        con.execute(f"CREATE OR REPLACE TEMP TABLE lines AS {build_read(mapping, header, paths)}")
        con.execute(
            f"""
            INSERT INTO staged BY NAME
            WITH starts AS (SELECT local_path, min(row_number) - 1 AS before FROM lines GROUP BY ALL),
            judged AS ({statement.text})
            SELECT judged.* EXCLUDE (local_path, row_number), file_number, file_id,
                row_number - before + {1 if mapping.file_type == "csv" else 0} AS line_number
            FROM judged JOIN starts USING (local_path) JOIN staged_files USING (local_path)
            """,
            statement.values,
        )
    _place_refused(con)


@contextmanager
def _hiding_values(source: PlannedSource, paths: list[str]) -> Iterator[None]:
    """Tell only the kind of a fault: DuckDB's own text may quote a line, which may hold personal data."""
    try:
        yield
    except duckdb.Error as err:
        files = f"{len(paths)} files of source {source.config.name}"
        raise InputDataError(
            f"reading {paths[0] if len(paths) == 1 else files}: {type(err).__name__}; check that they "
            "are what the source declares (text of that format, and not cut off if compressed)"
        ) from None


def _place_refused(con: duckdb.DuckDBPyConnection) -> None:
    """Put the lines that the CSV reader refused among the staged ones, as rejects with their line numbers."""
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE refused AS
        SELECT file_path AS local_path, line AS line_number, csv_line, lower(error_type::VARCHAR) AS error_type,
            row_number() OVER (PARTITION BY file_path ORDER BY line) AS shift
        FROM reject_errors JOIN reject_scans USING (scan_id, file_id)
        QUALIFY row_number() OVER (PARTITION BY file_path, line ORDER BY error_type) = 1
        """
    )
    # A refused line (a field too few, no closing quote) took no number, so each one that stands before a row moves that row
    # down by one: `shift` says by how many, from which row on.
    con.execute(
        """
        UPDATE staged SET line_number = staged.line_number + moved.shift
        FROM (
            SELECT staged.file_number, staged.line_number, shifts.shift
            FROM staged
            ASOF JOIN (
                SELECT file_number, line_number - shift + 1 AS from_line, max(shift) AS shift
                FROM refused JOIN staged_files USING (local_path) GROUP BY ALL
            ) AS shifts
                ON staged.file_number = shifts.file_number AND staged.line_number >= shifts.from_line
        ) AS moved
        WHERE staged.file_number = moved.file_number AND staged.line_number = moved.line_number
        """
    )
    con.execute(
        """
        INSERT INTO staged BY NAME
        SELECT file_number, file_id, line_number, 'malformed' AS reason_code,
            'the line is not a record of this format (' || error_type || ')' AS reason,
            trim(csv_line, chr(10) || chr(13)) AS raw_line
        FROM refused JOIN staged_files USING (local_path)
        """
    )


def _write_batch(
    con: duckdb.DuckDBPyConnection,
    source: PlannedSource,
    columns: dict[str, str],
    started_at: datetime,
    result: ExtractResult,
) -> None:
    """Write `staged` into the lake: the new rows, the rejects and the manifest."""
    entity = source.mapping.entity
    name = source.config.name
    if entity == "events":
        _mark_duplicates(con, name, has_own_ids="event_id" in source.mapping.columns)
    else:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE duplicates (file_number INTEGER, line_number BIGINT)"
        )
    listed = ", ".join(f'"{column}"' for column in columns)
    con.execute(
        f"""
        INSERT INTO lake.raw.{entity} BY NAME
        SELECT $source AS source, {listed} FROM staged
        ANTI JOIN duplicates USING (file_number, line_number)
        WHERE reason_code IS NULL ORDER BY {_order(entity)}
        """,
        {"source": name},
    )
    # A log that grew tells its old rejects again; other files are delivered whole, and their newest version counts.
    con.execute(
        f"""
        INSERT INTO lake.raw.rejects BY NAME
        WITH rejects AS (
            SELECT $source AS source, $entity AS entity, file_id, path, line_number, reason_code, reason,
                left(regexp_replace(raw_line, '{_EMAIL.replace("'", "''")}', '[e-mail]', 'g'), {_RAW_LINE_LENGTH})
                    AS raw_line,
                $rejected_at::TIMESTAMPTZ AS rejected_at
            FROM staged JOIN staged_files USING (file_number, file_id)
            WHERE reason_code IS NOT NULL
        )
        SELECT * FROM rejects
        WHERE entity <> 'events' OR NOT EXISTS (
            SELECT 1 FROM lake.raw.rejects AS known
            WHERE known.source = rejects.source AND known.path = rejects.path
                AND known.line_number = rejects.line_number AND known.reason = rejects.reason
                AND known.raw_line IS NOT DISTINCT FROM rejects.raw_line
        )
        ORDER BY path, line_number
        """,
        {"source": name, "entity": entity, "rejected_at": started_at},
    )
    con.execute(
        """
        INSERT INTO lake.raw.files BY NAME
        WITH counts AS (
            SELECT file_number, count(*) AS count_rows, count(reason_code) AS count_rejected FROM staged GROUP BY ALL
        ),
        repeated AS (SELECT file_number, count(*) AS count_duplicates FROM duplicates GROUP BY ALL)
        SELECT staged_files.* EXCLUDE (file_number, local_path), $source AS source, $entity AS entity,
            coalesce(count_rows, 0) AS count_rows, coalesce(count_rejected, 0) AS count_rejected,
            coalesce(count_duplicates, 0) AS count_duplicates,
            coalesce(count_rows, 0) - coalesce(count_rejected, 0) - coalesce(count_duplicates, 0) AS count_loaded,
            $loaded_at::TIMESTAMPTZ AS loaded_at
        FROM staged_files LEFT JOIN counts USING (file_number) LEFT JOIN repeated USING (file_number)
        ORDER BY file_number
        """,
        {"source": name, "entity": entity, "loaded_at": started_at},
    )
    rows = con.execute("SELECT reason_code, count(*) FROM staged GROUP BY 1 ORDER BY 1").fetchall()
    result.reasons = {code: count for code, count in rows if code is not None}
    result.rejected = sum(result.reasons.values())
    result.rows = sum(count for _, count in rows)
    counted = con.execute("SELECT count(*) FROM duplicates").fetchone()
    result.duplicates = counted[0] if counted else 0
    result.loaded = result.rows - result.rejected - result.duplicates


def _order(entity: str) -> str:
    """Rows stand in the order in which they are asked for: time for events, as read for the rest."""
    return "occurred_at, event_id" if entity == "events" else "file_number, line_number"


def _mark_duplicates(con: duckdb.DuckDBPyConnection, source: str, *, has_own_ids: bool) -> None:
    """Collect the events that the batch or the lake already has; the first one told is the one kept.

    Only ids that occur twice go through the window. A derived id holds its event's time, so history is read only within the
    batch's span of time; an id of the source's own may be told again with another time, and is looked for everywhere.
    """
    within_span = "true" if has_own_ids else "occurred_at BETWEEN first AND last"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE duplicates AS
        WITH repeated AS (
            SELECT event_id FROM staged WHERE reason_code IS NULL GROUP BY event_id HAVING count(*) > 1
        ),
        within_batch AS (
            SELECT file_number, line_number FROM staged SEMI JOIN repeated USING (event_id)
            WHERE reason_code IS NULL
            QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY file_number, line_number) > 1
        ),
        span AS (SELECT min(occurred_at) AS first, max(occurred_at) AS last FROM staged WHERE reason_code IS NULL),
        known AS (
            SELECT event_id FROM lake.raw.events, span WHERE source = $source AND {within_span}
        )
        SELECT * FROM within_batch
        UNION
        SELECT file_number, line_number FROM staged SEMI JOIN known USING (event_id) WHERE reason_code IS NULL
        """,
        {"source": source},
    )


def describe_extraction(result: ExtractResult) -> str:
    """One line for people and logs."""
    reasons = json.dumps(result.reasons, sort_keys=True) if result.reasons else "none"
    return (
        f"{result.files_loaded} files loaded, {result.files_known} known; {result.rows} rows: "
        f"{result.loaded} loaded, {result.duplicates} duplicates, rejects {reasons}"
    )
