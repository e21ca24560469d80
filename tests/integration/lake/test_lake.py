"""The same promises on both forms of the lake: SQLite and a local folder, PostgreSQL and s3://."""

import multiprocessing
import threading
from datetime import UTC, date, datetime

import polars as pl
import pytest

from jobs.errors import ConfigError, InputDataError, TransientError
from jobs.lake import append_rows, connect, create_tables, replace_partition, transact, write_lock
from jobs.lake.maintenance import compact
from jobs.settings import Settings

pytestmark = pytest.mark.integration
DAY = date(2026, 6, 30)


def _stages(customers, stage="browsing", day=DAY):
    n = len(customers)
    return pl.DataFrame(
        {
            "customer_id": customers,
            "stage": [stage] * n,
            "reached_at": [datetime(2026, 6, 30, tzinfo=UTC)] * n,
            "as_of_date": [day] * n,
            "model_version": ["v1"] * n,
            "run_id": ["r1"] * n,
        }
    )


def _replace(customers, stage="browsing", day=DAY, **options):
    def body(con):
        return replace_partition(
            con,
            "ml.customer_stages",
            _stages(customers, stage, day),
            {"as_of_date": day},
            **options,
        )

    return body


def _count(settings, table="ml.customer_stages"):
    con = connect(settings)
    try:
        return con.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        con.close()


def test_create_tables_twice_is_harmless(any_lake):
    transact(any_lake, create_tables, message="create")
    transact(any_lake, create_tables, message="create")

    con = connect(any_lake)
    assert con.execute("SELECT count(*) FROM raw.events").fetchone() == (0,)


def test_replace_partition_touches_only_its_own(any_lake):
    transact(any_lake, create_tables, message="create")
    transact(any_lake, _replace(["a", "b"]), message="first")
    transact(any_lake, _replace(["c"], day=date(2026, 7, 1)), message="other day")
    transact(any_lake, _replace(["b"], "carting"), message="again")

    con = connect(any_lake)
    rows = con.execute(
        "SELECT customer_id, stage, as_of_date FROM ml.customer_stages ORDER BY 1"
    ).fetchall()
    assert rows == [("b", "carting", DAY), ("c", "browsing", date(2026, 7, 1))]


def test_transaction_that_fails_leaves_nothing(any_lake):
    transact(any_lake, create_tables, message="create")

    def body(con):
        append_rows(con, "ml.customer_stages", _stages(["a"]))
        raise InputDataError("the second table is wrong")

    with pytest.raises(InputDataError):
        transact(any_lake, body, message="half")

    assert _count(any_lake) == 0


def test_reader_sees_the_last_commit_while_a_writer_works(any_lake):
    transact(any_lake, create_tables, message="create")
    transact(any_lake, _replace(["a"]), message="first")
    seen = []

    def body(con):
        replace_partition(con, "ml.customer_stages", _stages(["a", "b"]), {"as_of_date": DAY})
        seen.append(_count(any_lake))

    transact(any_lake, body, message="second")

    assert seen == [1]
    assert _count(any_lake) == 2


def test_readers_cannot_write(any_lake):
    transact(any_lake, create_tables, message="create")
    con = connect(any_lake)

    with pytest.raises(Exception, match="read-only"):
        con.execute("DELETE FROM ml.customer_stages")


def test_collapse_of_a_partition_is_refused_unless_allowed(any_lake):
    transact(any_lake, create_tables, message="create")
    many = [f"c{number}" for number in range(1200)]
    transact(any_lake, _replace(many), message="many")

    with pytest.raises(InputDataError, match="--allow-shrink"):
        transact(any_lake, _replace(["a"]), message="few")
    assert _count(any_lake) == 1200

    transact(any_lake, _replace(["a"], allow_shrink=True), message="few, and meant")
    assert _count(any_lake) == 1


def test_wrong_columns_are_named(any_lake):
    transact(any_lake, create_tables, message="create")

    with pytest.raises(InputDataError, match=r"missing columns \['stage'\]"):
        transact(
            any_lake,
            lambda con: append_rows(con, "ml.customer_stages", _stages(["a"]).drop("stage")),
            message="wrong",
        )


