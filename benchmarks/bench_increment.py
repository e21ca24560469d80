"""What a day's new file costs beside a long history: 100,000 new events after N old ones, each with an id of its own.

An id may be told again at any time, so each new one is looked for in all of the history. Goals at 50 million events: at most
3 % of the time that the history took, and less than 4 GiB of memory. `--events 50000000` needs about 30 GB of disk.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import duckdb
from bench_extraction import GOAL_RATIO, MAPPING, copy_bare, load, measure, print_table

N_FILES = 20
N_DAYS = 200
N_NEW = 100_000
GOAL_PCT = 3.0
GOAL_GIB = 4.0
FIRST_DAY = "2025-06-01"


def _write_events(
    path: Path, first: int, count: int, day: float, n_days: float, n_visitors: int
) -> int:
    """Write `count` events from number `first` on, spread over `n_days` from `day` on."""
    con = duckdb.connect()
    con.execute("SET enable_progress_bar = false")
    con.execute(
        f"""
        COPY (
            SELECT printf('%016x-%d', hash(n), n) AS id,
                strftime(TIMESTAMP '{FIRST_DAY}'
                    + to_microseconds((({day} + {n_days} * (n - {first}) / {count}) * 86400000000)::BIGINT),
                    '%Y-%m-%dT%H:%M:%S.%fZ') AS ts,
                (['Page Viewed', 'Product Viewed', 'Product Viewed', 'Product Added', 'Order Completed'])[1 + (hash(n) % 5)::BIGINT] AS event,
                printf('a%x', hash(n // 12) % {n_visitors}) AS anonymous_id,
                CASE WHEN n % 3 = 0 THEN printf('u%x', hash(n // 12) % {1 + n_visitors // 2}) END AS user_id,
                {{'id': printf('i%d', hash(n * 7) % 20000), 'category': 'home > lamps', 'price': (hash(n) % 10000) / 100}}
                    AS product,
                1 + n % 3 AS quantity, 'EUR' AS currency, {{'path': printf('/item/%d', hash(n * 7) % 20000)}} AS page,
                'Mozilla/5.0 (X11; Linux x86_64) Firefox/' || (100 + n % 40) AS user_agent
            FROM range({first}, {first + count}) AS events (n)
        ) TO '{path}' (FORMAT json)
        """
    )
    con.close()
    return count


def main() -> int:
    """Print what the history and the new files cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="new files, one after another")
    parser.add_argument("--memory-limit", default="4GB", help="of DuckDB")
    parser.add_argument("--folder", default=None, help="where to put the files, instead of TMPDIR")
    arguments = parser.parse_args()
    count_all: int = arguments.events
    with tempfile.TemporaryDirectory(prefix="personalake-bench-", dir=arguments.folder) as name:
        folder = Path(name)
        logs = folder / "logs"
        logs.mkdir()
        config_path = folder / "run.yml"
        config_path.write_text(
            f"name: bench\npeople: made_up\nsources:\n  - {{name: web, path: '{logs}/*.json', mapping: '{MAPPING}'}}\n"
        )
        n_visitors = 1 + count_all // 20
        bounds = [count_all * number // N_FILES for number in range(N_FILES + 1)]
        for number in range(N_FILES):
            first, end = bounds[number], bounds[number + 1]
            path, days = logs / f"{number:03}.json", N_DAYS / N_FILES
            measure(_write_events, path, first, end - first, number * days, days, n_visitors)
        bare = measure(copy_bare, logs, folder / "bare.parquet", arguments.memory_limit)
        (folder / "bare.parquet").unlink()
        data = folder / "data"
        history = measure(load, data, config_path, arguments.memory_limit)
        if history.result != count_all:
            raise SystemExit(f"read {history.result:,} rows of the history, expected {count_all:,}")
        new = []
        for number in range(arguments.rounds):
            path = logs / f"{N_FILES + number:03}.json"
            first = count_all + number * N_NEW
            measure(_write_events, path, first, N_NEW, N_DAYS + number, 1, n_visitors)
            new.append(measure(load, data, config_path, arguments.memory_limit))
        size = sum(path.stat().st_size for path in logs.iterdir()) / 2**30
    seconds = statistics.median(cost.wall_seconds for cost in new)
    peak = max(cost.peak_mib for cost in new)
    cpu = statistics.median(cost.cpu_seconds for cost in new)
    rows = [
        ("", "events", "seconds", "CPU seconds", "events a second", "peak MiB"),
        (
            f"history, {N_FILES} files",
            f"{count_all:,}",
            f"{history.wall_seconds:.1f}",
            f"{history.cpu_seconds:.1f}",
            f"{count_all / history.wall_seconds:,.0f}",
            f"{history.peak_mib:,.0f}",
        ),
        (
            f"a new file, median of {len(new)}",
            f"{N_NEW:,}",
            f"{seconds:.1f}",
            f"{cpu:.1f}",
            f"{N_NEW / seconds:,.0f}",
            f"{peak:,.0f}",
        ),
        (
            "bare copy of the history",
            f"{count_all:,}",
            f"{bare.wall_seconds:.1f}",
            f"{bare.cpu_seconds:.1f}",
            f"{count_all / bare.wall_seconds:,.0f}",
            f"{bare.peak_mib:,.0f}",
        ),
        ("new file / history, %", "", f"{100 * seconds / history.wall_seconds:.1f}", "", "", ""),
        ("goal at 50,000,000", "", f"<= {GOAL_PCT:.0f} %", "", "", f"< {GOAL_GIB * 1024:,.0f}"),
        (
            "history / bare copy",
            "",
            f"{history.wall_seconds / bare.wall_seconds:.2f}",
            f"{history.cpu_seconds / bare.cpu_seconds:.2f}",
            "",
            "",
        ),
        ("goal", "", f"<= {GOAL_RATIO:g}", "", "", ""),
    ]
    print(f"{size:.1f} GiB of JSON lines; memory limit {arguments.memory_limit}")
    print_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
