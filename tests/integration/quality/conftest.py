from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from jobs.lake import create_tables, transact
from jobs.settings import Settings
from jobs.stages import StageRequest

REQUEST = StageRequest(
    as_of=datetime(2026, 2, 1, tzinfo=UTC),
    upstream_run_id="up",
    started_at=datetime(2026, 2, 1, 6, tzinfo=UTC),
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty lake."""
    settings = Settings(data_dir=tmp_path)
    transact(settings, create_tables, message="test")
    return settings


def fill(settings: Settings, *statements: str) -> None:
    def write(con: duckdb.DuckDBPyConnection) -> None:
        for statement in statements:
            con.execute(statement)

    transact(settings, write, message="test")
