import ast
import itertools

import pytest

from jobs.cli.running import CHAIN as CLI_CHAIN
from jobs.pipeline import SCORING, TRAINING
from jobs.settings import PROJECT_ROOT

pytestmark = pytest.mark.dags
FILES = sorted(path for path in (PROJECT_ROOT / "dags").glob("*.py"))


def test_every_file_is_one_dag_of_its_name(dag_bag):
    assert dag_bag.import_errors == {}
    assert sorted(dag_bag.dags) == [path.stem for path in FILES]


def test_every_dag_tells_what_it_does_and_has_limits(dag_bag):
    for dag in dag_bag.dags.values():
        assert "On failure" in dag.doc_md, dag.dag_id
        assert dag.max_active_runs == 1
        for task in dag.tasks:
            assert task.owner == "personalake"
            assert task.retries == 2
            assert task.execution_timeout is not None


def test_assets_chain_the_dags_in_the_order_of_the_command_line(dag_bag):
    from dagkit import CHAIN

    assert CHAIN == CLI_CHAIN
    for before, after in itertools.pairwise(CHAIN):
        made = {asset.uri for task in dag_bag.dags[before].tasks for asset in task.outlets}
        wanted = {asset.uri for asset in dag_bag.dags[after].timetable.asset_condition.objects}
        assert wanted <= made, f"{before} -> {after}"


def test_gates_stand_before_what_they_guard(dag_bag):
    export = dag_bag.dags["export_audiences"]

    def upstream(task_id):
        return export.get_task(task_id).get_flat_relative_ids(upstream=True)

    assert set(SCORING) <= upstream("check_ml")
    assert "check_ml" in upstream("dbt_exports")
    assert {"dbt_exports", "check_exports"} <= upstream("publish_exports")
    assert "publish_exports" in upstream("write_report")
    assert set(TRAINING) <= {task.task_id for task in dag_bag.dags["train_models"].tasks}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dag_files_hold_no_logic(path):
    tree = ast.parse(path.read_text())
    imported = {
        name.name if isinstance(node, ast.Import) else node.module
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }

    assert imported <= {
        "airflow.sdk",
        "dagkit",
        "dagkit.dbt",
        "dagkit.extraction",
        "dagkit.runs",
        "jobs.settings",
    }
    assert len(path.read_text().splitlines()) <= 120


@pytest.mark.parametrize("mode", ["stage", "model"])
def test_dbt_runs_a_task_a_stage_or_a_task_a_model(dag_bag, monkeypatch, mode):
    from dagkit import dbt

    if mode == "model" and not (dbt.DBT_PROJECT / "target" / "manifest.json").is_file():
        _parse_manifest()
    monkeypatch.setenv("PERSONALAKE_DBT_TASKS", mode)
    from airflow.sdk import DAG

    with DAG("probe", schedule=None) as probe:
        dbt.build_dbt("features", "plan")

    names = {task.task_id for task in probe.tasks}
    if mode == "stage":
        assert names == {"dbt_features"}
    else:
        assert len(names) > 10
        assert any("dim_customers" in name for name in names)
        assert not any("exp_segments" in name for name in names)


def _parse_manifest():
    import subprocess
    import sys

    subprocess.run([sys.executable, "-m", "jobs.cli", "dbt", "parse"], check=True, cwd=PROJECT_ROOT)
