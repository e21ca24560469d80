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
from contextlib import ExitStack, contextmanager
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
_NOT_ENCRYPTED_MARK = "requested an encrypted database"
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
    parsed = urlparse(endpoint or "https:")  # AWS's own
    clauses.append(f"USE_SSL {'true' if parsed.scheme == 'https' else 'false'}")
    if endpoint:
        clauses += [f"ENDPOINT {_quoted(parsed.netloc)}", "URL_STYLE 'path'"]
    if bundle := os.environ.get("AWS_CA_BUNDLE"):  # boto3 finds it by itself
        con.execute(f"SET ca_cert_file = {_quoted(bundle)}")
    con.execute(f"CREATE OR REPLACE SECRET lake_s3 (TYPE s3, {', '.join(clauses)})")


def check_folder(settings: Settings, *, read_only: bool) -> None:
    """Check that the lake exists (readers), or that its folder can be written to (writers; makes it).

    From then on files of this process are its owner's alone (mode 0600, folders 0700).

    Raises:
        ConfigError: it does not, or cannot.
    """
    # Every process that has to do with a lake comes by here, before it writes anything: what it writes tells of customers.
    os.umask(0o077)
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


def encrypt_spills(con: duckdb.DuckDBPyConnection) -> None:
    """Encrypt what a connection puts into temporary files, with a key that nobody else has and that goes with it.

    Call it before the connection's first query: larger than memory may be the lines of a log.
    """
    _load_extension(con, "httpfs")  # it brings OpenSSL, without which DuckDB encrypts nothing
    con.execute("SET temp_file_encryption = true")


def attach_encrypted(
    con: duckdb.DuckDBPyConnection, path: Path, name: str, key: bytes, *, read_only: bool
) -> None:
    """Attach a DuckDB file that is encrypted with AES-256-GCM; made where there is none, unless `read_only`.

    Args:
        con: any connection.
        path: the file.
        name: of the database on this connection.
        key: 32 bytes.
        read_only: several processes may read at once; one that writes wants the file for itself.

    Raises:
        ConfigError: the file is another key's, is not encrypted, or is no database.
        TransientError: another process has it open.
    """
    _load_extension(con, "httpfs")
    options = f"ENCRYPTION_KEY '{key.hex()}', ENCRYPTION_CIPHER 'GCM'"
    if read_only:
        options += ", READ_ONLY"
    try:
        con.execute(f"ATTACH {_quoted(str(path))} AS {name} ({options})")
    except duckdb.Error as err:
        # No text of DuckDB's is passed on, and no cause: the statement holds the key.
        if "lock on file" in str(err):
            raise TransientError(
                f"opening {path}: another process has it open; let it end, then run again"
            ) from None
        raise ConfigError(
            f"opening {path}: it is no database that PERSONALAKE_KEY opens ({type(err).__name__}); set the key that it "
            "was written with, or restore the file from a backup"
        ) from None


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
    if settings.lake_encrypted:
        options.append("ENCRYPTED")
    if settings.lake_encrypted or not read_only:
        encrypt_spills(con)  # of others only what is in the lake's files as well; it costs 50 ms
    if read_only:
        options.append("READ_ONLY")
    _set_limits(con, settings)
    try:
        _attach(con, target, options)
    except duckdb.Error as err:
        raise _explain(err, settings, target) from err
    con.execute(f"USE {LAKE}")


