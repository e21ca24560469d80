"""What a rotation of the keys means to those who work on the lake: loaders, stages, exports, the command line."""

import re
from contextlib import closing
from datetime import UTC, datetime

import polars as pl
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from jobs.cli.app import app
from jobs.cli.each import replay_each
from jobs.errors import ConfigError, InputDataError, TransientError
from jobs.keys import KeyRing, load_keys
from jobs.lake import connect, create_tables, transact, write_lock
from jobs.pipeline import open_run
from jobs.rotation import find_status, plan_rotation, rotate
from jobs.settings import Settings
from jobs.stages import StageRequest, run_stage
from jobs.vault import DEFAULT_FIELDS, deliver, open_clear_values, vault_path
from tests.integration.sources.loading import SAMPLES, Load, counts

pytestmark = pytest.mark.integration

OLD, NEW, THIRD = "11" * 32, "22" * 32, "33" * 32
ROTATED_AT = datetime(2026, 7, 2, tzinfo=UTC)
CUSTOMERS = {"path": str(SAMPLES / "shopify/customers_export.csv"), "format": "shopify_customers"}
runner = CliRunner()


def with_keys(settings: Settings, *keys: str) -> Settings:
    return settings.model_copy(update={"key": SecretStr(",".join(keys))})


def read(settings: Settings, text: str):
    con = connect(settings)
    try:
        return con.execute(text).fetchall()
    finally:
        con.close()


@pytest.fixture
def filled(any_lake, tmp_path) -> Settings:
    """A lake with customers, and values in the vault and in its inbox."""
    settings = with_keys(any_lake, OLD)
    Load(settings, tmp_path)(**CUSTOMERS, name="crm")
    deliver(settings, load_keys(settings), DEFAULT_FIELDS, ROTATED_AT)
    Load(settings, tmp_path)(SAMPLES / "segment/calls.jsonl", format="segment", name="app")
    return settings


def rotate_to(settings: Settings, *keys: str) -> Settings:
    rotated = with_keys(settings, *keys)
    rotate(rotated, load_keys(rotated), ROTATED_AT)
    return rotated


def test_records_that_come_after_a_rotation_meet_those_before(filled, tmp_path):
    rotated = rotate_to(rotate_to(filled, OLD, NEW), OLD, NEW, THIRD)

    Load(rotated, tmp_path)(**CUSTOMERS, name="again")

    people = "SELECT DISTINCT user_id, email, phone, name_key FROM raw.profiles WHERE source = '{}' ORDER BY ALL"
    assert read(rotated, people.format("crm")) == read(rotated, people.format("again")) != []
    ids = "SELECT count(DISTINCT user_id), count(DISTINCT {}) FROM raw.profiles"
    before, after = read(rotated, ids.format("user_id"))[0]
    assert before == after
    # A record that comes again is known by its id, whatever key its pseudonyms have.
    result = Load(rotated, tmp_path)(SAMPLES / "segment/calls.jsonl", format="segment", name="app")
    assert counts(result)[0] == 0


def test_nothing_of_the_former_state_is_left(filled):
    keys = load_keys(filled)
    former = {
        pseudonym.encode()
        for (pseudonym,) in read(
            filled,
            "SELECT unnest([user_id, email, phone]) AS pseudonym FROM raw.profiles UNION "
            "SELECT unnest([user_id, anonymous_id, session_id]) FROM raw.events",
        )
        if pseudonym
    }
    assert len(former) > 10

    rotated = rotate_to(filled, OLD, NEW)

    assert read(rotated, "SELECT count(*) FROM ducklake_snapshots('lake')") == [(1,)]
    assert not vault_path(filled, keys.fingerprint).exists()
    files = [path for path in filled.data_dir.rglob("*") if path.is_file()]
    if not filled.is_shared_catalog:
        assert len(files) > 5
    assert not [path for path in files for text in former if text in path.read_bytes()]


