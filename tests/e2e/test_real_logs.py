"""Real logs, through the command line, to segment and recommendation files."""

import json

import pytest

pytestmark = pytest.mark.e2e


def _run_example(deployment, real_data, name):
    deployment.environment["PERSONALAKE_REAL_DATA"] = str(real_data)
    done = deployment.run("run", "--config", f"config/examples/{name}.yml")
    assert done.returncode == 0, done.stderr
    [manifest] = (deployment.data_dir / name / "exports").glob("*/manifest.json")
    rows = {entry["path"]: entry["rows"] for entry in json.loads(manifest.read_text())["files"]}
    assert set(rows) == {
        "segments.csv",
        "segments.parquet",
        "recommendations.csv",
        "recommendations.parquet",
    }
    return rows


def test_rees46(deployment, real_data):
    rows = _run_example(deployment, real_data, "rees46")

    assert deployment.query(
        "SELECT sum(count_rows), sum(count_loaded), sum(count_duplicates), sum(count_rejected) FROM raw.files",
        "rees46",
    ) == [(17435, 17429, 5, 1)]
    assert deployment.query("SELECT count(*) FROM raw.events", "rees46") == [(17429,)]
    assert rows["segments.csv"] > 0
    assert rows["recommendations.csv"] > 4000
    assert deployment.query(
        "SELECT status FROM ml.model_runs WHERE model_name = 'purchase_propensity'", "rees46"
    ) == [("not_enough_data",)]


def test_retailrocket(deployment, real_data):
    rows = _run_example(deployment, real_data, "retailrocket")

    assert deployment.query("SELECT count(*) FROM raw.events", "retailrocket") == [(97381,)]
    assert deployment.query("SELECT count(*) FROM core.sessions", "retailrocket") == [(15877,)]
    assert rows["segments.csv"] > 0
    assert rows["recommendations.csv"] > 2000
