"""Start Airflow with its web page on this machine: API server, scheduler, DAG processor and triggerer as child processes."""

import contextlib
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from jobs.cli.running import airflow_environment
from jobs.errors import ConfigError, TransientError
from jobs.pipeline import PipelineRun
from jobs.settings import PROJECT_ROOT

HOST = "127.0.0.1"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
START_SECONDS = 120  # a first start compiles and migrates
STOP_SECONDS = 20


def serve(run: PipelineRun, port: int, console: Console) -> None:
    """Run Airflow until interrupted; each component is then asked to end by itself.

    Raises:
        ConfigError: the database cannot be prepared, or the port is taken.
        TransientError: a component ended, or the web page does not answer.
    """
    environment = {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        # Anybody who reaches the loopback address is admin: it is a laptop's own page.
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        **airflow_environment(run),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        "PERSONALAKE_CONFIG": str(run.config_path),
    }
    airflow = str(Path(sys.executable).with_name("airflow"))
    logs = Path(environment["AIRFLOW_HOME"]) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    console.print("Preparing Airflow's database")
    prepared = subprocess.run(
        [airflow, "db", "migrate"],
        env=environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        check=False,
    )
    if prepared.returncode:
        raise ConfigError(
            f"preparing Airflow's database in {environment['AIRFLOW_HOME']} failed; see its logs"
        )
    with _components(airflow, environment, logs) as processes:
        _wait_for_page(port, processes)
        console.print(
            f"[green]Airflow is up:[/] http://{HOST}:{port}\n"
            f"Start the chain: trigger [bold]extract_logs[/] there; it reads {escape(str(run.config_path))}\n"
            f"Logs: {escape(str(logs))}. Stop with Ctrl-C."
        )
        while all(process.poll() is None for process in processes.values()):
            time.sleep(1)
        ended = [name for name, process in processes.items() if process.poll() is not None]
        raise TransientError(
            f"airflow {ended[0]} ended by itself; its log is {logs / ended[0]}.log"
        )


@contextlib.contextmanager
def _components(
    airflow: str, environment: dict[str, str], logs: Path
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start the components, each in a session of its own, so that Ctrl-C reaches this process alone."""
    processes = {}
    previous = signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        for name in COMPONENTS:
            with (logs / f"{name}.log").open("ab") as log:
                processes[name] = subprocess.Popen(
                    [airflow, name],
                    env=environment,
                    cwd=PROJECT_ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        yield processes
    except KeyboardInterrupt:
        return
    finally:
        # One by one: a signal to the whole group makes the scheduler hang.
        for process in reversed(processes.values()):
            process.terminate()
        for process in processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        signal.signal(signal.SIGTERM, previous)


def _wait_for_page(port: int, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if processes["api-server"].poll() is not None:
            raise ConfigError(
                f"the API server ended; is port {port} taken? Choose another with --port"
            )
        try:
            urllib.request.urlopen(f"http://{HOST}:{port}/api/v2/version", timeout=2).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise TransientError(
        f"Airflow's web page does not answer on port {port} after {START_SECONDS} s"
    )
