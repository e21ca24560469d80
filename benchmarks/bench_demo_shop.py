"""Measure the demo shop generator: events a second, seconds, peak memory.

Run: `python -m benchmarks.bench_demo_shop [customers]`. The default makes about five
million events (2.3 GB of logs) in a temporary directory and deletes them.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from jobs.demo_shop import DemoShopConfig, generate_demo_shop

# 35,000 customers give about 5 million events over the default 210 days.
DEFAULT_CUSTOMERS = 35_000
TARGET_EVENTS_PER_SECOND = 500_000


def main() -> int:
    """Generate several times and print the median rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=DEFAULT_CUSTOMERS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    config = DemoShopConfig(n_customers=arguments.customers)
    seconds, cpu_seconds, size = [], [], 0
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as directory:
            started, cpu_started = time.perf_counter(), time.process_time()
            summary = generate_demo_shop(config, Path(directory) / "shop")
            seconds.append(time.perf_counter() - started)
            cpu_seconds.append(time.process_time() - cpu_started)
            size = sum(path.stat().st_size for path in Path(directory).rglob("*.jsonl"))
    median = statistics.median(seconds)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux: KiB
    print(f"lines           {summary.count_lines:>12,}  ({size / 1e6:,.0f} MB)")
    # On a shared machine the two differ, and the rate says more about the neighbours.
    print(
        f"median seconds  {median:>12.2f}  ({statistics.median(cpu_seconds):.2f} of processor time)"
    )
    print(
        f"events a second {summary.count_lines / median:>12,.0f}  (goal {TARGET_EVENTS_PER_SECOND:,})"
    )
    print(f"peak RSS        {peak_mb:>12,.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