def test_vault_opens_after_a_rotation_and_names_the_same_people(filled):
    def names(settings):
        con = connect(settings)
        try:
            open_clear_values(
                con, settings, load_keys(settings), "SELECT user_id AS customer_id FROM lake.raw.profiles",
                task="write_exports", reason="test", run_id="r", read_at=ROTATED_AT,
            )  # fmt: skip
            return con.execute(
                "SELECT user_id, email, email_source, email_told_at FROM clear_people ORDER BY ALL"
            ).fetchall()
        finally:
            con.close()

    before = names(filled)
    rotated = rotate_to(filled, OLD, NEW)

    assert names(rotated) == before != []
    # What was in the inbox is encrypted anew, and can be delivered.
    told = deliver(rotated, load_keys(rotated), DEFAULT_FIELDS, ROTATED_AT)
    assert told["delivered"] > 0
    assert len(names(rotated)) >= len(before)


def test_loaders_with_other_keys_than_the_lakes_are_refused(filled, tmp_path):
    both = with_keys(filled, OLD, NEW)
    with pytest.raises(
        ConfigError,
        match="a new key that this lake does not know yet; run `personalake keys rotate` first",
    ):
        Load(both, tmp_path)(**CUSTOMERS, name="again")
    rotate(both, load_keys(both), ROTATED_AT)

    with pytest.raises(
        ConfigError, match="PERSONALAKE_KEY is not the key that this lake was written with"
    ):
        Load(filled, tmp_path)(**CUSTOMERS, name="again")
    with pytest.raises(ConfigError, match="PERSONALAKE_KEY is not the key"):
        deliver(filled, load_keys(filled), DEFAULT_FIELDS, ROTATED_AT)


def test_replay_reads_rejected_lines_after_a_rotation_with_the_new_keys_only(
    settings, tmp_path, monkeypatch
):
    settings = with_keys(settings, OLD)
    source = tmp_path / "log.jsonl"
    source.write_text('{"type":"page","messageId":"1","userId":"u-1","timestamp":"someday"}\n')
    load = Load(settings, tmp_path)
    load(source, format="segment", max_reject_rate=1)
    rotate_to(settings, OLD, NEW)
    monkeypatch.setenv("PERSONALAKE_DATA_DIR", str(settings.data_dir))

    monkeypatch.setenv("PERSONALAKE_KEY", OLD)
    with pytest.raises(ConfigError, match="PERSONALAKE_KEY is not the key"):
        replay_each(open_run({"config": str(load.config_path)}, now=ROTATED_AT))
    monkeypatch.setenv("PERSONALAKE_KEY", f"{OLD},{NEW}")
    [result], faults = replay_each(open_run({"config": str(load.config_path)}, now=ROTATED_AT))

    assert (result.rows, result.loaded, faults) == (1, 0, {})


def test_stage_that_computed_before_a_rotation_writes_nothing_after_it(filled):
    request = StageRequest(as_of=ROTATED_AT, upstream_run_id="up", started_at=ROTATED_AT)

    def compute(con, run_id):
        rotate_to(filled, OLD, NEW)
        return {
            "ml.customer_stages": pl.DataFrame(
                {
                    "customer_id": ["u_" + "1" * 32],
                    "stage": ["browsing"],
                    "reached_at": [ROTATED_AT],
                    "model_version": ["v1"],
                }
            )
        }

    with pytest.raises(TransientError, match="the keys were rotated while this stage computed"):
        run_stage(filled, "find_stages", request, "digest", compute)

    assert read(filled, "SELECT count(*) FROM ml.customer_stages") == [(0,)]


