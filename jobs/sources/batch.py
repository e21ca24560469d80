"""One batch of a source on its way into the lake: read into temporary tables first, then written in a transaction."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from jobs.errors import InputDataError
from jobs.keys import KeyRing
from jobs.sources.manifest import Delivery, Manifest, make_file_id, read_manifest
from jobs.sources.plan import PlannedSource, check_header, read_header
from jobs.sources.pseudonyms import make_pseudonyms, set_keys
from jobs.sources.staging import OpenFile, Staged, stage
from jobs.sources.statement import Limits
from jobs.sources.writing import BatchCounts, withdraw, write_batch
from jobs.stages import digest_of
from jobs.storage import OpenedFile, StoredFile, open_binary

logger = logging.getLogger(__name__)

# Under so many rows a share of rejects says too little to stop a source.
MIN_ROWS_FOR_RATE = 100
_OPENED_AT_ONCE = 8  # fetching waits for the network, hashing leaves Python's lock


class RejectRateError(InputDataError):
    """More of a batch was rejected than its source allows; nothing of the batch is in."""

    def __init__(self, message: str, counts: BatchCounts) -> None:
        super().__init__(message)
        self.counts = counts


class Batch(ABC):
    """What is loaded together or not at all.

    `read` comes before the transaction: DuckDB scans what a transaction itself has made with one thread only, and a conflict
    with another writer is no reason to read the files again. The source's lock is held meanwhile, so that what the manifest
    says stays true.

    Args:
        keys: of pseudonyms and of rejected lines.
        source: what is loaded.
        started_at: the run's time.
    """

    def __init__(self, keys: KeyRing, source: PlannedSource, started_at: datetime) -> None:
        self.keys = keys
        self.source = source
        self.started_at = started_at
        self._files: list[OpenFile] = []
        self._replaced: set[str] = set()
        self._count_known = 0
        self._staged: list[Staged] = []

    @abstractmethod
    def _open(self, manifest: Manifest, copies: ExitStack) -> None:
        """Open what is new: fills `_files`, `_replaced` (ids of files whose rows go) and `_count_known`."""

    def read(self, con: duckdb.DuckDBPyConnection) -> None:
        """Read what is new into temporary tables.

        Raises:
            ConfigError: the layout does not fit a file.
            InputDataError: a file cannot be read.
            TransientError: S3 cannot be reached, or there is no space.
        """
        name = self.source.config.name
        # Read again under the lock: another loader may have been here since the batch was made.
        manifest = read_manifest(con, name)
        with ExitStack() as copies:
            self._open(manifest, copies)
            if self._files:
                set_keys(con, self.keys)
                limits = make_limits(self.source, self.started_at)
                self._staged = stage(con, name, self._files, limits)
                rows = [(item.good_rows, set(item.entity.columns)) for item in self._staged]
                unusable = make_pseudonyms(con, self.keys, rows, self.source.config.phone_country)
                for kind, count in unusable.items():
                    logger.warning(
                        "source %s: %d different texts in columns of kind %s are none, and name nobody",
                        name,
                        count,
                        kind,
                    )

    def write(self, con: duckdb.DuckDBPyConnection) -> BatchCounts:
        """Write what was read; may be called again after a conflict.

        Raises:
            RejectRateError: too much of it was rejected.
        """
        counts = BatchCounts(files_known=self._count_known)
        if not self._files:
            return counts
        config = self.source.config
        counts.files_loaded = len(self._files)
        withdrawn = withdraw(con, config.name, self._replaced) if self._replaced else {}
        write_batch(con, config.name, self._staged, self.keys, self.started_at, withdrawn, counts)
        rows, rejected = counts.of_entity[self._staged[0].entity.name]
        if rows >= MIN_ROWS_FOR_RATE and rejected > config.max_reject_rate * rows:
            reasons = ", ".join(f"{code} {count}" for code, count in sorted(counts.reasons.items()))
            counts.keep_failed(con)
            raise RejectRateError(
                f"source {config.name}: {rejected} of {rows} rows were rejected ({reasons}), more than "
                f"max_reject_rate {config.max_reject_rate:g}; nothing of these {len(self._files)} files was "
                "loaded; mend the mapping (`personalake validate`, `personalake rejects`), then run again",
                counts,
            )
        return counts


class FileBatch(Batch):
    """Deliveries of files.

    Args:
        keys: of pseudonyms and of rejected lines.
        source: what is loaded.
        started_at: the run's time.
        deliveries: files that count together.
        show: called with a file's number and path once it is open.
    """

    def __init__(
        self,
        keys: KeyRing,
        source: PlannedSource,
        started_at: datetime,
        deliveries: list[Delivery],
        show: Callable[[int, str], None],
    ) -> None:
        super().__init__(keys, source, started_at)
        self._deliveries = deliveries
        self._show = show

    def _open(self, manifest: Manifest, copies: ExitStack) -> None:
        stored_files = [stored for delivery in self._deliveries for stored in delivery.files]
        opened_files = _enter_all(copies, [self.source.open(stored) for stored in stored_files])
        of_path = {}
        for index, (stored, copy) in enumerate(zip(stored_files, opened_files, strict=True)):
            of_path[stored.path] = copy
            self._show(index, stored.path)
        for delivery in self._deliveries:
            self._choose(
                manifest, delivery, [(file, of_path[file.path]) for file in delivery.files]
            )

    def _choose(
        self, manifest: Manifest, delivery: Delivery, opened: list[tuple[StoredFile, OpenedFile]]
    ) -> None:
        """Take the files of a delivery that are new, or all that replace an older delivery."""
        is_new = {
            stored.path: manifest.newest.get(stored.path) != copy.sha256
            and not (stored.path not in manifest.newest and copy.sha256 in manifest.contents)
            for stored, copy in opened
        }
        replaces = self.source.layout_of(delivery.files[0].path).when_rewritten == "replace"
        if not any(is_new.values()):  # renamed, or touched: nothing new
            self._count_known += len(opened)
            return
        if replaces:
            self._replaced |= manifest.units.get(delivery.unit, set())
        for stored, copy in opened:
            if not is_new[stored.path] and not (replaces and stored.path in manifest.newest):
                self._count_known += 1
                continue
            manifest.newest[stored.path] = copy.sha256
            manifest.contents.add(copy.sha256)
            self._add(stored, copy, delivery.unit)

    def _add(self, stored: StoredFile, copy: OpenedFile, unit: str) -> None:
        layout = self.source.layout_of(stored.path)
        header: list[str] = []
        if stored.size_bytes:
            header = read_header(layout, copy.path, stored.path)
            check_header(self.source, layout, header, stored.path)
        self._files.append(
            OpenFile(
                number=len(self._files),
                file_id=make_file_id(self.source.config.name, stored),
                stored=stored,
                delivery=unit,
                path=copy.path,
                sha256=copy.sha256,
                layout=layout,
                header=tuple(header),
                removed=copy.removed,
            )
        )


class TableBatch(Batch):
    """What a database's table gave, as a Parquet file.

    Args:
        keys: of pseudonyms and of rejected lines.
        source: what is loaded.
        started_at: the run's time.
        stored: the table's place, and how far it was read.
        target: the file.
    """

    def __init__(
        self,
        keys: KeyRing,
        source: PlannedSource,
        started_at: datetime,
        stored: StoredFile,
        target: Path,
    ) -> None:
        super().__init__(keys, source, started_at)
        self._stored = stored
        self._target = target

    def _open(self, manifest: Manifest, copies: ExitStack) -> None:
        stored = self._stored
        layout = self.source.layout_of(stored.path)
        file = StoredFile(str(self._target), stored.size_bytes, "")
        copy = copies.enter_context(open_binary(file))
        if copy.sha256 in manifest.contents:
            self._count_known = 1
            return
        # Each pull is a delivery of its own; a table without a watermark is told whole, and its newest telling counts.
        is_whole = self.source.config.watermark is None
        unit = stored.path if is_whole else f"{stored.path} {stored.etag} {copy.sha256[:8]}"
        self._replaced = manifest.units.get(unit, set()) if is_whole else set()
        self._files = [
            OpenFile(
                number=0,
                file_id=digest_of(self.source.config.name, stored.path, copy.sha256),
                stored=stored,
                delivery=unit,
                path=copy.path,
                sha256=copy.sha256,
                layout=layout,
                header=tuple(read_header(layout, copy.path, stored.path)),
            )
        ]


def _enter_all(
    stack: ExitStack, contexts: list[AbstractContextManager[OpenedFile]]
) -> list[OpenedFile]:
    """Enter contexts several at once; the stack leaves them. The first one that fails tells why."""
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        entered = [pool.submit(stack.enter_context, context) for context in contexts]
    return [future.result() for future in entered]


def make_limits(source: PlannedSource, started_at: datetime) -> Limits:
    """What the source says of its records, and the run's time."""
    starts_at = source.config.starts_at
    if isinstance(starts_at, date) and not isinstance(starts_at, datetime):
        starts_at = datetime(starts_at.year, starts_at.month, starts_at.day, tzinfo=UTC)
    if isinstance(starts_at, datetime) and starts_at.tzinfo is None:
        starts_at = starts_at.replace(tzinfo=UTC)
    return Limits(
        currency=source.config.currency,
        earliest=starts_at,
        # A clock may run ahead a little; a day more than that is no time at which something has happened.
        latest=started_at + timedelta(days=1),
        loaded_at=started_at,
        purposes=source.purposes,
    )
