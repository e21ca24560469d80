"""One lake for all tests of this folder: four dbt processes, each of a few seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.identity import resolving
from jobs.identity.config import IdentityConfig
from jobs.identity.resolving import STAGE
from jobs.keys import load_keys
from jobs.lake import connect, transact
from jobs.settings import PROJECT_ROOT, Settings
from jobs.stages import StageRequest, digest_of
from tests.integration.dbt import shop

UNTESTED = (
    "--exclude-resource-type",
    "test",
    "unit_test",
)  # the data are tested by one build of each stage
SCHEMAS = ("staging", "intermediate", "core", "features", "marts", "exports")


def run_dbt(folder: Path, variables: dict[str, Any], *arguments: str) -> list[str]:
    """Run dbt on the lake in `folder`, where a warning is a failure, and return the ids of the nodes that it ran."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PERSONALAKE_")
    }
    environment |= {"PERSONALAKE_DATA_DIR": str(folder), "PYTHONPATH": str(PROJECT_ROOT)}
    project = str(PROJECT_ROOT / "dbt_project")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")), "--no-version-check", "--no-use-colors",
            "--warn-error", *arguments, "--project-dir", project, "--profiles-dir", project,
            "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
            "--vars", json.dumps(variables),
        ],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    results = json.loads((folder / "target" / "run_results.json").read_text(encoding="utf-8"))
    ids = [result["unique_id"] for result in results["results"]]
    return [name for name in ids if not name.startswith("operation.")]


def list_nodes(folder: Path) -> list[str]:
    """The ids of all that a build runs, unit tests aside, of the manifest of the last run."""
    manifest = json.loads((folder / "target" / "manifest.json").read_text(encoding="utf-8"))
    nodes = [name for name in manifest["nodes"] if not name.startswith("operation.")]
    ephemeral = {
        name
        for name, node in manifest["nodes"].items()
        if node["config"]["materialized"] == "ephemeral"
    }
    return [name for name in (*nodes, *manifest["exposures"]) if name not in ephemeral]


def resolve_identities(settings: Settings, variables: dict[str, Any]) -> None:
    """Find out who is who, as the DAG does before dbt."""
    as_of = datetime.fromisoformat(variables["as_of"])
    request = StageRequest(as_of=as_of, upstream_run_id="rows of the test", started_at=as_of)
    run_id = digest_of(STAGE, variables["as_of"])
    resolving.run(settings, request, run_id, "", IdentityConfig(), load_keys(settings))


def hash_tables(settings: Settings) -> dict[str, str]:
    """Digest of the content, whatever the order of rows, of every table that dbt made."""
    con = connect(settings)
    try:
        names = con.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE database_name = 'lake' AND list_contains(?, schema_name) AND table_name <> 'begun_build'",
            [list(SCHEMAS)],
        ).fetchall()
        return {
            name: con.execute(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(line, chr(10) ORDER BY line)), '') "
                f"FROM (SELECT CAST(t AS VARCHAR) AS line FROM lake.{name} AS t)"
            ).fetchall()[0][0]
            for (name,) in sorted(names)
        }
    finally:
        con.close()


@dataclass(frozen=True)
class BuiltLake:
    """A lake that dbt has built, and what was seen on the way."""

    settings: Settings
    folder: Path
    without_ml: dict[str, str]
    first_hashes: dict[str, str]
    second_hashes: dict[str, str]
    stage_nodes: list[str]
    all_nodes: list[str]


@pytest.fixture(scope="session")
def built_lake(tmp_path_factory: pytest.TempPathFactory) -> BuiltLake:
    folder = tmp_path_factory.mktemp("dbt_lake")
    settings = Settings(data_dir=folder)
    transact(settings, shop.fill_raw, message="rows of the test")
    resolve_identities(settings, shop.EARLY)
    run_dbt(folder, shop.EARLY, "build", *UNTESTED)
    without_ml = hash_tables(settings)
    transact(settings, shop.fill_ml, message="rows of the test")
    resolve_identities(settings, shop.MAIN)
    stage_nodes = run_dbt(folder, shop.MAIN, "build", "--selector", "features")
    stage_nodes += run_dbt(folder, shop.MAIN, "build", "--selector", "exports")
    first_hashes = hash_tables(settings)
    # Again, and in slices, as tables of many customers are filled.
    run_dbt(folder, shop.MAIN | {"slice_event_bytes": 1_000_000_000}, "build", *UNTESTED)
    second_hashes = hash_tables(settings)
    all_nodes = list_nodes(folder)
    return BuiltLake(
        settings,
        folder,
        without_ml,
        first_hashes,
        second_hashes,
        stage_nodes,
        all_nodes,
    )


@pytest.fixture
def con(built_lake: BuiltLake) -> Iterator[duckdb.DuckDBPyConnection]:
    con = connect(built_lake.settings)
    yield con
    con.close()