def test_rotation_waits_for_writers(filled):
    """With PostgreSQL writers do not keep each other out, but a rotation keeps out all."""
    if not filled.is_shared_catalog:
        pytest.skip("with SQLite every writer is alone: tests/integration/lake/test_lake.py")
    import psycopg2

    rotated = with_keys(filled, OLD, NEW).model_copy(update={"lock_timeout_seconds": 1})
    # The lock of a writer, as the server shows it, is held by a session beside this process.
    with closing(psycopg2.connect(filled.catalog)) as con, con.cursor() as cursor:
        with write_lock(filled):
            cursor.execute(
                "SELECT (classid::BIGINT << 32) | objid::BIGINT, mode FROM pg_locks WHERE locktype = 'advisory'"
            )
            [(number, mode)] = cursor.fetchall()
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", [number])
        with pytest.raises(TransientError, match="others have kept it locked for over 1 s"):
            rotate(rotated, load_keys(rotated), ROTATED_AT)
        transact(filled, create_tables, message="beside it")

    assert mode == "ShareLock"
    rotate(rotated, load_keys(rotated), ROTATED_AT)
    assert find_status(rotated, load_keys(rotated)).state == "current"


def test_nested_column_with_pseudonyms_stops_the_rotation(filled):
    def write(con):
        con.execute("CREATE SCHEMA lake.mine")
        con.execute(
            "CREATE TABLE lake.mine.people AS SELECT {'who': user_id} AS fact FROM lake.raw.profiles"
        )

    transact(filled, write, message="test")

    with pytest.raises(
        InputDataError,
        match=r"mine\.people holds pseudonyms in fact, whose type cannot be rewritten",
    ):
        rotate_to(filled, OLD, NEW)
    assert find_status(filled, load_keys(filled)).state == "current"


def test_dry_run_tells_what_would_be_rewritten_and_changes_nothing(filled):
    both = with_keys(filled, OLD, NEW)
    snapshots = read(filled, "SELECT max(snapshot_id) FROM ducklake_snapshots('lake')")

    planned = plan_rotation(both, load_keys(both))

    assert read(filled, "SELECT max(snapshot_id) FROM ducklake_snapshots('lake')") == snapshots
    assert [path.name for path in filled.vault_dir.glob("[!.]*")] == [
        f"people-{load_keys(filled).fingerprint}.duckdb"
    ]
    done = rotate(both, load_keys(both), ROTATED_AT)
    assert planned == done
    assert {table.name for table in done.tables} >= {
        "raw.profiles",
        "raw.events",
        "raw.rejects",
        "vault.inbox",
    }


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([OLD], "holds the lake's key and no new one"),
        ([NEW], "it must hold the lake's keys as they were, a comma, and one new key"),
        ([NEW, OLD], "it must hold the lake's keys"),
        ([OLD, NEW, THIRD], "it must hold the lake's keys"),
    ],
)
def test_keys_that_do_not_follow_the_lakes_are_refused(settings, tmp_path, keys, message):
    Load(with_keys(settings, OLD), tmp_path)(**CUSTOMERS)

    with pytest.raises(ConfigError, match=message):
        rotate_to(settings, *keys)


def test_commands_say_what_is_to_be_done(settings, tmp_path, monkeypatch):
    Load(with_keys(settings, OLD), tmp_path)(**CUSTOMERS)
    monkeypatch.setenv("PERSONALAKE_DATA_DIR", str(settings.data_dir))

    def run(*words, key):
        monkeypatch.setenv("PERSONALAKE_KEY", key)
        done = runner.invoke(app, ["keys", *words])
        assert done.exit_code == 0, done.exception
        return " ".join(done.stdout.split())

    made = run("new", key=OLD)
    assert re.fullmatch("[0-9a-f]{64}", made)
    both = f"{OLD},{made}"
    assert "There is nothing to do" in run("status", key=OLD)
    assert "`personalake keys rotate` rewrites the lake" in run("status", key=both)
    assert "tables would be rewritten" in run("rotate", "--dry-run", key=both)
    assert "tables rewritten" in run("rotate", key=both)
    told = run("status", key=both)
    assert KeyRing((bytes.fromhex(OLD), bytes.fromhex(made))).fingerprint in told
    assert "There is nothing to do" in told
    assert "keys are not the lake's" in run("status", key=OLD)
    assert made not in told
