import csv
from pathlib import Path

import duckdb
import polars as pl
import pytest

from jobs.exports.formats import write_csv, write_parquet

COLUMNS = {"customer_id": "VARCHAR", "text": "VARCHAR"}


def write(path: Path, rows: list[tuple[str, str | None]], threads: int = 1) -> Path:
    con = duckdb.connect(config={"threads": str(threads)})
    con.execute("CREATE TABLE cells (customer_id VARCHAR, text VARCHAR)")
    con.executemany("INSERT INTO cells VALUES (?, ?)", rows)
    writer = write_csv if path.suffix == ".csv" else write_parquet
    writer(con, "cells", COLUMNS, ["customer_id"], path)
    return path


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "  =1+1",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "\tx",
        "＝1+1",
        '=cmd|"/c calc"!A1',
    ],
)
def test_write_csv_formula_gets_an_apostrophe(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "a.csv", [("c1", cell)])
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1] == ["c1", f"'{cell}"]


@pytest.mark.parametrize(
    "cell",
    [
        "plain",
        "a=b",
        "1-2",
        "me@shop",
        'say "hi", twice',
        "two\nlines",
        "Ünïcödé 漢字 🛒",
        "''",
        " x",
    ],
)
def test_write_csv_other_text_comes_back_as_it_was(tmp_path: Path, cell: str) -> None:
    path = write(tmp_path / "a.csv", [("c1", cell)])
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["customer_id", "text"], ["c1", cell]]


def test_write_csv_null_and_empty_text_differ(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [("c1", None), ("c2", "")])
    assert path.read_bytes() == b'"customer_id","text"\n"c1",\n"c2",""\n'


def test_write_parquet_formula_stays_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [("c2", "=1+1"), ("c1", None)])
    assert pl.read_parquet(path).rows() == [("c1", None), ("c2", "=1+1")]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_write_same_rows_in_another_order_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    rows: list[tuple[str, str | None]] = [(f"c{i:03d}", f"text {i}") for i in range(300)]
    first = write(tmp_path / name, rows).read_bytes()
    assert write(tmp_path / name, rows[::-1], threads=2).read_bytes() == first


def test_write_csv_path_with_quote_is_written_there(tmp_path: Path) -> None:
    assert write(tmp_path / "o'clock.csv", [("c1", "x")]).is_file()
