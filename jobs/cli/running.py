"""Start the DAG chain in a process of its own and show its progress.

This package does not know Airflow: it starts `dags/dagkit/local.py` as a program and reads its events from a pipe.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from jobs.errors import ConfigError, InputDataError, PersonalakeError, TransientError
from jobs.pipeline import PipelineRun
from jobs.settings import PROJECT_ROOT

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LOG_PREFIX = re.compile(r"^(?:\S+Z \[\w+ *\] +)?(?:\d\d:\d\d:\d\d +)?")
_LOG_SUFFIX = re.compile(r" \[cosmos\.[\w.]+\] loc=\S+$")
_DBT_FAULT = re.compile(r"(?:Failure in \w+|\w+ Error in \w+) \S+ \(\S+\)")
# What speaks of SQL, counts or the machine; a conversion's or a constraint's message repeats the row.
_VALUE_FREE = re.compile(
    r"Got \d+ results?, configured|(?:Binder|Catalog|Parser|IO|Permission|Out of Memory) Error: "
)
CHAIN = ("extract_logs", "build_features", "train_models", "export_audiences")
TITLES = {
    "extract_logs": "Extracting logs",
    "build_features": "Building features",
    "train_models": "Training models",
    "export_audiences": "Scoring and exporting",
    "maintain_lake": "Compacting the lake",
}


class ChainError(PersonalakeError):
    """A task of the chain failed; its message is the task's."""


@dataclass
class Outcome:
    """What the chain did: where its log is, how many tasks ran, and which sources failed while the others went on.

    `failures` holds the message of each source that failed.
    """

    log: Path
    tasks: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def airflow_environment(run: PipelineRun) -> dict[str, str]:
    """The environment in which Airflow finds this project and its own small database, and is quiet."""
    home = Path(os.environ.get("AIRFLOW_HOME", PROJECT_ROOT / ".airflow"))
    dags = PROJECT_ROOT / "dags"
    defaults = {
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
    }
    fixed = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), str(dags)]),
        **({"PERSONALAKE_LAKE": str(run.settings.lake)} if run.settings.lake else {}),
    }
    environment = {**defaults, **os.environ, **fixed}
    # Every process would otherwise compile Airflow and dbt anew.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def dbt_command(run: PipelineRun, arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """The dbt command line and environment that work on a run's lake."""
    project = PROJECT_ROOT / "dbt_project"
    command = [
        str(Path(sys.executable).with_name("dbt")),
        "--no-version-check",
        *arguments,
    ]
    environment = {
        **os.environ,
        **run.settings.environment(),
        # Not flags: `dbt --version` and others refuse these.
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    return command, environment


def run_chain(run: PipelineRun, console: Console) -> Outcome:
    """Check what can be checked at once, then run the chain of DAGs.

    Raises:
        ConfigError, InputDataError: found before anything started.
        ChainError: a task failed; the message is the task's own.
    """
    from jobs.lake.connection import check_folder
    from jobs.pipeline import find_segments_dir
    from jobs.segments import load_segments

    check_run_sources(run)
    load_segments(find_segments_dir(run))
    check_folder(run.settings, read_only=False)
    return run_dags(run, CHAIN, console)


def check_run_sources(run: PipelineRun) -> None:
    """Check every source's mapping before anything is written.

    A file that is missing or cannot be read stops a run only when there is nothing else to load: the others need not wait for it,
    and its own task will tell.

    Raises:
        ConfigError: a mapping is wrong, or does not fit its files.
        InputDataError, TransientError: none of the sources can be read.
    """
    from jobs.pipeline.operations import list_sources
    from jobs.sources.plan import check_sources, plan_sources

    faults: list[PersonalakeError] = []
    names = list_sources(run)
    for name in names:
        try:
            check_sources(
                plan_sources(
                    run.config, run.config_path, names=(name,), since=run.since, until=run.until
                )
            )
        except (InputDataError, TransientError) as err:
            faults.append(err)
    if faults and len(faults) == len(names):
        raise faults[0]


def run_dags(run: PipelineRun, dags: tuple[str, ...], console: Console) -> Outcome:
    """Run DAGs one after another in a process of their own, with a progress bar.

    Raises:
        ConfigError: the data folder cannot be made.
        ChainError: a task failed.
    """
    logs = _make_folder(run.settings.data_dir / "logs")
    log = logs / f"{run.started_at:%Y%m%dT%H%M%S}-{dags[0]}.log"
    asked = {
        **run.to_payload(),
        "sources": list(run.sources) if run.sources else None,
        "since": run.since.isoformat() if run.since else None,
        "until": run.until.isoformat() if run.until else None,
    }
    conf = {name: value for name, value in asked.items() if value not in (None, False)}
    read_end, write_end = os.pipe()
    request = json.dumps({"dags": dags, "conf": conf, "events": write_end})
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagkit.local", request],
            env=airflow_environment(run),
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            pass_fds=[write_end],
        )
    os.close(write_end)
    outcome = Outcome(log)
    try:
        failure = follow(read_end, outcome, console)
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if failure is not None:
        if "dbt command failed" in failure:
            faults = find_dbt_faults(log.read_text(encoding="utf-8", errors="replace"))
            failure = "\n".join([failure, *faults])
        raise ChainError(f"{failure}\n(log: {log})")
    if status != 0:
        raise ChainError(f"the chain ended with status {status}; its last lines:\n{_tail(log)}")
    return outcome


