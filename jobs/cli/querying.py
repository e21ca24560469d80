"""Queries that a person types: they read the lake, and reach nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from jobs.errors import ConfigError
from jobs.lake import connect
from jobs.settings import Settings

# They open databases past DuckDB's own file access (`sqlite_scan`), run SQL that is not seen here (`query`), or change
# files of the lake although it is attached read-only.
_REFUSED = re.compile(
    r"(sqlite|postgres|mysql)_\w+|query|(ducklake_)?(add_data_files|cleanup_old_files|delete_orphaned_files"
    r"|expire_snapshots|flush_inlined_data|merge_adjacent_files|rewrite_data_files|set_option|set_commit_message|commit)"
)


def connect_confined(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Open the lake to read, without access to any other file or host.

    Raises:
        ConfigError: there is no lake.
        TransientError: its catalog does not answer.
    """
    con = connect(settings)
    # The temporary folder is for queries larger than memory; the catalog is allowed by being attached.
    folders = [
        settings.lake_data or f"{settings.lake_dir / 'data'}/",
        f"{settings.lake_dir / 'tmp'}/",
    ]
    quoted = ", ".join("'" + folder.replace("'", "''") + "'" for folder in folders)
    con.execute(f"SET allowed_directories = [{quoted}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def check_query(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """Check that a text is a query (SELECT, FROM, DESCRIBE, SHOW, SUMMARIZE ...) of the lake alone.

    Raises:
        ConfigError: it is empty, another statement, or calls a function that reaches outside the lake.
        duckdb.Error: it is no SQL.
    """
    if not con.extract_statements(query):
        raise ConfigError(
            "there is no query; give one, e.g. 'SELECT * FROM core.customers LIMIT 10'"
        )
    row = con.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise ConfigError(
            "only queries are allowed (SELECT, FROM, DESCRIBE, SHOW, SUMMARIZE; PIVOT with IN): the lake is read-only here"
        )
    for name in _function_names(tree):
        if _REFUSED.fullmatch(name.lower()):
            raise ConfigError(
                f"the function {name} is not allowed here: it reaches outside the lake"
            )


def _function_names(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("function_name"), str):
            yield node["function_name"]
        for inner in node.values():
            yield from _function_names(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _function_names(inner)
