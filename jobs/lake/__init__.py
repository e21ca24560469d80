"""The lake: the only package that opens it.

A DuckLake: Parquet files plus a catalog, SQLite beside them by default or PostgreSQL where several writers share it.
"""

from jobs.lake.connection import connect, open_for_writing, source_lock, transact, write_lock
from jobs.lake.tables import TABLES, Table, create_tables, find_tables
from jobs.lake.writing import append_rows, replace_partition

__all__ = [
    "TABLES",
    "Table",
    "append_rows",
    "connect",
    "create_tables",
    "find_tables",
    "open_for_writing",
    "replace_partition",
    "source_lock",
    "transact",
    "write_lock",
]
