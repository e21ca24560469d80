from pathlib import Path
from typing import Any

import pytest

from jobs.quality.duckdb_patch import keep_duckdb_connections_open

pytestmark = pytest.mark.integration


def count_rows(path: Path) -> Any:
    """Ask Great Expectations on DuckDB for a table's row count: one metric, without the lake."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_sql("s", connection_string=f"duckdb:///{path / 'a.duckdb'}")
    asset = source.add_query_asset("a", "SELECT * FROM range(3)")
    batch = asset.add_batch_definition_whole_table("b").get_batch()
    return batch.validate(gxe.ExpectTableRowCountToEqual(value=3))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Great Expectations' engine module, without the patch."""
    from great_expectations.execution_engine import sqlalchemy_execution_engine as module

    dialects: Any = module._PERSISTED_CONNECTION_DIALECTS
    plain = tuple(dialect for dialect in dialects if dialect.value != "duckdb")
    monkeypatch.setattr(module, "_PERSISTED_CONNECTION_DIALECTS", plain)
    return module


def test_duckdb_without_the_patch_still_fails(engine: Any, tmp_path: Path) -> None:
    result = count_rows(tmp_path)
    assert not result.success, (
        "Great Expectations works on DuckDB: remove jobs/quality/duckdb_patch.py"
    )
    assert "list index out of range" in str(result.exception_info)


def test_duckdb_with_the_patch_works(engine: Any, tmp_path: Path) -> None:
    keep_duckdb_connections_open()
    assert count_rows(tmp_path).success


def test_keep_duckdb_connections_open_twice_adds_one_dialect(engine: Any) -> None:
    before = len(engine._PERSISTED_CONNECTION_DIALECTS)
    keep_duckdb_connections_open()
    keep_duckdb_connections_open()
    assert len(engine._PERSISTED_CONNECTION_DIALECTS) == before + 1