def _set_limits(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
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


def _explain(err: duckdb.Error, settings: Settings, target: str) -> ConfigError | TransientError:
    """What to tell of a catalog that cannot be attached."""
    where = "PostgreSQL" if settings.is_shared_catalog else str(settings.lake_dir)
    # The server's text repeats the connection string, password and all: only its first line without it is passed on.
    reason = str(err).split("\n", 1)[0].replace(target.removeprefix("ducklake:postgres:"), "...")
    if _NOT_ENCRYPTED_MARK in reason:
        return ConfigError(
            f"opening the lake ({where}): PERSONALAKE_LAKE_ENCRYPTED is set, but this lake was made without encryption, and "
            "its files stay as they are; unset it, or load the logs into a new lake (--lake)"
        )
    if any(mark in reason for mark in _PERMANENT_MARKS):
        return ConfigError(
            f"opening the lake's catalog ({where}): {reason}; restore it from a backup, or choose "
            "another place with --lake"
        )
    return TransientError(
        f"opening the lake's catalog ({where}): {reason}; check that it is reachable"
    )


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
def _file_lock(path: Path, settings: Settings, refusal: str) -> Iterator[None]:
    """Hold a lock file; it goes with the process, so a crash never leaves it behind.

    Raises:
        TransientError: another process held it for longer than `lock_timeout_seconds`; `refusal` says of what.
    """
    with path.open("a") as file:
        deadline = time.monotonic() + settings.lock_timeout_seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as err:
                if time.monotonic() > deadline:
                    raise TransientError(
                        f"{refusal} has held {path} for over {settings.lock_timeout_seconds} s; "
                        "let it end, then run again"
                    ) from err
                time.sleep(0.05)
        yield


@contextmanager
def _advisory_lock(
    settings: Settings, name: str, refusal: str, *, is_shared: bool = False
) -> Iterator[None]:
    """Hold a lock of the catalog's PostgreSQL; it goes with its session, and so with the process.

    Raises:
        TransientError: others held it for longer than `lock_timeout_seconds` (`refusal` says of what), or the catalog does
            not answer.
    """
    import psycopg2

    key = int.from_bytes(hashlib.sha256(f"personalake {name}".encode()).digest()[:8], signed=True)
    function = "pg_advisory_lock_shared" if is_shared else "pg_advisory_lock"
    try:
        con = psycopg2.connect(_postgres_dsn(settings.catalog))
        con.autocommit = True
        with con.cursor() as cursor:
            cursor.execute("SET lock_timeout = %s", [f"{settings.lock_timeout_seconds}s"])
            cursor.execute(f"SELECT {function}(%s)", [key])
    except psycopg2.errors.LockNotAvailable as err:
        raise TransientError(
            f"{refusal} for over {settings.lock_timeout_seconds} s; let it end, then run again"
        ) from err
    except psycopg2.OperationalError:
        raise TransientError(
            "locking the lake: its catalog (PostgreSQL) cannot be reached; check that it runs"
        ) from None
    try:
        yield
    finally:
        con.close()


@contextmanager
def write_lock(settings: Settings, *, alone: bool = False) -> Iterator[None]:
    """Hold the lake's writer lock: one writer at a time with a SQLite catalog, many with PostgreSQL.

    Re-entrant in one process. The lock goes with the process, so a crash never leaves it behind.

    Args:
        settings: where the lake is.
        alone: keep all others out with PostgreSQL too, for what no retry of a conflict would save: DuckLake lets a table be
            dropped to which somebody has added rows meanwhile. Not inside another lock.

    Raises:
        TransientError: other writers held it for longer than `lock_timeout_seconds`, or the catalog does not answer.
    """
    global _lock_depth
    _claim_writing_thread()
    with ExitStack() as stack:
        if not _lock_depth and settings.is_shared_catalog:
            refusal = "writing to the lake: others have kept it locked"
            stack.enter_context(_advisory_lock(settings, "/writers", refusal, is_shared=not alone))
        elif not _lock_depth:
            check_folder(settings, read_only=False)
            path = settings.lake_dir / ".write.lock"
            stack.enter_context(_file_lock(path, settings, "writing to the lake: another writer"))
        _lock_depth += 1
        try:
            yield
        finally:
            _lock_depth -= 1


@contextmanager
def vault_lock(settings: Settings) -> Iterator[None]:
    """Keep the vault to this process; makes its folder where it is missing. Take it before the lake's lock, never after.

    Raises:
        ConfigError: the folder cannot be made.
        TransientError: another process held it for longer than `lock_timeout_seconds`.
    """
    os.umask(0o077)
    folder = settings.vault_dir
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as err:
        raise ConfigError(
            f"opening the vault at {folder}: the folder cannot be made ({err.strerror}); "
            "choose another with PERSONALAKE_VAULT"
        ) from err
    with _file_lock(folder / ".lock", settings, "opening the vault: another process"):
        yield


@contextmanager
def source_lock(settings: Settings, source: str) -> Iterator[None]:
    """Let one loader at a time work on a source.

    With a SQLite catalog the writer lock does that already. Inserts of two loaders into one table are no conflict to DuckLake,
    so with PostgreSQL an advisory lock of the catalog's database is held.

    Raises:
        TransientError: another loader held it for longer than `lock_timeout_seconds`, or the catalog does not answer.
    """
    if not settings.is_shared_catalog:
        yield
        return
    with _advisory_lock(settings, source, f"loading {source}: another loader has worked on it"):
        yield


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
