"""Load files and tables into `raw`: each delivery once, each record once, every other line into `raw.rejects`.

Reads: the sources of a run configuration. Writes: `raw.files` (the manifest), `raw.<entity>`, `raw.rejects`,
`ops.changed_days`, `ops.runs`. A batch is loaded in one transaction together with its manifest rows, so a crash leaves each
delivery either loaded or not begun; a rerun loads what is missing and changes nothing else.
"""

import json
import logging
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path

import duckdb

from jobs.errors import ConfigError, InputDataError, PersonalakeError, TransientError
from jobs.keys import KeyRing, check_ring, load_keys, record_ring
from jobs.lake import connect, create_tables, open_for_writing, source_lock, transact
from jobs.run_config import RunConfig
from jobs.settings import Settings
from jobs.sources.batch import Batch, FileBatch, RejectRateError, TableBatch
from jobs.sources.manifest import (
    WATERMARK,
    Manifest,
    find_deliveries,
    find_pending,
    make_batches,
    read_manifest,
)
from jobs.sources.plan import (
    PlannedSource,
    check_sources,
    order_sources,
    plan_sources,
)
from jobs.sources.staging import drop_staged
from jobs.sources.writing import BatchCounts, record_failure
from jobs.stages import StageRequest, digest_of, find_latest_run, record_run
from jobs.storage import StoredFile
from jobs.storage.postgres import TablePull, pull_table

logger = logging.getLogger(__name__)

STAGE = "extract_logs"

Progress = Callable[[int, int, str], None]


@dataclass
class ExtractResult:
    """What an extraction did, in rows and files; `failures` holds a message for each source that failed."""

    files_loaded: int = 0
    files_known: int = 0
    rows: int = 0
    loaded: int = 0
    duplicates: int = 0
    rejected: int = 0
    withdrawn: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, counts: BatchCounts) -> None:
        """Add what a batch did."""
        self.files_loaded += counts.files_loaded
        self.files_known += counts.files_known
        self.rows += counts.rows
        self.loaded += counts.loaded
        self.duplicates += counts.duplicates
        self.rejected += counts.rejected
        self.withdrawn += counts.withdrawn
        for reason, count in counts.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count

    def count_rows(self) -> dict[str, int]:
        """The counts by name, for `ops.runs`."""
        return {
            "loaded": self.loaded,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "withdrawn": self.withdrawn,
        }


def extract(
    settings: Settings,
    config: RunConfig,
    config_path: Path,
    *,
    started_at: datetime,
    on_progress: Progress | None = None,
    sources: tuple[str, ...] | None = None,
    since: date | None = None,
    until: date | None = None,
) -> ExtractResult:
    """Load what is new at the sources; a source that fails leaves the others running.

    Args:
        settings: where the lake is.
        config: the run configuration.
        config_path: where it was read from; relative paths mean places beside it, or in the project.
        started_at: the run's time, recorded as `loaded_at`.
        on_progress: called with files done, files to do and the file's name.
        sources: only these; None for all.
        since: a backfill's first day: only files whose path names a day from this one on, or none.
        until: the day after a backfill's last.

    Raises:
        ConfigError: a mapping does not fit its files, there is no key, or it is not the one that the lake was written with;
            nothing is written then.
        InputDataError: no file, an unreadable file, a missing bucket, too many rejects, at one of the sources; the others
            are loaded.
        TransientError: the same for a fault that may pass.
    """
    keys = load_keys(settings, config.people)
    result = ExtractResult()
    faults: list[PersonalakeError] = []

    def note(name: str, fault: PersonalakeError) -> None:
        logger.warning("source %s failed: %s", name, fault)
        result.failures[name] = str(fault)
        faults.append(fault)

    planned: list[PlannedSource] = []
    for name in order_sources(config, sources):
        try:
            found = plan_sources(config, config_path, names=(name,), since=since, until=until)
            check_sources(found)
            planned += found
        except (InputDataError, TransientError) as err:
            note(name, err)
    if not planned:
        raise _join(faults)
    with open_for_writing(settings) as con:
        prepare = partial(
            _prepare,
            settings=settings,
            config=config,
            keys=keys,
            sources=planned,
            started_at=started_at,
        )
        manifests = transact(settings, prepare, message="create tables", con=con)
        loader = _Loader(settings, keys, con, started_at, result, on_progress, since, until)
        for source in planned:
            try:
                loader.load(source, manifests[source.config.name])
            except (InputDataError, TransientError) as err:
                note(source.config.name, err)
    if faults:
        raise _join(faults)
    return result


def _join(faults: list[PersonalakeError]) -> PersonalakeError:
    """One error for the faults of several sources; worth a retry if one of them is."""
    if len(faults) == 1:
        return faults[0]
    is_passing = any(isinstance(fault, TransientError) for fault in faults)
    kind = TransientError if is_passing else InputDataError
    return kind("; ".join(map(str, faults)))


