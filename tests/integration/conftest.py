"""Real servers for the integration tests, and the lake in both of its forms."""

import pytest

from jobs.settings import Settings
from tests.servers import moto_s3, postgres_server, rclone_s3

__all__ = ["moto_s3", "postgres_server", "rclone_s3"]


@pytest.fixture(params=["sqlite", "postgres_s3"])
def any_lake(request, tmp_path, monkeypatch) -> Settings:
    """Settings of an empty lake: SQLite and a folder, or PostgreSQL and s3://."""
    if request.param == "sqlite":
        return Settings(_env_file=None, data_dir=tmp_path)
    s3 = request.getfixturevalue("rclone_s3")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return Settings(
        _env_file=None,
        data_dir=tmp_path,
        catalog=request.getfixturevalue("postgres_server").make_database(),
        lake_data=f"s3://{s3.make_bucket()}/lake/",
    )
