"""Open the lake, and write to it safely.

One process writes from one thread only: DuckLake (DuckDB 1.5) corrupts memory when several threads of one process write
(duckdb/ducklake issues 1248 and 1404). With the SQLite catalog all writers, dbt included, are serialised by one lock
file; with PostgreSQL they run side by side and a true conflict is retried. Readers never wait.
"""

import fcntl
import hashlib
import importlib.util
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlparse

import duckdb

from jobs.errors import ConfigError, TransientError
from jobs.settings import Settings

logger = logging.getLogger(__name__)

T = TypeVar("T")

LAKE = "lake"
_ATTACH_ATTEMPTS = 5
MAX_CONFLICT_RETRIES = 20  # two writers of one partition settle within a few rounds
# Faults of a catalog that no retry mends.
_PERMANENT_MARKS = ("not a database", "malformed", "does not match existing data path")
_CONFLICT_MARKS = ("Transaction conflict", "maximum retry count", "write-write conflict")
_writing_thread: int | None = None
_lock_depth = 0


def _load_extension(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension from its wheel, or from DuckDB's own server where no wheel is installed."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is not None and spec.submodule_search_locations:
        version = f"v{duckdb.__version__}"
        folder = Path(spec.submodule_search_locations[0]) / "extensions" / version
        file = folder / f"{name}.duckdb_extension"
        if file.is_file():
            con.load_extension(str(file))
            return
    con.install_extension(name)
    con.load_extension(name)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _postgres_dsn(url: str) -> str:
    """Turn postgresql://user:password@host:port/database into libpq's key=value form."""
    parsed = urlparse(url)
    host = parsed.hostname or ""
    query = dict(part.split("=", 1) for part in parsed.query.split("&") if "=" in part)
    facts = {
        "host": unquote(query.get("host", host)),
        "port": str(parsed.port) if parsed.port else "",
        "user": unquote(parsed.username or ""),
        "password": unquote(parsed.password or ""),
        "dbname": parsed.path.lstrip("/"),
        # sslmode and such
        **{key: unquote(value) for key, value in query.items() if key != "host"},
    }
    return " ".join(
        "{}='{}'".format(key, value.replace("\\", "\\\\").replace("'", "\\'"))
        for key, value in facts.items()
        if value
    )


def _create_s3_secret(con: duckdb.DuckDBPyConnection, kms_key: str) -> None:
    """Hand boto3's credentials (environment, profile or role) to DuckDB for this connection."""
    import boto3

    session = boto3.Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise ConfigError(
            "opening the lake on s3://: no credentials found; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or a profile or role that boto3 knows"
        )
    frozen = credentials.get_frozen_credentials()
    facts = {
        "KEY_ID": frozen.access_key or "",
        "SECRET": frozen.secret_key or "",
        "SESSION_TOKEN": frozen.token or "",
        "REGION": session.region_name or "us-east-1",
    }
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if kms_key:  # server-side encryption (SSE-KMS) of what is written
        facts["KMS_KEY_ID"] = kms_key
    clauses = [f"{key} {_quoted(value)}" for key, value in facts.items() if value]
    if endpoint:
        parsed = urlparse(endpoint)
        clauses += [
            f"ENDPOINT {_quoted(parsed.netloc)}",
            "URL_STYLE 'path'",
            f"USE_SSL {'true' if parsed.scheme == 'https' else 'false'}",
        ]
    if bundle := os.environ.get("AWS_CA_BUNDLE"):  # boto3 finds it by itself
        con.execute(f"SET ca_cert_file = {_quoted(bundle)}")
    con.execute(f"CREATE OR REPLACE SECRET lake_s3 (TYPE s3, {', '.join(clauses)})")


def check_folder(settings: Settings, *, read_only: bool) -> None:
    """Check that the lake exists (readers), or that its folder can be written to (writers; makes it).

    Raises:
        ConfigError: it does not, or cannot.
    """
    catalog = settings.lake_dir / "catalog.sqlite"
    if read_only:
        if not settings.is_shared_catalog and not catalog.is_file():
            others = sorted(path.parent for path in settings.data_dir.glob("*/lake/catalog.sqlite"))
            hint = f" (there are lakes at {', '.join(map(str, others))}: --lake)" if others else ""
            raise ConfigError(
                f"opening the lake at {settings.lake_dir}: there is none yet{hint}; "
                "fill it with `personalake run` or `personalake demo` first"
            )
        return
    try:
        settings.lake_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as err:
        raise ConfigError(
            f"opening the lake at {settings.lake_dir}: the folder cannot be made "
            f"({err.strerror}); choose another with --lake or PERSONALAKE_LAKE"
        ) from err
    if not os.access(settings.lake_dir, os.W_OK | os.X_OK):
        raise ConfigError(
            f"opening the lake at {settings.lake_dir}: no permission to write there; "
            "choose another with --lake or PERSONALAKE_LAKE"
        )


def _attach(con: duckdb.DuckDBPyConnection, target: str, options: list[str]) -> None:
    """Attach the lake; again where another process is just making the same catalog's tables."""
    for attempt in range(1, _ATTACH_ATTEMPTS + 1):
        try:
            con.execute(f"ATTACH {_quoted(target)} AS {LAKE} ({', '.join(options)})")
        except duckdb.Error as err:
            if attempt == _ATTACH_ATTEMPTS or "Failed to initialize DuckLake" not in str(err):
                raise
            time.sleep(0.2 * attempt)
        else:
            return


def attach_lake(con: duckdb.DuckDBPyConnection, settings: Settings, *, read_only: bool) -> None:
    """Load the extensions, attach the lake as `lake` and make it the default database."""
    check_folder(settings, read_only=read_only)
    data_path = settings.lake_data or f"{settings.lake_dir / 'data'}/"
    options = [f"DATA_PATH {_quoted(data_path)}"]
    _load_extension(con, "ducklake")
    if settings.is_shared_catalog:
        _load_extension(con, "postgres_scanner")
        target = "ducklake:postgres:" + _postgres_dsn(settings.catalog)
        # Measured with four writers: many short waits beat few long ones (slowest commit 4 s against 66 s).
        for option, value in (("max_retry_count", 100), ("retry_wait_ms", 20)):
            con.execute(f"SET ducklake_{option} = {value}")
        con.execute("SET ducklake_retry_backoff = 1.05")
    else:
        _load_extension(con, "sqlite_scanner")
        target = f"ducklake:sqlite:{settings.lake_dir / 'catalog.sqlite'}"
        options += ["META_JOURNAL_MODE 'WAL'", "META_BUSY_TIMEOUT 10000"]
        if not settings.lake_data:
            options.append(
                "OVERRIDE_DATA_PATH true"
            )  # so that the folder can be moved, files and all
    if settings.lake_data:
        _load_extension(con, "httpfs")
        _create_s3_secret(con, settings.lake_kms_key)
    if read_only:
        options.append("READ_ONLY")
    temporary = settings.lake_dir / "tmp"
    con.execute(f"SET temp_directory = {_quoted(str(temporary))}")
    try:
        con.execute(f"SET memory_limit = {_quoted(settings.memory_limit)}")
    except duckdb.Error as err:
        raise ConfigError(
            f"PERSONALAKE_MEMORY_LIMIT={settings.memory_limit}: not an amount of memory; write 4GB, say"
        ) from err
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")  # it would fill a log; the loader shows its own
    if settings.threads:
        con.execute(f"SET threads = {settings.threads}")
    try:
        _attach(con, target, options)
    except duckdb.Error as err:
        where = "PostgreSQL" if settings.is_shared_catalog else str(settings.lake_dir)
        # The server's text repeats the connection string, password and all: only its first line without it is passed on.
        reason = (
            str(err).split("\n", 1)[0].replace(target.removeprefix("ducklake:postgres:"), "...")
        )
        if any(mark in reason for mark in _PERMANENT_MARKS):
            raise ConfigError(
                f"opening the lake's catalog ({where}): {reason}; restore it from a backup, or choose "
                "another place with --lake"
            ) from err
        raise TransientError(
            f"opening the lake's catalog ({where}): {reason}; check that it is reachable"
        ) from err
    con.execute(f"USE {LAKE}")


def connect(settings: Settings, *, read_only: bool = True) -> duckdb.DuckDBPyConnection:
    """Open the lake in a private in-memory DuckDB, with `lake` as the default database.

    Args:
        settings: where the lake is.
        read_only: readers take no lock and see the last committed snapshot. To write, prefer `transact`.

    Raises:
        ConfigError: the lake does not exist (readers), or its folder is not writable (writers).
        TransientError: the catalog does not answer.
    """
    con = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
    try:
        attach_lake(con, settings, read_only=read_only)
    except BaseException:
        con.close()
        raise
    return con


def _claim_writing_thread() -> None:
    global _writing_thread
    current = threading.get_ident()
    alive = {thread.ident for thread in threading.enumerate()}
    if _writing_thread is not None and _writing_thread != current and _writing_thread in alive:
        raise RuntimeError(
            "two threads of one process write to the lake; DuckLake corrupts memory then: "
            "write from one thread, or from several processes"
        )
    _writing_thread = current


@contextmanager
def write_lock(settings: Settings) -> Iterator[None]:
    """Hold the lake's one writer lock (nothing to hold with a PostgreSQL catalog).

    Re-entrant in one process. The lock goes with the process, so a crash never leaves it behind.

    Raises:
        TransientError: another writer held it for longer than `lock_timeout_seconds`.
    """
    global _lock_depth
    _claim_writing_thread()
    if settings.is_shared_catalog or _lock_depth:
        _lock_depth += 1
        try:
            yield
        finally:
            _lock_depth -= 1
        return
    check_folder(settings, read_only=False)
    path = settings.lake_dir / ".write.lock"
    with path.open("a") as file:
        deadline = time.monotonic() + settings.lock_timeout_seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as err:
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"writing to the lake: another writer has held {path} for over "
                        f"{settings.lock_timeout_seconds} s; let it end, then run again"
                    ) from err
                time.sleep(0.05)
        _lock_depth += 1
        try:
            yield
        finally:
            _lock_depth -= 1


