"""Deployment facts (paths, buckets, limits), read from the environment in this module only.

Every variable has the prefix `PERSONALAKE_` and stands in `.env.example`. Credentials for S3 are found by boto3's own
chain (`AWS_*` variables, profiles, roles). Business choices live under `config/`, never here.
"""

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlparse

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    """Where a deployment keeps its things and how much memory it may use."""

    model_config = SettingsConfigDict(
        env_prefix="PERSONALAKE_",
        env_file=PROJECT_ROOT / ".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    config: Path = Field(
        default=PROJECT_ROOT / "config" / "demo.yml",
        description="Run configuration of the scheduled DAGs.",
    )
    data_dir: Path = Field(
        default=PROJECT_ROOT / "data", description="Root of everything that a run writes."
    )
    lake: Path | None = Field(
        default=None,
        description="Folder of the lake (catalog and Parquet); <data_dir>/lake unless set.",
    )
    catalog: str = Field(
        default="",
        description="postgresql://... of a shared catalog; empty for a SQLite file in the lake folder.",
    )
    lake_data: str = Field(
        default="",
        description="s3://bucket/prefix/ of the Parquet files; empty for the lake folder.",
    )
    lake_kms_key: str = Field(
        default="",
        description="KMS key of the server-side encryption of the lake on S3; empty for the bucket's default.",
    )
    lake_encrypted: bool = Field(
        default=False,
        description="Encrypt the Parquet files of a lake that is about to be made; an existing one stays as it is.",
    )
    vault: Path | None = Field(
        default=None,
        description="Folder of the clear values that exports need; <lake>-vault beside the lake unless set.",
    )
    exports_dir: Path | None = Field(
        default=None, description="Folder of the exports; <data_dir>/exports unless set."
    )
    reports_dir: Path | None = Field(
        default=None, description="Folder of the reports; <data_dir>/reports unless set."
    )
    key: SecretStr = Field(
        default=SecretStr(""),
        description="Secret behind pseudonyms, rejected lines and the vault: 64 hexadecimal digits (openssl rand -hex 32).",
    )
    memory_limit: str = Field(
        default="4GB", description="Memory that DuckDB may use in one process."
    )
    threads: int = Field(default=0, ge=0, description="DuckDB threads; 0 takes every core.")
    lock_timeout_seconds: int = Field(
        default=1800, ge=1, description="How long a writer waits for another before it gives up."
    )
    dbt_tasks: Literal["stage", "model"] = Field(
        default="stage", description="One Airflow task a dbt stage, or one a dbt model."
    )
    extract_schedule: str = Field(
        default="", description="Cron of the extraction, e.g. */15 * * * *; empty for manual runs."
    )
    urgent_schedule: str = Field(
        default="",
        description="Cron of the urgent sources' extraction, e.g. */5 * * * *; empty for manual runs.",
    )

    @field_validator("catalog")
    @classmethod
    def _check_catalog(cls, value: str) -> str:
        if value and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("expected postgresql://user@host:port/database, or nothing for SQLite")
        _ = urlparse(value).port  # a ValueError for a port that is none
        return value

    @field_validator("lake_data")
    @classmethod
    def _check_lake_data(cls, value: str) -> str:
        if value and not value.startswith("s3://"):
            raise ValueError("expected s3://bucket/prefix/, or nothing for the lake folder")
        return value.rstrip("/") + "/" if value else value

    @property
    def lake_dir(self) -> Path:
        """Absolute folder of the SQLite catalog, the lock and, unless on S3, the Parquet files."""
        return (self.lake or self.data_dir / "lake").expanduser().resolve()

    @property
    def vault_dir(self) -> Path:
        """Absolute folder of the vault: one of each lake's own, and outside of it."""
        beside = self.lake_dir.with_name(f"{self.lake_dir.name}-vault")
        return self.vault.expanduser().resolve() if self.vault else beside

    @property
    def exports_path(self) -> Path:
        """Absolute folder below which each export writes `<as_of_date>/`."""
        return (self.exports_dir or self.data_dir / "exports").expanduser().resolve()

    @property
    def reports_path(self) -> Path:
        """Absolute folder of the HTML reports."""
        return (self.reports_dir or self.data_dir / "reports").expanduser().resolve()

    def environment(self) -> dict[str, str]:
        """The variables that make another process (dbt) find the same lake."""
        return {"PERSONALAKE_LAKE": str(self.lake_dir)}

    @property
    def is_shared_catalog(self) -> bool:
        """True when PostgreSQL keeps the catalog, so several writers may work at once."""
        return bool(self.catalog)


def load_settings() -> Settings:
    """Read the environment now.

    Raises:
        ConfigError: a variable holds a value that its setting refuses.
    """
    from pydantic import ValidationError

    from jobs.errors import ConfigError

    try:
        return Settings()
    except ValidationError as err:
        faults = "; ".join(
            f"PERSONALAKE_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}"
            for fault in err.errors()
        )
        raise ConfigError(f"reading the environment: {faults}; see .env.example") from err


def expand_variables(text: str) -> str:
    """Replace `${NAME}` and `${NAME:-default}` in a configured path by the environment's values.

    Raises:
        ConfigError: a variable without a default is not set.
    """
    from jobs.errors import ConfigError

    def value_of(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        value = os.environ.get(name) or default
        if value is None:
            raise ConfigError(f"the path {text}: the variable {name} is not set; set it")
        return value

    return re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}", value_of, text)
