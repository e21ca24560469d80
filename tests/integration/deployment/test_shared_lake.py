"""The shared lake (PostgreSQL catalog, Parquet on S3) under several processes at once.

The writers are processes, not threads: DuckLake forbids two writing threads, and Airflow's tasks are processes too.
"""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import duckdb
import polars as pl
import pytest

from jobs.errors import ConfigError, TransientError
from jobs.lake import append_rows, connect, create_tables, replace_partition, transact
from jobs.settings import Settings
from tests.servers import PostgresServer, S3Server

pytestmark = pytest.mark.integration

AT = datetime(2026, 1, 31, tzinfo=UTC)
AS_OF_DATE = date(2026, 1, 30)
N_WRITERS, N_BATCHES, BATCH_ROWS = 3, 4, 200
SPAWN = multiprocessing.get_context("spawn")  # DuckDB's threads do not survive a fork

_barrier: Barrier | None = None
_stop: Event | None = None


@pytest.fixture
def shared_lake(
    postgres_url: str, rclone_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """An empty lake with all tables; child processes inherit the S3 keys by the environment."""
    for name, value in rclone_s3.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        catalog=postgres_url,
        lake_data=f"s3://{rclone_s3.make_bucket()}/lake",
        memory_limit="1GB",
        threads=1,
    )
    transact(settings, create_tables, message="test")
    return settings


def make_rejects(writer: str, batch: int, count: int = BATCH_ROWS) -> pl.DataFrame:
    """A batch of `raw.rejects`, told apart by file_id (the writer) and line_number."""
    return pl.DataFrame(
        {
            "source": ["test"] * count,
            "entity": ["events"] * count,
            "file_id": [writer] * count,
            "path": [f"{writer}.jsonl"] * count,
            "line_number": list(range(batch * count, (batch + 1) * count)),
            "reason_code": ["malformed"] * count,
            "reason": ["not JSON"] * count,
            "raw_record": [b"x" * 50] * count,
            "rejected_at": [AT] * count,
        }
    )


def make_clusters(run_id: str, count: int) -> pl.DataFrame:
    """A partition of `ml.clusters` with `count` rows, all of one run."""
    return pl.DataFrame(
        {
            "cluster_id": [f"c{number}" for number in range(count)],
            "cluster_name": ["test"] * count,
            "description": ["test"] * count,
            "n_customers": [1] * count,
            "centroid": ["{}"] * count,
            "as_of_date": [AS_OF_DATE] * count,
            "model_version": ["1"] * count,
            "run_id": [run_id] * count,
        }
    )


def take_over(barrier: Barrier | None, stop: Event | None) -> None:
    """Give a child process what it must inherit rather than be sent."""
    global _barrier, _stop
    _barrier, _stop = barrier, stop


def append_batches(settings: Settings, writer: str) -> int:
    """Append batch after batch, each in a transaction of its own; return the rows acknowledged."""
    _barrier.wait(60)
    return sum(
        transact(
            settings,
            lambda con, batch=batch: append_rows(con, "raw.rejects", make_rejects(writer, batch)),
            message=f"{writer} {batch}",
        )
        for batch in range(N_BATCHES)
    )


def watch_counts(settings: Settings) -> list[int]:
    """Count the table again and again until told to stop."""
    con = connect(settings)
    _barrier.wait(60)
    counts = []
    while not _stop.is_set():
        counts.append(con.execute("SELECT count(*) FROM lake.raw.rejects").fetchone()[0])
    con.close()
    return counts


def replace_at_once(settings: Settings, run_id: str, count: int) -> int:
    """Replace one partition; the first attempts of both writers meet before either commits. Return the attempts."""
    rows = make_clusters(run_id, count)
    attempts = 0

    def body(con: duckdb.DuckDBPyConnection) -> None:
        nonlocal attempts
        attempts += 1
        replace_partition(con, "ml.clusters", rows, {"as_of_date": AS_OF_DATE})
        if attempts == 1:
            _barrier.wait(60)

    transact(settings, body, message=run_id)
    return attempts


