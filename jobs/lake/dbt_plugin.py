"""dbt-duckdb plugin: dbt opens the lake as every other part does, and takes the writers' lock for its whole process.

`dbt_project/profiles.yml` names it; the `attach` entry there only tells dbt that `lake` is a DuckLake. dbt must run in a
process of its own (the command line or a subprocess), whose end frees the lock.
"""

from contextlib import ExitStack
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from jobs.lake.connection import attach_lake, write_lock
from jobs.settings import load_settings

_held = ExitStack()  # closed by the process's end


class Plugin(BasePlugin):
    """Attach the lake, under the lock, when dbt opens its first connection."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:  # noqa: ARG002 - dbt-duckdb's signature
        """Keep dbt-duckdb from attaching by itself: the location comes from `jobs.settings`."""
        if self.creds is not None:
            self.creds.attach = None

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Lock, then attach."""
        settings = load_settings()
        _held.enter_context(write_lock(settings))
        attach_lake(conn, settings, read_only=False)
