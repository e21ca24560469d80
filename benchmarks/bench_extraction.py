"""How fast logs are read: JSON lines of the demo shop into a lake, against a bare conversion of the same files to Parquet.

Both in turn, several rounds; the ratio of the medians is what to compare between machines.
"""

import argparse
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from jobs.demo_shop import DemoShopConfig, generate_demo_shop
from jobs.run_config import load_run_config
from jobs.settings import Settings
from jobs.sources.extraction import extract

MAPPING = Path(__file__).resolve().parents[1] / "config" / "mappings" / "demo_events.yml"


def main() -> int:
    """Print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        summary = generate_demo_shop(
            DemoShopConfig(n_customers=arguments.customers), folder / "demo"
        )
        logs = folder / "demo" / "logs"
        config_path = folder / "run.yml"
        config_path.write_text(
            f"name: bench\nsources:\n  - {{name: web, path: '{logs}/*.jsonl', mapping: '{MAPPING}'}}\n"
        )
        config = load_run_config(config_path)
        extracting, copying = [], []
        for number in range(arguments.rounds):
            started = time.perf_counter()
            settings = Settings(_env_file=None, data_dir=folder / f"data{number}")
            extract(settings, config, config_path, started_at=datetime(2026, 7, 1, tzinfo=UTC))
            extracting.append(time.perf_counter() - started)
            started = time.perf_counter()
            duckdb.execute(
                f"COPY (FROM read_json('{logs}/*.jsonl', format = 'newline_delimited', ignore_errors = true)) "
                f"TO '{folder}/copy.parquet' (COMPRESSION zstd)"
            )
            copying.append(time.perf_counter() - started)
    ours, bare = statistics.median(extracting), statistics.median(copying)
    print(f"lines                {summary.count_lines:>12,}")
    print(f"extraction, seconds  {ours:>12.2f}  ({summary.count_lines / ours:,.0f} lines a second)")
    print(f"bare copy, seconds   {bare:>12.2f}")
    print(f"ratio                {ours / bare:>12.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
