"""How fast logs are read: JSON lines of the demo shop into a lake, against a bare conversion of the same files to Parquet,
once as a file a month and once as a file a day: DuckDB merges what several threads have read of many small files. Beside it the
same extraction without pseudonyms and vault, which no lake gets: what these cost is the difference.

In turn, each time in a process of its own, the first of a round last in the next; the ratio of the medians is what to
compare between machines. Goals: at most twice the bare copy, and pseudonyms at most a third of the load.
"""

import argparse
import multiprocessing
import re
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb

from jobs.demo_shop import DemoShopConfig, generate_demo_shop
from jobs.run_config import load_run_config
from jobs.settings import Settings
from jobs.sources.extraction import extract

MAPPING = Path(__file__).resolve().parents[1] / "config" / "mappings" / "demo_events.yml"
STARTED_AT = datetime(2026, 7, 1, tzinfo=UTC)
GOAL_RATIO = 2.0
GOAL_SHARE = 1 / 3  # of the load, for pseudonyms
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Cost:
    """What a piece of work took; `result` is what it returned."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    result: int


def _measure_here(
    answer: Connection, work: Callable[..., int], arguments: tuple[object, ...]
) -> None:
    duckdb.execute("SELECT ?", [1])  # with its first parameter DuckDB imports pandas
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    result = work(*arguments)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    answer.send(Cost(wall, cpu, after.ru_maxrss * unit / 2**20, result))


def measure(work: Callable[..., int], *arguments: object) -> Cost:
    """Run a function in a process of its own; starting Python and importing is not counted."""
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_measure_here, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise SystemExit(f"{work.__name__} failed; its traceback is above") from None
    finally:
        process.join()


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows in columns, the first row as their heads."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]))


def load(data_dir: Path, config_path: Path, memory_limit: str) -> int:
    """Load what is new, and return the rows."""
    settings = Settings(_env_file=None, data_dir=data_dir, memory_limit=memory_limit)
    config = load_run_config(config_path)
    return extract(settings, config, config_path, started_at=STARTED_AT).rows


def load_in_clear(data_dir: Path, config_path: Path, memory_limit: str) -> int:
    """The same without pseudonyms: identifiers are written as they stand there, and nothing goes to the vault."""
    from jobs.sources import batch, writing

    batch.make_pseudonyms = lambda *_: {}
    writing.IDENTIFIERS = {}
    writing.keep_people = lambda *_: None
    return load(data_dir, config_path, memory_limit)


def copy_bare(logs: Path, target: Path, memory_limit: str) -> int:
    """Convert JSON lines to one Parquet file, unchecked."""
    con = duckdb.connect(config={"memory_limit": memory_limit})
    con.execute("SET enable_progress_bar = false")
    row = con.execute(
        f"COPY (FROM read_json('{logs}/*.json*', format = 'newline_delimited', ignore_errors = true)) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    ).fetchone()
    con.close()
    return row[0] if row else 0


def _generate(folder: Path, customers: int) -> int:
    return generate_demo_shop(DemoShopConfig(n_customers=customers), folder).count_lines


def _join_months(logs: Path, target: Path) -> None:
    """Write the files of each month one behind the other into one."""
    target.mkdir()
    for path in sorted(logs.glob("*.jsonl")):
        month = re.sub(r"-\d\d$", "", path.stem)
        with (target / f"{month}.jsonl").open("ab") as joined, path.open("rb") as day:
            shutil.copyfileobj(day, joined)


def _compare(folder: Path, logs: Path, rounds: int, memory_limit: str) -> dict[str, list[Cost]]:
    config_path = folder / f"{logs.name}.yml"
    config_path.write_text(
        f"name: bench\npeople: made_up\nsources:\n  - {{name: web, path: '{logs}/*.jsonl', mapping: '{MAPPING}'}}\n"
    )
    costs: dict[str, list[Cost]] = {"extraction": [], "in clear": [], "bare copy": []}
    for number in range(rounds):
        lake, copied = folder / f"{logs.name}{number}", folder / f"{logs.name}{number}.parquet"
        clear = folder / f"{logs.name}{number}-clear"
        works = [
            ("extraction", load, lake, config_path),
            ("in clear", load_in_clear, clear, config_path),
            ("bare copy", copy_bare, logs, copied),
        ]
        for what, work, *paths in works[number % 3 :] + works[: number % 3]:
            costs[what].append(measure(work, *paths, memory_limit))
        shutil.rmtree(lake)
        shutil.rmtree(clear)
        copied.unlink()
    return costs


def main() -> int:
    """Print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=12000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-limit", default="4GB", help="of DuckDB, in both")
    arguments = parser.parse_args()
    shares = []
    rows = [("", "files", "seconds", "CPU seconds", "lines a second", "peak MiB", "wall", "CPU")]
    with tempfile.TemporaryDirectory(prefix="personalake-bench-") as name:
        folder = Path(name)
        # Elsewhere, too: a child's peak begins at what its parent holds.
        count_lines = measure(_generate, folder / "demo", arguments.customers).result
        days = folder / "demo" / "logs"
        months = folder / "months"
        _join_months(days, months)
        for shape, logs in (("months", months), ("days", days)):
            costs = _compare(folder, logs, arguments.rounds, arguments.memory_limit)
            count_files = f"{len(list(logs.glob('*.jsonl')))} {shape}"
            bare_wall, bare_cpu = _medians(costs["bare copy"])
            (wall, cpu), (clear_wall, clear_cpu) = map(
                _medians, (costs["extraction"], costs["in clear"])
            )
            shares.append(
                f"{shape} {1 - clear_wall / wall:.0%} of the wall, {1 - clear_cpu / cpu:.0%} of the CPU time"
            )
            for what, found in costs.items():
                wall, cpu = _medians(found)
                rows.append(
                    (
                        what,
                        count_files,
                        f"{wall:.2f}",
                        f"{cpu:.2f}",
                        f"{count_lines / wall:,.0f}",
                        f"{max(cost.peak_mib for cost in found):,.0f}",
                        f"{wall / bare_wall:.2f}",
                        f"{cpu / bare_cpu:.2f}",
                    )
                )
    print(
        f"{count_lines:,} lines, {arguments.rounds} rounds, medians; memory limit {arguments.memory_limit}; "
        f"wall, CPU: times the bare copy of the same files, goal <= {GOAL_RATIO:g}"
    )
    print_table(rows)
    print(f"pseudonyms cost of the load: {'; '.join(shares)}; goal <= {GOAL_SHARE:.0%}")
    return 0


def _medians(costs: list[Cost]) -> tuple[float, float]:
    return (
        statistics.median(cost.wall_seconds for cost in costs),
        statistics.median(cost.cpu_seconds for cost in costs),
    )


if __name__ == "__main__":
    sys.exit(main())
