"""The command line's own part: how faults and texts of others are printed, and what a command is given."""

import io
import os
from datetime import UTC, datetime

import duckdb
import pytest
from rich.console import Console
from typer.testing import CliRunner

from jobs.cli.app import app, describe_fault, main
from jobs.cli.running import dbt_command, run_dags
from jobs.cli.showing import show_rows
from jobs.errors import ConfigError
from jobs.lake import transact
from jobs.pipeline import open_run
from jobs.settings import PROJECT_ROOT

NOW = datetime(2026, 1, 1, tzinfo=UTC)
runner = CliRunner()


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONALAKE_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def lake(data_dir):
    settings = open_run({}, now=NOW).settings
    transact(settings, lambda con: con.execute("CREATE TABLE main.t AS SELECT 1 a"), message="test")
    return settings.lake_dir


def test_brackets_in_values_and_names():
    printed = io.StringIO()

    show_rows(["[/b]"], [("[/red]",), ("\\",)], 5, Console(file=printed, width=80))

    assert "[/b]" in printed.getvalue()
    assert "[/red]" in printed.getvalue()


def test_sql_error_with_brackets(lake):
    done = runner.invoke(app, ["sql", "SELECT '[/red]' x, [/b]", "--lake", str(lake)])

    assert done.exit_code == 1
    assert "Parser Error" in done.stderr
    assert "[/b]" in done.stderr


def test_sql_shows_rows(lake):
    done = runner.invoke(
        app, ["sql", "SELECT a + 1 AS b FROM main.t", "--csv", "--lake", str(lake)]
    )

    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["b", "2"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ConfigError("a [/b] c"), "a [/b] c"),
        (NotADirectoryError(20, "Not a directory", "/x/y"), "/x/y: Not a directory"),
        (duckdb.CatalogException("Catalog Error: no table x\nLINE 1"), "DuckDB: Catalog Error: no table x"),
        (duckdb.ConversionException("Conversion Error: 'anna'"), "DuckDB: ConversionException"),
        (duckdb.IOException("IO Error: at password='s'"), "DuckDB: IOException"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "a text is not valid utf-8; save it as UTF-8"),
        (ValueError("a defect"), None),
    ],
)  # fmt: skip
def test_faults(fault, told):
    assert describe_fault(fault) == told


@pytest.mark.parametrize("content", [b"name: \xff\xfe", b"name: x"])
def test_main_prints_one_line(tmp_path, monkeypatch, capsys, content):
    folder = tmp_path / "a[/b]"
    folder.mkdir(parents=True)
    (folder / "run.yml").write_bytes(content)
    monkeypatch.setattr("sys.argv", ["personalake", "validate", "-c", str(folder / "run.yml")])

    before = os.umask(0o022)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
        mask = os.umask(0o022)
    finally:
        os.umask(before)

    assert ended.value.code == 1
    assert mask == 0o077
    line = capsys.readouterr().err
    assert line.startswith("Error: reading ")
    assert line.count("\n") == 1
    assert "a[/b]" in line


def test_data_folder_below_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PERSONALAKE_DATA_DIR", str(tmp_path / "file" / "data"))

    with pytest.raises(ConfigError, match="PERSONALAKE_DATA_DIR"):
        run_dags(open_run({}, now=NOW), ("extract_logs",), Console(file=io.StringIO()))


def test_dbt_is_given_its_project_by_the_environment(data_dir):
    command, environment = dbt_command(open_run({}, now=NOW), ["--version"])

    assert command[-1] == "--version"
    assert not any("-dir" in part for part in command)
    assert environment["DBT_PROJECT_DIR"] == str(PROJECT_ROOT / "dbt_project")
    assert environment["DBT_PROFILES_DIR"] == str(PROJECT_ROOT / "dbt_project")
