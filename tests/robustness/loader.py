"""A loader in a process of its own, which a test starts, kills and starts again.

The processes are forked from a server that has imported everything and holds no thread and no connection.
"""

import json
import multiprocessing
import os
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

from jobs.run_config import load_run_config
from jobs.settings import PROJECT_ROOT, Settings
from jobs.sources.extraction import extract
from tests.robustness import quick_duckdb

STARTED_AT = datetime(2026, 7, 1, 3, tzinfo=UTC)
KILLED = -9
# The server takes its environment when it starts, and finds the packages by it.
os.environ["PYTHONPATH"] = os.pathsep.join(
    dict.fromkeys([str(PROJECT_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
).rstrip(os.pathsep)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["__main__", "tests.robustness.warm_start"])


@dataclass(frozen=True)
class Job:
    """One load of all that is new at a configuration's sources."""

    settings: Settings
    config_path: Path
    folder: Path  # for the loader's report and its last words
    environment: dict[str, str] = field(default_factory=dict)


def keep_traceback(path: Path) -> None:
    """Have this process write what it ends with into a file; for the child process's first line."""
    sys.stderr = path.open("w", buffering=1)  # multiprocessing prints the traceback there


def run_job(job: Job) -> None:
    """Load, and write the counts to `<folder>/<pid>.json`; the child process's whole life."""
    keep_traceback(job.folder / f"{os.getpid()}.err")
    os.environ.update(job.environment)
    quick_duckdb.install()
    config = load_run_config(job.config_path)
    result = extract(job.settings, config, job.config_path, started_at=STARTED_AT)
    counts = {name: getattr(result, name) for name in ("rows", "loaded", "duplicates", "rejected")}
    (job.folder / f"{os.getpid()}.json").write_text(json.dumps(counts))


def start(job: Job) -> BaseProcess:
    """Fork a loader."""
    process = FORKS.Process(target=run_job, args=(job,), daemon=True)
    process.start()
    return process


def kill(process: BaseProcess) -> bool:
    """Kill a loader with SIGKILL; False when it had ended by itself before."""
    process.kill()
    process.join()
    return process.exitcode == KILLED


def read_counts(job: Job, process: BaseProcess) -> dict[str, int]:
    """What a loader that ended by itself said it did.

    Raises:
        AssertionError: it ended with an error; with its traceback.
    """
    if process.exitcode != 0:
        words = (job.folder / f"{process.pid}.err").read_text()
        raise AssertionError(f"the loader ended with {process.exitcode}:\n{words}")
    return json.loads((job.folder / f"{process.pid}.json").read_text())