def _prepare(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    config: RunConfig,
    keys: KeyRing,
    sources: list[PlannedSource],
    started_at: datetime,
) -> dict[str, Manifest]:
    """Make the tables where they are missing, and read what has been loaded."""
    create_tables(con)
    _check_owner(con, settings, config)
    record_ring(con, keys, started_at)
    return {source.config.name: read_manifest(con, source.config.name) for source in sources}


@dataclass(frozen=True)
class _Loader:
    """Loads sources one after another over one connection."""

    settings: Settings
    keys: KeyRing
    con: duckdb.DuckDBPyConnection
    started_at: datetime
    result: ExtractResult
    on_progress: Progress | None
    since: date | None
    until: date | None

    def load(self, source: PlannedSource, manifest: Manifest) -> None:
        """Load what is new at a source."""
        name = source.config.name
        if source.config.is_database:
            with source_lock(self.settings, name):
                self._load_table(source, manifest)
            return
        pending = find_pending(source, manifest)
        count_pending = sum(len(delivery.files) for delivery in pending)
        self.result.files_known += len(source.files) - count_pending
        done = 0
        for deliveries in make_batches(pending):

            def show(index: int, path: str, done: int = done) -> None:
                if self.on_progress:
                    self.on_progress(done + index, count_pending, Path(path).name)

            batch = FileBatch(self.keys, source, self.started_at, deliveries, show)
            with source_lock(self.settings, name):
                self._load_batch(batch, f"{name}, {len(deliveries)} deliveries")
            done += sum(len(delivery.files) for delivery in deliveries)

    def _load_table(self, source: PlannedSource, manifest: Manifest) -> None:
        """Load what a database's table has beyond the watermark; without one, the table as it is replaces the former."""
        config = source.config
        [place] = source.files
        is_backfill = self.since is not None or self.until is not None
        with tempfile.TemporaryDirectory(prefix="personalake-") as folder:
            target = Path(folder) / "rows.parquet"
            pull: TablePull = pull_table(
                source.url,
                table=config.table,
                query=config.query,
                watermark=config.watermark,
                # Of two loaders that read from one watermark the second one's rows are known.
                after=None if is_backfill else manifest.watermark,
                overlap_seconds=config.overlap_seconds,
                since=self.since.isoformat() if self.since else None,
                until=self.until.isoformat() if self.until else None,
                target=target,
            )
            if not pull.count_rows:
                return
            has_reached = pull.high is not None and not is_backfill
            reached = f"{WATERMARK}{pull.high}" if has_reached else f"rows {pull.count_rows}"
            stored = StoredFile(place.path, target.stat().st_size, reached)
            batch = TableBatch(self.keys, source, self.started_at, stored, target)
            self._load_batch(batch, config.name)

    def _load_batch(self, batch: Batch, message: str) -> None:
        """Load deliveries in one transaction; of a batch with too many rejects only the manifest tells."""
        name = batch.source.config.name
        started = time.perf_counter()

        def write(con: duckdb.DuckDBPyConnection) -> BatchCounts:
            check_ring(con, self.keys)  # they may have been rotated since the loader began
            return batch.write(con)

        try:
            counts = transact(
                self.settings,
                write,
                prepare=batch.read,
                message=f"{STAGE}: {message}",
                con=self.con,
            )
        except RejectRateError as err:
            counts, message = err.counts, str(err)

            def fail(con: duckdb.DuckDBPyConnection) -> None:
                check_ring(con, self.keys)
                record_failure(con, name, counts, message)

            transact(self.settings, fail, message=f"{STAGE}: {name} failed", con=self.con)
            raise
        finally:
            with suppress(duckdb.Error):  # after some faults a connection does nothing more
                drop_staged(self.con)
        self.result.add(counts)
        logger.info(
            "loaded %s: %d files, %d rows, %d duplicates, %d rejects in %.1f s",
            name,
            counts.files_loaded,
            counts.loaded,
            counts.duplicates,
            counts.rejected,
            time.perf_counter() - started,
        )


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
            "SELECT source, entity, sha256, count_loaded FROM lake.raw.files WHERE state = 'loaded' ORDER BY ALL"
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


def describe_extraction(result: ExtractResult) -> str:
    """One line for people and logs."""
    reasons = json.dumps(result.reasons, sort_keys=True) if result.reasons else "none"
    return (
        f"{result.files_loaded} files loaded, {result.files_known} known; {result.rows} rows: "
        f"{result.loaded} loaded, {result.duplicates} duplicates, rejects {reasons}"
    )


__all__ = [
    "ExtractResult",
    "describe_extraction",
    "extract",
    "find_deliveries",
    "record_extraction",
]
