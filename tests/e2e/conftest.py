"""The command line as a person uses it, each time in a data folder of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from jobs.keys import load_keys
from jobs.lake import connect
from jobs.run_config import load_run_config
from jobs.settings import PROJECT_ROOT, Settings
from jobs.sources.extraction import extract
from tests.integration.dbt.conftest import run_dbt
from tests.revealing import note, reveal
from tests.robustness.loader import STARTED_AT
from tests.servers import moto_s3

__all__ = ["moto_s3"]


class Deployment:
    """A data folder with its Airflow home, and the commands that a person types."""

    def __init__(self, folder: Path, airflow_home: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.environment = {
            **os.environ,
            "PERSONALAKE_DATA_DIR": str(self.data_dir),
            "AIRFLOW_HOME": str(airflow_home),
            "COLUMNS": "200",
        }

    def run(self, *arguments: str, cwd: Path = PROJECT_ROOT) -> subprocess.CompletedProcess:
        """Run `personalake`; standard error holds the end of the chain's log when it failed."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("personalake")), *arguments],
            env=self.environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=540,
        )  # fmt: skip
        log = re.search(r"\(log: (.+?)\)", done.stderr.replace("\n", ""))
        if log and Path(log[1]).is_file():
            done.stderr += "\n" + Path(log[1]).read_text(errors="replace")[-6000:]
        return done

    def settings(self, folder: str = "") -> Settings:
        """Settings of this deployment, or of the pipeline whose configuration names `folder`."""
        return Settings(_env_file=None, data_dir=self.data_dir / folder)

    def query(self, text: str, folder: str = "") -> list[tuple]:
        """Rows of a query on the lake."""
        con = connect(self.settings(folder))
        try:
            return reveal(con.execute(text).fetchall())
        finally:
            con.close()

    def digest_tables(self, folder: str = "") -> dict[str, tuple]:
        """Row count and a digest of the content of every table of the lake."""
        con = connect(self.settings(folder))
        try:
            names = con.execute(
                "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'lake'"
            ).fetchall()
            return {
                name: con.execute(
                    f"SELECT count(*), sum(hash(t)::HUGEINT) FROM lake.{name} t"
                ).fetchone()
                for (name,) in names
            }
        finally:
            con.close()

    def digest_files(self) -> dict[str, str]:
        """Digest of every exported file and report."""
        import hashlib

        files = [*self.data_dir.rglob("exports/**/*"), *self.data_dir.rglob("reports/**/*")]
        return {
            str(path.relative_to(self.data_dir)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.is_file()
        }


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory) -> Path:
    """One Airflow database for the session: making it costs seconds."""
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture
def deployment(tmp_path, airflow_home) -> Deployment:
    """An empty deployment."""
    return Deployment(tmp_path, airflow_home)


@pytest.fixture(scope="session")
def demo(tmp_path_factory, airflow_home) -> Deployment:
    """The demo, as `make demo` runs it, once for all tests that read it."""
    deployment = Deployment(tmp_path_factory.mktemp("demo"), airflow_home)
    del deployment.environment["PERSONALAKE_KEY"]  # its people are made up
    done = deployment.run("demo")
    assert done.returncode == 0, done.stderr
    deployment.printed = done.stdout
    keys = load_keys(Settings(_env_file=None, key=SecretStr("")), "made_up")
    truth = pl.read_csv(deployment.data_dir / "demo" / "truth" / "customers.csv")
    for kind, column in (("user", "user_id"), ("device", "anonymous_id")):
        note(keys, kind, truth[column].drop_nulls())
    return deployment


@pytest.fixture
def build(real_data, tmp_path, monkeypatch):
    """Load an example and build models of it; gives a function that asks the lake."""
    monkeypatch.setenv("PERSONALAKE_REAL_DATA", str(real_data))
    opened = []

    def build(example, models, **variables):
        settings = Settings(_env_file=None, data_dir=tmp_path)
        path = PROJECT_ROOT / f"config/examples/{example}.yml"
        extract(settings, load_run_config(path), path, started_at=STARTED_AT)
        no_tests = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
        run_dbt(tmp_path, variables, "build", "--select", *models.split(), *no_tests)
        opened.append(connect(settings))
        return lambda text: opened[0].execute(text).fetchall()

    yield build
    for con in opened:
        con.close()
