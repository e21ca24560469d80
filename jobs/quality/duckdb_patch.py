"""Make Great Expectations 1.24 work on DuckDB.

Great Expectations hands its connection back to the pool before it fetches a result; the pool rolls back, and that clears
the pending result of duckdb-engine, so every metric fails with "list index out of range". It keeps one connection open
for the dialects on a private list: DuckDB is added to it. `tests/integration/quality/test_duckdb_patch.py` fails when
a release no longer needs this, and then this module goes.
"""

from typing import Any


class _Dialect(str):
    """A dialect name that looks like a member of Great Expectations' enum, which has no DuckDB."""

    __slots__ = ()

    @property
    def value(self) -> str:
        return str(self)


def keep_duckdb_connections_open() -> None:
    """Put DuckDB on the list. Call it before the first data source; a second call does nothing."""
    from great_expectations.execution_engine import sqlalchemy_execution_engine

    engine: Any = sqlalchemy_execution_engine
    dialects = engine._PERSISTED_CONNECTION_DIALECTS
    if not any(dialect.value == "duckdb" for dialect in dialects):
        engine._PERSISTED_CONNECTION_DIALECTS = (*dialects, _Dialect("duckdb"))
