"""DuckDB without its check of the extensions' signatures, which costs more than all else that a small load does.

A load of a few files opens some seven connections, and each would hash two extensions of tens of megabytes.
"""

from typing import Any

import duckdb

connect_checked = duckdb.connect


def connect(
    database: str = ":memory:", read_only: bool = False, config: dict[str, Any] | None = None
) -> Any:
    """Open DuckDB as `duckdb.connect` does, and trust the extensions."""
    settings = {**(config or {}), "allow_unsigned_extensions": "true"}
    return connect_checked(database, read_only=read_only, config=settings)


def install() -> None:
    """Put `connect` in the place of `duckdb.connect` in this process."""
    duckdb.connect = connect