def test_compact_keeps_every_row(any_lake):
    transact(any_lake, create_tables, message="create")
    for number in range(4):
        customers = [f"c{number}-{index}" for index in range(50)]
        transact(any_lake, _replace(customers, day=date(2026, 6, number + 1)), message="day")

    compact(any_lake, now=datetime(2100, 1, 1, tzinfo=UTC), keep_days=1)

    assert _count(any_lake) == 200


def _append_often(settings_json, name, times):
    settings = Settings.model_validate_json(settings_json)
    for number in range(times):
        customers = [f"{name}-{number}-{index}" for index in range(100)]
        transact(
            settings,
            lambda con, rows=customers: append_rows(con, "ml.customer_stages", _stages(rows)),
            message=f"{name} {number}",
        )


def test_several_writing_processes_lose_nothing(any_lake):
    transact(any_lake, create_tables, message="create")
    spawn = multiprocessing.get_context("spawn")
    text = any_lake.model_dump_json()
    writers = [spawn.Process(target=_append_often, args=(text, f"w{n}", 3)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert _count(any_lake) == 900


def test_two_writing_threads_are_refused(settings):
    transact(settings, create_tables, message="create")
    faults = []
    inside, done = threading.Event(), threading.Event()

    def other():
        inside.wait()
        try:
            transact(settings, create_tables, message="from another thread")
        except RuntimeError as err:
            faults.append(str(err))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with write_lock(settings):
        inside.set()
        done.wait(timeout=60)
    thread.join()

    assert faults
    assert "two threads" in faults[0]


def _hold_lock(settings_json, held, release):
    with write_lock(Settings.model_validate_json(settings_json)):
        held.set()
        release.wait(60)


def test_waiting_writer_gives_up_with_the_next_step(settings):
    impatient = settings.model_copy(update={"lock_timeout_seconds": 1})
    spawn = multiprocessing.get_context("spawn")
    held, release = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=_hold_lock, args=(settings.model_dump_json(), held, release))
    holder.start()
    held.wait(60)

    try:
        with pytest.raises(TransientError, match="another writer has held"):
            transact(impatient, create_tables, message="create")
    finally:
        release.set()
        holder.join()


def test_missing_lake_says_how_to_fill_it(settings):
    with pytest.raises(ConfigError, match="personalake run"):
        connect(settings)


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    settings = Settings(_env_file=None, lake=tmp_path / "file" / "lake")

    with pytest.raises(ConfigError, match=r"file/lake.*--lake"):
        transact(settings, create_tables, message="create")


def test_catalog_that_does_not_answer_hides_its_password(tmp_path):
    settings = Settings(
        _env_file=None, data_dir=tmp_path, catalog="postgresql://user:top-secret@127.0.0.1:9/lake"
    )

    with pytest.raises(TransientError, match="PostgreSQL") as fault:
        connect(settings)

    assert "top-secret" not in str(fault.value)


def test_lake_folder_can_be_moved(settings, tmp_path):
    transact(settings, create_tables, message="create")
    transact(settings, _replace([f"c{number}" for number in range(50)]), message="rows")
    moved = tmp_path / "elsewhere"
    settings.lake_dir.rename(moved)

    other = settings.model_copy(update={"lake": moved})
    transact(other, _replace(["d"], day=date(2026, 7, 1)), message="more")

    assert _count(other) == 51


def test_catalog_that_is_no_database_is_not_worth_a_retry(settings):
    settings.lake_dir.mkdir(parents=True)
    (settings.lake_dir / "catalog.sqlite").write_bytes(b"this is text, not a database\n" * 200)

    with pytest.raises(ConfigError, match="not a database"):
        connect(settings)


def test_memory_limit_that_is_none_is_named(settings):
    with pytest.raises(ConfigError, match="PERSONALAKE_MEMORY_LIMIT=lots"):
        transact(
            settings.model_copy(update={"memory_limit": "lots"}), create_tables, message="create"
        )