def test_append_rows_by_several_processes_keeps_every_row_once(shared_lake: Settings) -> None:
    barrier, stop = SPAWN.Barrier(N_WRITERS + 1), SPAWN.Event()
    with ProcessPoolExecutor(N_WRITERS + 1, SPAWN, take_over, (barrier, stop)) as pool:
        reader = pool.submit(watch_counts, shared_lake)
        writers = [
            pool.submit(append_batches, shared_lake, f"writer-{number}")
            for number in range(N_WRITERS)
        ]
        try:
            acknowledged = [writer.result(120) for writer in writers]
        finally:
            stop.set()
        seen = reader.result(60)
    con = connect(shared_lake)
    stored = con.execute(
        "SELECT file_id, count(*), count(DISTINCT line_number) FROM lake.raw.rejects GROUP BY 1 ORDER BY 1"
    ).fetchall()
    con.close()
    expected = N_BATCHES * BATCH_ROWS
    assert acknowledged == [expected] * N_WRITERS
    assert stored == [(f"writer-{n}", expected, expected) for n in range(N_WRITERS)]
    assert seen
    assert seen == sorted(seen)
    assert {count % BATCH_ROWS for count in seen} == {0}  # never a part of a transaction


def test_replace_partition_by_two_processes_retries_and_leaves_one_result(
    shared_lake: Settings,
) -> None:
    transact(
        shared_lake,
        lambda con: append_rows(con, "ml.clusters", make_clusters("before", 30)),
        message="before",
    )
    with ProcessPoolExecutor(2, SPAWN, take_over, (SPAWN.Barrier(2), None)) as pool:
        one = pool.submit(replace_at_once, shared_lake, "one", 40)
        two = pool.submit(replace_at_once, shared_lake, "two", 50)
        attempts = one.result(120), two.result(120)
    con = connect(shared_lake)
    stored = con.execute(
        "SELECT run_id, count(*) FROM lake.ml.clusters GROUP BY 1 ORDER BY 1"
    ).fetchall()
    con.close()
    assert sum(attempts) >= 3  # one of them lost, and came again
    assert stored in ([("one", 40)], [("two", 50)])


def test_transact_with_failing_body_leaves_nothing(shared_lake: Settings) -> None:
    def body(con: duckdb.DuckDBPyConnection) -> None:
        append_rows(con, "raw.rejects", make_rejects("writer", 0))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transact(shared_lake, body, message="fails")
    con = connect(shared_lake)
    assert con.execute("SELECT count(*) FROM lake.raw.rejects").fetchone() == (0,)
    con.close()


def test_parquet_files_lie_on_s3_only(shared_lake: Settings, rclone_s3: S3Server) -> None:
    transact(
        shared_lake,
        lambda con: append_rows(con, "raw.rejects", make_rejects("writer", 0)),
        message="test",
    )
    bucket = shared_lake.lake_data.split("/")[2]
    listed = rclone_s3.client().list_objects_v2(Bucket=bucket, Prefix="lake/raw/rejects/")
    assert [item["Key"][-8:] for item in listed["Contents"]] == [".parquet"]
    assert not list(shared_lake.data_dir.rglob("*.parquet"))


def test_connect_with_wrong_password_names_the_catalog_but_no_secret(
    shared_lake: Settings, postgres_server: PostgresServer
) -> None:
    broken = shared_lake.model_copy(
        update={"catalog": shared_lake.catalog.replace(postgres_server.password, "wrong-pass")}
    )
    with pytest.raises(TransientError, match="PostgreSQL") as caught:
        connect(broken)
    assert "wrong-pass" not in str(caught.value)


def test_connect_without_s3_keys_says_which_variables(
    shared_lake: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID"):
        connect(shared_lake)
