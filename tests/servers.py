"""Real servers on 127.0.0.1 for the tests: PostgreSQL (pgserver), S3 by rclone (checks keys, keeps files) and by moto
(conditional writes). Each runs as a child of the test process, in a folder of its own, and is stopped by its own pid.

A `conftest.py` imports the fixtures that it offers:
`from tests.servers import moto_s3, postgres_server, rclone_s3`.
"""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

HOST = "127.0.0.1"
_START_SECONDS = 60  # generous: several test runs may share two cores
_STOP_SECONDS = 20
_numbers = itertools.count(1)


def find_free_port() -> int:
    """A TCP port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until(
    is_ready: Callable[[], bool], what: str, process: subprocess.Popen[bytes], log: Path
) -> None:
    """Poll until a server answers.

    Raises:
        RuntimeError: the process ended, or the time ran out; with the end of its log.
    """
    deadline = time.monotonic() + _START_SECONDS
    while not is_ready():
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            reason = f"ended with {process.returncode}" if ended else "does not answer"
            raise RuntimeError(f"{what} {reason}; its log ends:\n{read_tail(log)}")
        time.sleep(0.05)


def read_tail(log: Path, count_lines: int = 40) -> str:
    """The last lines of a log file, or nothing where there is none."""
    if not log.is_file():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-count_lines:]
    return "\n".join(line[:1000] for line in lines)  # Airflow writes a stack trace into one line


def stop_process(
    process: subprocess.Popen[bytes], *, seconds: float = _STOP_SECONDS, with_int: bool = False
) -> bool:
    """Ask one process to end, kill it and what is left of its children after a while; False when it had to be killed.

    The signal goes to the process alone, never to its group: Airflow's scheduler hangs when its children get it too.
    """
    if process.poll() is not None:
        return True
    try:
        descendants = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        descendants = []
    if with_int:
        process.send_signal(2)
    else:
        process.terminate()
    try:
        process.wait(seconds)
        was_clean = True
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        was_clean = False
    _, alive = psutil.wait_procs(descendants, timeout=3)
    for child in alive:
        child.kill()
    return was_clean


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL; every call of `make_database` gives a fresh, empty database."""

    port: int
    user: str
    password: str
    folder: Path

    def url(self, database: str = "postgres") -> str:
        """postgresql://user:password@127.0.0.1:port/database."""
        return f"postgresql://{self.user}:{self.password}@{HOST}:{self.port}/{database}"

    def make_database(self, name: str = "") -> str:
        """Make an empty database and return its address."""
        import psycopg2

        database = name or f"lake_{os.getpid()}_{next(_numbers)}"
        con = psycopg2.connect(self.url())
        con.autocommit = True  # CREATE DATABASE refuses to run in a transaction
        try:
            con.cursor().execute(f'CREATE DATABASE "{database}"')
        finally:
            con.close()
        return self.url(database)


@contextmanager
def run_postgres(
    user: str = "personalake", password: str = "not-a-secret"
) -> Iterator[PostgresServer]:
    """Start PostgreSQL 16 with one superuser, whose password it checks."""
    # Its wheel is missing for some platforms, where what needs a PostgreSQL cannot be tested.
    pytest.importorskip("pgserver", reason="pgserver has no wheel for this platform")
    from pgserver._commands import POSTGRES_BIN_PATH

    # Not pytest's tmp_path: its parents are closed to the other user that the server runs as below root.
    folder = Path(tempfile.mkdtemp(prefix="personalake-pg-"))
    account: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        from pgserver.utils import (
            ensure_folder_permissions,
            ensure_prefix_permissions,
            ensure_user_exists,
        )

        entry = ensure_user_exists("pgserver")
        ensure_prefix_permissions(POSTGRES_BIN_PATH)
        ensure_folder_permissions(POSTGRES_BIN_PATH.parent, 0o555)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    data, log, secret = folder / "data", folder / "postgres.log", folder / "password"
    secret.write_text(password)
    secret.chmod(0o644)
    made = subprocess.run(
        [POSTGRES_BIN_PATH / "initdb", "-D", data, "-U", user, "-A", "scram-sha-256", "--pwfile", secret,
         "-E", "UTF8", "--no-sync"],
        capture_output=True, text=True, cwd=folder, check=False, **account,
    )  # fmt: skip
    if made.returncode:
        raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
    port = find_free_port()
    options = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",  # a crash of the machine may cost a test its data
        "max_connections": 200,
    }
    settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [POSTGRES_BIN_PATH / "postgres", "-D", data, *settings],
            stdout=output, stderr=output, cwd=folder, **account,
        )  # fmt: skip
    server = PostgresServer(port, user, password, folder)
    try:
        wait_until(lambda: _accepts(server), "PostgreSQL", process, log)
        yield server
    finally:
        # INT is PostgreSQL's fast shutdown; TERM would wait for every client to go.
        stop_process(process, with_int=True)
        shutil.rmtree(folder, ignore_errors=True)


def _accepts(server: PostgresServer) -> bool:
    import psycopg2

    try:
        psycopg2.connect(server.url(), connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


@dataclass(frozen=True)
class S3Server:
    """A running S3 service; every call of `make_bucket` gives a fresh, empty bucket."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    folder: Path | None = field(default=None)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that boto3 and `jobs.lake` find this server by."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def client(self) -> Any:
        """A boto3 client of this server, whatever the environment says."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
        )

    def make_bucket(self, name: str = "") -> str:
        """Make an empty bucket and return its name."""
        bucket = name or f"bucket-{os.getpid()}-{next(_numbers)}"
        self.client().create_bucket(Bucket=bucket)
        return bucket


def find_program(name: str) -> str:
    """A program that a wheel put beside the interpreter, or on PATH.

    Raises:
        RuntimeError: it is not installed.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        raise RuntimeError(f"{name} is not installed; install the group `test` of pyproject.toml")
    return found


@contextmanager
def run_rclone_s3(
    access_key: str = "test-key", secret_key: str = "test-secret"
) -> Iterator[S3Server]:
    """Start `rclone serve s3` on a folder: buckets are folders, objects are files, signatures are checked."""
    folder = Path(tempfile.mkdtemp(prefix="personalake-s3-"))
    root, log = folder / "data", folder / "rclone.log"
    root.mkdir()
    port = find_free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [find_program("rclone"), "serve", "s3", str(root), "--addr", f"{HOST}:{port}",
             "--config", os.devnull],
            env=os.environ | {"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'},  # one CSV field
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        wait_until(lambda: _listens(port), "rclone serve s3", process, log)
        yield S3Server(f"http://{HOST}:{port}", access_key, secret_key, folder=root)
    finally:
        stop_process(process)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def run_moto_s3() -> Iterator[S3Server]:
    """Start moto's S3 in this process: in memory, any key pair is taken, conditional writes work."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        yield S3Server(f"http://{HOST}:{port}", "test-key", "test-secret")
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL for the whole session; `postgres_server.make_database()` gives each test its own."""
    with run_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """Address of a fresh database."""
    return postgres_server.make_database()


@pytest.fixture(scope="session")
def rclone_s3() -> Iterator[S3Server]:
    """rclone's S3 for the whole session; `rclone_s3.make_bucket()` gives each test its own."""
    with run_rclone_s3() as server:
        yield server


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[S3Server]:
    """moto's S3 for the whole session; `moto_s3.make_bucket()` gives each test its own."""
    with run_moto_s3() as server:
        yield server