def follow(descriptor: int, outcome: Outcome, console: Console) -> str | None:
    """Show events until the process closes its end; the message of what stopped the chain, or None."""
    faults: list[str] = []
    sources: dict[str, str] = {}  # those that failed, with their message
    ended: set[tuple[str, str]] = set()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with os.fdopen(descriptor) as events, Progress(*columns, console=console) as progress:
        bar = progress.add_task("Starting Airflow", total=None)
        for line in events:
            event: dict[str, Any] = json.loads(line)
            match event["event"]:
                case "begin":
                    progress.update(bar, total=event["tasks"])
                case "running":
                    progress.update(bar, description=_describe_task(event))
                case "success" | "skipped":
                    outcome.tasks += 1
                    ended.add((event["dag"], event["task"]))
                    progress.update(bar, completed=len(ended))  # a mapped task counts once
                case "failed":
                    ended.add((event["dag"], event["task"]))
                    if event.get("part"):
                        sources[event["part"]] = event["error"]
                    elif event["task"] != "report_failures":  # that only sums up
                        where = f"{event['dag']}.{event['task']}: " if event["task"] else ""
                        faults.append(where + event["error"])
                case "dag" if event["goes_on"]:
                    outcome.failures |= sources
                    sources = {}
        # What stands in the way of a later task is often that a source is missing: tell that first.
        lines = [
            f"source {name}: {message.removeprefix(f'source {name}: ')}"
            for name, message in sources.items()
        ] + faults[:1]
        if not lines:
            progress.update(bar, description="Done", completed=progress.tasks[0].total or 0)
    return "\n".join(lines) or None


def _describe_task(event: dict[str, Any]) -> str:
    title = TITLES.get(event["dag"], event["dag"])
    part = f" {event['part']}" if event.get("part") else ""
    return f"{title}: {event['task'].replace('_', ' ')}{part}"


def _make_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as err:
        raise ConfigError(
            f"making the folder {path}: {err.strerror}; choose another with PERSONALAKE_DATA_DIR"
        ) from err
    return path


def find_dbt_faults(log: str, limit: int = 2) -> list[str]:
    """What dbt says of the nodes that failed, a line a node, at most `limit` and how many more there are.

    A message that may hold values of rows is cut down to its kind.
    """
    lines = [_plain_line(line) for line in log.splitlines()]
    faults: dict[str, None] = {}
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        found = _DBT_FAULT.match(line)
        # A heading ("Failure in model x") is followed by a line that names the same node and the fault.
        if found and not _DBT_FAULT.match(following):
            detail = _safe_detail(following)
            faults[f"{found[0]}: {detail}" if detail else found[0]] = None
    shown = list(faults)[:limit]
    if len(faults) > limit:
        shown[-1] += f" (and {len(faults) - limit} more)"
    return shown


def _plain_line(line: str) -> str:
    """A line of the chain's log without colours, time, level and place in the code."""
    return _LOG_SUFFIX.sub("", _LOG_PREFIX.sub("", _ANSI.sub("", line))).strip()


def _safe_detail(line: str) -> str:
    if _VALUE_FREE.match(line):
        return line
    kind = re.match(r"[A-Z][A-Za-z ]* Error(?=:)", line)
    return kind[0] if kind else ""


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def write_demo_shop(
    run: PipelineRun, console: Console, *, n_customers: int | None = None, seed: int | None = None
) -> Path:
    """Write the demo shop's logs to `<data>/demo`, unless the same shop stands there; tells where that is."""
    from jobs.demo_shop import DemoShopConfig, generate_demo_shop

    given = {"n_customers": n_customers, "seed": seed}
    config = DemoShopConfig(**{name: value for name, value in given.items() if value is not None})
    directory = _make_folder(run.settings.data_dir) / "demo"
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        bar = progress.add_task("Writing the demo shop's logs", total=None)
        generate_demo_shop(
            config,
            directory,
            on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
        progress.update(bar, total=1, completed=1)
    return directory
