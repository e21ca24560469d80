"""What lies on the disk: encrypted where that is asked for, spilled or not, and its owner's alone."""

import os
import stat

import duckdb
import pytest

from jobs.errors import ConfigError
from jobs.lake import connect, transact
from jobs.lake.connection import _create_s3_secret, _load_extension
from jobs.settings import Settings
from tests.integration.sources.loading import SAMPLES, Load

pytestmark = pytest.mark.integration

MARK = b"marker-of-a-line"


def fill(con):
    con.execute("CREATE TABLE lake.main.texts (text VARCHAR)")
    con.execute(f"INSERT INTO lake.main.texts SELECT '{MARK.decode()}-' || range FROM range(1000)")


def parquet_files(settings):
    files = list((settings.lake_dir / "data").rglob("*.parquet"))
    assert files
    return files


def test_encrypted_lake_has_no_file_that_can_be_read_without_its_catalog(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path, lake_encrypted=True)
    transact(settings, fill, message="test")

    with duckdb.connect() as con:
        _load_extension(con, "httpfs")
        for path in parquet_files(settings):
            assert MARK not in path.read_bytes()
            with pytest.raises(duckdb.InvalidInputException, match="is encrypted"):
                con.execute("SELECT * FROM read_parquet(?)", [str(path)])
    # The catalog knows the keys, whatever the environment says later.
    for lake_encrypted in (True, False):
        again = settings.model_copy(update={"lake_encrypted": lake_encrypted})
        transact(
            again,
            lambda con: con.execute("INSERT INTO lake.main.texts VALUES ('more')"),
            message="test",
        )
        con = connect(again)
        [count] = con.execute("SELECT count(*) FROM main.texts").fetchone()
        con.close()
        assert count > 1000


def test_lake_that_was_made_without_encryption_says_that_it_stays_so(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path)
    transact(settings, fill, message="test")
    assert any(MARK in path.read_bytes() for path in parquet_files(settings))

    asked = settings.model_copy(update={"lake_encrypted": True})
    for read_only in (True, False):
        with pytest.raises(
            ConfigError,
            match="this lake was made without encryption, and its files stay as they are",
        ):
            connect(asked, read_only=read_only)


def test_writer_spills_nothing_in_clear(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path, memory_limit="100MB", threads=1)
    con = connect(settings, read_only=False)
    try:
        con.execute(
            f"CREATE TEMP TABLE lines AS SELECT '{MARK.decode()}-' || range || '-' || hash(range) AS line "
            "FROM range(3000000)"
        )
        con.execute("CREATE TEMP TABLE sorted AS FROM lines ORDER BY hash(line)")
        spilled = [path.read_bytes() for path in (settings.lake_dir / "tmp").iterdir()]
    finally:
        con.close()

    assert sum(map(len, spilled)) > 10_000_000
    assert not [content for content in spilled if MARK in content]


@pytest.mark.parametrize(
    ("endpoint", "use_ssl"),
    [(None, "true"), ("https://s3.shop.example", "true"), ("http://s3:9000", "false")],
)
def test_s3_is_reached_over_tls_unless_the_endpoint_says_http(monkeypatch, endpoint, use_ssl):
    for name, value in (("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)

    with duckdb.connect() as con:
        _load_extension(con, "httpfs")
        _create_s3_secret(con, "")
        [secret] = con.execute("SELECT secret_string FROM duckdb_secrets()").fetchone()

    assert f"use_ssl={use_ssl}" in secret


def test_what_is_written_is_its_owners_alone(tmp_path):
    os.umask(0o022)  # as a login shell has it
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")

    Load(settings, tmp_path)(SAMPLES / "segment/calls.jsonl", format="segment")

    (tmp_path / "data" / "later.txt").write_text("an export, say")
    modes = {
        (path.is_dir(), oct(stat.S_IMODE(path.stat().st_mode)))
        for path in [settings.data_dir, *settings.data_dir.rglob("*")]
    }
    assert modes == {(True, "0o700"), (False, "0o600")}
