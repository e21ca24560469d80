"""What the fork server does once, so that each loader that it forks begins at its work within milliseconds.

Imports all that a loader needs and opens one lake, which maps DuckDB's extensions; then everything is closed again: a
process that has DuckDB's threads cannot be forked safely.
"""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is imported

import boto3  # noqa: F401
import botocore.session  # noqa: F401
import duckdb

import jobs.sources.extraction  # noqa: F401
from jobs.lake import connect, create_tables, transact
from jobs.settings import Settings
from jobs.sources.bots import bot_pattern
from tests.robustness import quick_duckdb

_THREADS = Path("/proc/self/task")


def _warm() -> None:
    duckdb.execute("SET threads = 1")  # the default connection starts with a thread for each core
    quick_duckdb.install()
    with tempfile.TemporaryDirectory(prefix="personalake-warm-") as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder), memory_limit="1GB", threads=1)
        transact(settings, create_tables, message="warm")
        connect(settings).close()
    bot_pattern()
    # Those of jemalloc (below pyarrow and polars) have names of their own, and see to forks themselves.
    names = [path.read_text() for path in _THREADS.glob("*/comm")]
    own_name = Path("/proc/self/comm").read_text()
    if names.count(own_name) != 1:
        raise RuntimeError(
            f"the fork server has the threads {names}; its own may be left, no other"
        )


if _THREADS.is_dir():
    _warm()