@contextmanager
def source_lock(settings: Settings, source: str) -> Iterator[None]:
    """Let one loader at a time work on a source.

    With a SQLite catalog the writer lock does that already. Inserts of two loaders into one table are no conflict to DuckLake,
    so with PostgreSQL an advisory lock of the catalog's database is held; it goes with its session, and so with the process.

    Raises:
        TransientError: another loader held it for longer than `lock_timeout_seconds`, or the catalog does not answer.
    """
    if not settings.is_shared_catalog:
        yield
        return
    import psycopg2

    key = int.from_bytes(hashlib.sha256(f"personalake {source}".encode()).digest()[:8], signed=True)
    try:
        con = psycopg2.connect(_postgres_dsn(settings.catalog))
        con.autocommit = True
        with con.cursor() as cursor:
            cursor.execute("SET lock_timeout = %s", [f"{settings.lock_timeout_seconds}s"])
            cursor.execute("SELECT pg_advisory_lock(%s)", [key])
    except psycopg2.errors.LockNotAvailable as err:
        raise TransientError(
            f"loading {source}: another loader has worked on it for over {settings.lock_timeout_seconds} s; "
            "let it end, then run again"
        ) from err
    except psycopg2.OperationalError:
        raise TransientError(
            f"loading {source}: the lake's catalog (PostgreSQL) cannot be reached; check that it runs"
        ) from None
    try:
        yield
    finally:
        con.close()


