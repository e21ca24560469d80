"""Write rows into the lake's tables: append to `raw`, replace a partition of `ml` and `ops`."""

import logging
import time
from typing import Any

import duckdb
import polars as pl

from jobs.errors import InputDataError
from jobs.lake.tables import TABLES

logger = logging.getLogger(__name__)

SHRINK_LIMIT = (
    0.5  # a partition that loses over half of its rows is more likely a fault than a fact
)
SHRINK_MIN_ROWS = 1000  # small tables swing by nature


def _check_columns(table: str, columns: list[str]) -> None:
    expected = set(TABLES[table].columns)
    if set(columns) != expected:
        missing, unknown = sorted(expected - set(columns)), sorted(set(columns) - expected)
        raise InputDataError(
            f"writing {table}: missing columns {missing}, unknown columns {unknown}; "
            "its columns are defined in jobs/lake/tables.py"
        )


def append_rows(con: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> int:
    """Append a frame to a table by column name, and return the number of rows.

    Raises:
        InputDataError: the frame's columns are not the table's.
    """
    _check_columns(table, rows.columns)
    started = time.perf_counter()
    if rows.height:
        con.register("rows_to_write", rows.to_arrow())
        try:
            con.execute(f"INSERT INTO lake.{table} BY NAME SELECT * FROM rows_to_write")
        finally:
            con.unregister("rows_to_write")
    logger.info("wrote %s: %d rows in %.2f s", table, rows.height, time.perf_counter() - started)
    return rows.height


def replace_partition(
    con: duckdb.DuckDBPyConnection,
    table: str,
    rows: pl.DataFrame,
    partition: dict[str, Any],
    *,
    allow_shrink: bool = False,
) -> int:
    """Replace the rows that match `partition` (column -> value) by `rows`, and return their number.

    Run it inside `transact`. A rerun with the same rows leaves the table the same.

    Raises:
        InputDataError: wrong columns, or far fewer rows than before while `allow_shrink` is off.
    """
    _check_columns(table, rows.columns)
    where = " AND ".join(f'"{column}" = ?' for column in partition)
    values = list(partition.values())
    row = con.execute(f"SELECT count(*) FROM lake.{table} WHERE {where}", values).fetchone()
    before = row[0] if row else 0
    if not allow_shrink and before >= SHRINK_MIN_ROWS and rows.height < before * SHRINK_LIMIT:
        raise InputDataError(
            f"writing {table} {partition}: {rows.height} rows would replace {before}; "
            "check the inputs of this stage, or run again with --allow-shrink"
        )
    if before:
        con.execute(f"DELETE FROM lake.{table} WHERE {where}", values)
    return append_rows(con, table, rows)
