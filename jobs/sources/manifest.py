"""What of a source has been loaded, and what a load takes together: `raw.files` against the files that are there now."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb

from jobs.sources.plan import PlannedSource
from jobs.stages import digest_of
from jobs.storage import StoredFile

# What one transaction loads: small enough to redo, large enough to be quick.
BATCH_BYTES = 1024 * 1024 * 1024
# Begins the etag of a pull from a database's table that has a watermark.
WATERMARK = "watermark "


@dataclass(frozen=True)
class Delivery:
    """Files that stand for one thing: usually one file; for an export that is rewritten, all files of its day."""

    unit: str
    files: tuple[StoredFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass
class Manifest:
    """The versions of a source's files that are in the lake.

    Attributes:
        known: ids of versions that were loaded once, whether or not they are in force.
        newest: path -> sha256 of its newest version.
        contents: every sha256 ever loaded.
        units: delivery -> ids of the versions in force.
        watermark: how far a database's table has been read; None for not at all.
    """

    known: set[str] = field(default_factory=set)
    newest: dict[str, str] = field(default_factory=dict)
    contents: set[str] = field(default_factory=set)
    units: dict[str, set[str]] = field(default_factory=dict)
    watermark: str | None = None


def read_manifest(con: duckdb.DuckDBPyConnection, source: str) -> Manifest:
    """Read what `raw.files` holds of a source."""
    manifest = Manifest()
    rows = con.execute(
        "SELECT file_id, path, sha256, delivery, state, etag FROM lake.raw.files "
        "WHERE source = ? AND state <> 'failed' ORDER BY rowid",
        [source],
    ).fetchall()
    for file_id, path, sha256, delivery, state, etag in rows:
        manifest.known.add(file_id)
        manifest.newest[path] = sha256
        manifest.contents.add(sha256)
        if etag and etag.startswith(WATERMARK):
            manifest.watermark = etag.removeprefix(WATERMARK)
        if state == "loaded":
            manifest.units.setdefault(delivery, set()).add(file_id)
    return manifest


def make_file_id(source: str, file: StoredFile) -> str:
    """Names this version of the file; the same bytes at the same place have the same id."""
    return digest_of(source, file.path, file.size_bytes, file.etag)


def find_deliveries(source: PlannedSource) -> list[Delivery]:
    """The files of a source by what is loaded together; of a rewritten export only the files of its best rank."""
    units: dict[str, dict[int, list[StoredFile]]] = {}
    for file in source.files:
        layout = source.layout_of(file.path)
        unit, rank = file.path, 0
        found = re.search(layout.delivery, file.path) if layout.delivery else None
        if found:
            unit = found["unit"]
            name = found.groupdict().get("rank") or ""
            rank = layout.ranks.index(name) if name in layout.ranks else 0
        units.setdefault(unit, {}).setdefault(rank, []).append(file)
    return [Delivery(unit, tuple(by_rank[max(by_rank)])) for unit, by_rank in units.items()]


def find_pending(source: PlannedSource, manifest: Manifest) -> list[Delivery]:
    """The deliveries of which something is new."""
    name = source.config.name
    return [
        delivery
        for delivery in find_deliveries(source)
        if any(make_file_id(name, file) not in manifest.known for file in delivery.files)
    ]


def make_batches(pending: list[Delivery]) -> Iterator[list[Delivery]]:
    """Deliveries that one transaction loads."""
    batch: list[Delivery] = []
    size = 0
    for delivery in pending:
        if batch and size + delivery.size_bytes > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(delivery)
        size += delivery.size_bytes
    if batch:
        yield batch