@contextmanager
def open_for_writing(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for several calls of `transact`: loading the extensions takes longer than a small batch.

    Raises:
        ConfigError: the lake's folder is not writable.
        TransientError: the catalog does not answer.
    """
    with write_lock(settings):  # of two first writers one makes the catalog
        con = connect(settings, read_only=False)
    try:
        yield con
    finally:
        con.close()


@contextmanager
def _given(
    settings: Settings, con: duckdb.DuckDBPyConnection | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    if con is not None:
        yield con
        return
    with open_for_writing(settings) as own:
        yield own


def transact(
    settings: Settings,
    body: Callable[[duckdb.DuckDBPyConnection], T],
    *,
    message: str,
    prepare: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
    con: duckdb.DuckDBPyConnection | None = None,
) -> T:
    """Run `body` in one transaction: all of its writes appear at once, or none.

    `body` may run more than once (a conflict with another writer is retried), so it must only touch the
    connection. The snapshot carries `message`. `prepare` runs once before the transaction begins, to fill temporary tables;
    another writer can only be kept out of what it reads by a lock of the caller's (`source_lock`). `con` is a connection of
    `open_for_writing`, for a task of many transactions: without it each has one of its own.

    Raises:
        TransientError: other writers won `MAX_CONFLICT_RETRIES` times.
    """
    with write_lock(settings), _given(settings, con) as lake:
        if prepare is not None:
            prepare(lake)
        for attempt in range(MAX_CONFLICT_RETRIES):
            try:
                lake.execute("BEGIN")
                result = body(lake)
                lake.execute(f"CALL {LAKE}.set_commit_message('personalake', ?)", [message])
                lake.execute("COMMIT")
                return result
            except duckdb.Error as err:
                _roll_back(lake)
                if not any(mark in str(err) for mark in _CONFLICT_MARKS):
                    raise
                logger.info("conflict in %s, attempt %d", message, attempt + 1)
                time.sleep(min(2.0, 0.02 * 1.5**attempt) * (0.5 + random.random()))  # noqa: S311 - jitter
            except BaseException:
                _roll_back(lake)
                raise
    raise TransientError(
        f"{message}: lost against other writers {MAX_CONFLICT_RETRIES} times; run it again"
    )


def _roll_back(con: duckdb.DuckDBPyConnection) -> None:
    try:
        con.execute("ROLLBACK")
    except duckdb.Error as err:
        logger.debug("nothing to roll back: %s", err)
