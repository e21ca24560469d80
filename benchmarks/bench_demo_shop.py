"""Measure the demo shop generator: events a second, seconds, peak memory.

Run: `python -m benchmarks.bench_demo_shop [customers]`. The default makes about five
million events (2.3 GB of logs) in a temporary directory and deletes them.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from jobs.demo_shop import DemoShopConfig, generate_demo_shop

# 35,000 customers give about 5 million events over the default 210 days.
DEFAULT_CUSTOMERS = 35_000
TARGET_EVENTS_PER_SECOND = 500_000


def main() -> int:
    """Generate once, print the figures, and return 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", type=int, nargs="?", default=DEFAULT_CUSTOMERS)
    config = DemoShopConfig(n_customers=parser.parse_args().customers)
    with tempfile.TemporaryDirectory() as directory:
        started, cpu_started = time.perf_counter(), time.process_time()
        summary = generate_demo_shop(config, Path(directory) / "shop")
        seconds = time.perf_counter() - started
        cpu_seconds = time.process_time() - cpu_started
        size = sum(path.stat().st_size for path in Path(directory).rglob("*.jsonl"))
    rate = summary.count_lines / seconds
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux: KiB
    print(f"lines           {summary.count_lines:>12,}  ({size / 1e6:,.0f} MB)")
    print(f"events          {summary.count_events:>12,}")
    # On a shared machine the two differ, and the rate says more about the neighbours.
    print(f"seconds         {seconds:>12.2f}  ({cpu_seconds:.2f} of processor time)")
    print(f"events a second {rate:>12,.0f}  (target {TARGET_EVENTS_PER_SECOND:,})")
    print(f"peak RSS        {peak_mb:>12,.0f} MB")
    return 0 if rate >= TARGET_EVENTS_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
