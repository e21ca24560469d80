"""Queries that a person types read the lake and reach nothing else."""

import sqlite3

import duckdb
import pytest

from jobs.cli.querying import check_query, connect_confined
from jobs.errors import ConfigError
from jobs.lake import connect, transact
from jobs.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("o'data"))
    transact(
        settings,
        lambda con: con.execute(
            "CREATE SCHEMA core; CREATE TABLE core.t AS SELECT range AS n FROM range(3000)"
        ),
        message="test",
    )
    return settings


@pytest.fixture
def con(settings):
    con = connect_confined(settings)
    yield con
    con.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT sum(n) FROM core.t",
        "FROM core.t",
        "DESCRIBE core.t",
        "SHOW ALL TABLES",
        "SUMMARIZE core.t",
        "PIVOT core.t ON n IN (1, 2) USING count(*)",
        "SELECT n FROM core.t AT (VERSION => 1)",
        "SELECT * FROM lake.snapshots()",
    ],
)
def test_lake_can_be_read(con, query):
    check_query(con, query)

    assert con.execute(query).fetchall()


def test_later_snapshots_are_seen(settings, con):
    before = con.execute("SELECT count(*) FROM core.t").fetchone()[0]
    writer = connect(settings, read_only=False)
    writer.execute("INSERT INTO core.t SELECT range FROM range(2000)")
    writer.close()

    assert con.execute("SELECT count(*) FROM core.t").fetchone() == (before + 2000,)


@pytest.mark.parametrize(
    "query",
    [
        "COPY core.t TO '{folder}/x.csv'",
        "ATTACH '{folder}/x.db'",
        "EXPLAIN ANALYZE COPY core.t TO '{folder}/x.csv'",
        "SELECT 1; COPY core.t TO '{folder}/x.csv'",
        "DELETE FROM core.t",
        "SET enable_external_access = true",
        "SELECT * FROM sqlite_scan('{folder}/x.sqlite', 't')",
        "SELECT (SELECT max(a) FROM \"SQLITE_SCAN\"('{folder}/x.sqlite', 't'))",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM ducklake_delete_orphaned_files('lake', cleanup_all => true)",
        "SELECT * FROM lake.delete_orphaned_files()",
    ],
)
def test_other_statements_are_refused(con, tmp_path, query):
    other = sqlite3.connect(tmp_path / "x.sqlite")
    other.execute("CREATE TABLE t (a)")
    other.close()

    with pytest.raises(ConfigError, match=r"only queries|not allowed"):
        check_query(con, query.format(folder=tmp_path))


@pytest.mark.parametrize(
    "query", ["COPY core.t TO '{path}'", "ATTACH '{path}' AS x", "SELECT * FROM read_csv('{path}')"]
)
def test_connection_itself_reaches_no_other_file(con, tmp_path, query):
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n")

    with pytest.raises(duckdb.PermissionException):
        con.execute(query.format(path=path))

    assert path.read_text() == "a\n1\n"


@pytest.mark.parametrize("query", ["", "  ", "-- nothing"])
def test_empty_query(con, query):
    with pytest.raises(ConfigError, match="give one"):
        check_query(con, query)
