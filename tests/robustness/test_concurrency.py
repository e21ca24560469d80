"""Loaders beside each other and beside readers: no error reaches a person, readers see whole files only, nothing is lost.

The full proof, with the numbers printed: `PERSONALAKE_SOAK_SECONDS=120 pytest -s tests/robustness/test_concurrency.py`.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from jobs.lake import connect, create_tables, transact
from jobs.run_config import load_run_config
from jobs.settings import Settings
from jobs.sources.extraction import extract
from tests.robustness import quick_duckdb
from tests.robustness.effort import SOAK_SECONDS
from tests.robustness.loader import FORKS, STARTED_AT, keep_traceback

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

LINES = 25  # of a file
REVENUE = Decimal("37.50")  # of a file: LINES x 2 pieces x 0.75
MIN_LOADS = 2  # of a writer, however slow the machine
READS_A_CONNECTION = 5
PAUSE_SECONDS = 0.05  # of a reader between connections: eight that never rest would take both cores
MAPPING = """
file_type: jsonl
columns: {event_id: id, occurred_at: time, event_type: kind, item_id: sku, price: price, quantity: pieces}
event_names: {buy: purchase}
"""


@dataclass(frozen=True)
class Shift:
    """What one process does; a writer until a time (`time.time()`), a reader until the writers have ended."""

    name: str
    settings: Settings
    folder: Path
    source: str
    until: float

    @property
    def are_writers_done(self) -> bool:
        """Whether nothing more will come."""
        return (self.folder / "done").exists()

    @property
    def report(self) -> Path:
        """Where it writes what it did, or its traceback."""
        return self.folder / f"{self.name}.json"


def write_file(shift: Shift, number: int) -> None:
    """Put a new file where the source looks, at once and whole, as a shipper of logs does."""
    lines = [
        {
            "id": f"{shift.name}-{number}-{line}",
            "time": f"2026-06-{1 + number % 28:02d}T10:00:{line:02d}Z",
            "kind": "buy",
            "sku": f"i{line}",
            "price": "0.75",
            "pieces": 2,
        }
        for line in range(LINES)
    ]
    folder = shift.folder / shift.source
    hidden = folder / f".{shift.name}-{number}.jsonl"
    hidden.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    hidden.replace(folder / f"{shift.name}-{number:05d}.jsonl")


def write_and_load(shift: Shift) -> dict[str, Any]:
    """Write a file and load what is new, again and again."""
    config_path = shift.folder / "run.yml"
    config = load_run_config(config_path)
    acknowledged = {"rows": 0, "loaded": 0, "duplicates": 0, "rejected": 0}
    seconds = []
    while time.time() < shift.until or len(seconds) < MIN_LOADS:
        write_file(shift, len(seconds))
        started = time.perf_counter()
        result = extract(
            shift.settings, config, config_path, started_at=STARTED_AT, sources=(shift.source,)
        )
        seconds.append(time.perf_counter() - started)
        for name in acknowledged:
            acknowledged[name] += getattr(result, name)
    return {"acknowledged": acknowledged, "written": len(seconds) * LINES, "seconds": seconds}


def read_totals(shift: Shift) -> dict[str, Any]:
    """Add up the events again and again; each time they must be those of whole files, and never fewer than before."""
    count_reads, latest, is_last = 0, 0, False
    while not is_last:
        is_last = shift.are_writers_done
        con = connect(shift.settings)
        try:
            for _ in range(READS_A_CONNECTION):
                count, revenue, told = con.execute(
                    "SELECT count(*), coalesce(sum(price * quantity), 0), "
                    "(SELECT coalesce(sum(count_loaded), 0) FROM raw.files) FROM raw.events"
                ).fetchone()
                assert count % LINES == 0
                assert revenue == count // LINES * REVENUE
                assert told == count
                assert count >= latest
                latest = count
                count_reads += 1
        finally:
            con.close()
        time.sleep(PAUSE_SECONDS)
    return {"reads": count_reads, "latest": latest}


def run_shift(work: Callable[[Shift], dict[str, Any]], shift: Shift) -> None:
    """The whole life of a child process."""
    keep_traceback(shift.report.with_suffix(".err"))
    quick_duckdb.install()
    shift.report.write_text(json.dumps(work(shift)))


def start(work: Callable[[Shift], dict[str, Any]], shift: Shift) -> BaseProcess:
    process = FORKS.Process(target=run_shift, args=(work, shift), daemon=True)
    process.start()
    return process


@pytest.mark.parametrize(
    ("catalog", "sources", "count_readers"),
    [("postgres", ["s0", "s0", "s1", "s2"], 8), ("sqlite", ["s0", "s0"], 4)],
)
def test_loaders_beside_readers_lose_nothing_and_disturb_nobody(
    tmp_path, request, catalog, sources, count_readers
):
    is_shared = catalog == "postgres"
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        catalog=request.getfixturevalue("postgres_server").make_database() if is_shared else "",
        memory_limit="1GB",
        threads=1,
    )
    (tmp_path / "mapping.yml").write_text(MAPPING)
    listed = ""
    for source in sorted(set(sources)):
        (tmp_path / source).mkdir()
        listed += f"  - {{name: {source}, path: '{source}/*.jsonl', mapping: mapping.yml}}\n"
    (tmp_path / "run.yml").write_text(f"name: soak\nsources:\n{listed}")
    transact(settings, create_tables, message="test")

    until = time.time() + SOAK_SECONDS
    shifts = [
        (write_and_load, Shift(f"writer{number}", settings, tmp_path, source, until))
        for number, source in enumerate(sources)
    ]
    shifts += [
        (read_totals, Shift(f"reader{number}", settings, tmp_path, "", until))
        for number in range(count_readers)
    ]
    processes = [start(work, shift) for work, shift in shifts]
    for process in processes[: len(sources)]:
        process.join()
    (tmp_path / "done").touch()
    for process in processes:
        process.join()

    faults = "".join(path.read_text() for path in sorted(tmp_path.glob("*.err")))
    assert faults == ""
    assert [process.exitcode for process in processes] == [0] * len(processes)
    reports = {shift.name: json.loads(shift.report.read_text()) for _, shift in shifts}
    writers = [report for name, report in reports.items() if name.startswith("writer")]
    readers = [report for name, report in reports.items() if name.startswith("reader")]
    written = sum(report["written"] for report in writers)
    for name, expected in (
        ("rows", written),
        ("loaded", written),
        ("duplicates", 0),
        ("rejected", 0),
    ):
        assert sum(report["acknowledged"][name] for report in writers) == expected, name
    assert {report["latest"] for report in readers} == {written}
    con = connect(settings)
    stored = con.execute(
        "SELECT count(*), count(DISTINCT event_id), sum(price * quantity) FROM raw.events"
    ).fetchone()
    con.close()
    assert stored == (written, written, written // LINES * REVENUE)
    seconds = [second for report in writers for second in report["seconds"]]
    reads = sum(report["reads"] for report in readers)
    print(
        f"{catalog}: {len(writers)} writers, {len(readers)} readers, {SOAK_SECONDS} s: {len(seconds)} loads "
        f"({len(seconds) / SOAK_SECONDS:.1f} a second, slowest {max(seconds):.2f} s), {reads} reads "
        f"({reads / SOAK_SECONDS:.1f} a second), {written} rows, {os.cpu_count()} cores"
    )
