"""Servers, and DuckDB without its signature check, for the proofs of this folder."""

from collections.abc import Iterator

import pytest

from tests.robustness import quick_duckdb
from tests.servers import postgres_server, rclone_s3

__all__ = ["postgres_server", "rclone_s3"]


@pytest.fixture(autouse=True, scope="module")
def _quick_duckdb() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("duckdb.connect", quick_duckdb.connect)
        yield
