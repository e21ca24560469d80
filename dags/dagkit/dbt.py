"""dbt under Cosmos: one task a stage, or one a model where `PERSONALAKE_DBT_TASKS=model`.

dbt always runs in a process of its own: the writers' lock that its plugin takes ends with the process.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior
from cosmos.operators.local import DbtBuildLocalOperator

from jobs.settings import PROJECT_ROOT, load_settings

DBT_PROJECT = PROJECT_ROOT / "dbt_project"
DBT = Path(sys.executable).with_name("dbt")
PROFILE = ProfileConfig(
    profile_name="personalake",
    target_name="lake",
    profiles_yml_filepath=DBT_PROJECT / "profiles.yml",
)


def _environment(plan_task: str) -> dict[str, str]:
    """The lake that the run's payload names, resolved when the task runs."""
    name = "PERSONALAKE_LAKE"
    return {name: _from_plan(plan_task, name), "PYTHONPATH": str(PROJECT_ROOT)}


def _from_plan(plan_task: str, name: str) -> str:
    """A template for a value of the plan's payload."""
    return f"{{{{ ti.xcom_pull(task_ids='{plan_task}')['{name}'] }}}}"


def _paths_of(stage: str) -> list[str]:
    """The paths that the stage's selector joins: Cosmos reads no selector from a manifest."""
    selectors = yaml.safe_load((DBT_PROJECT / "selectors.yml").read_text())["selectors"]
    union = next(entry for entry in selectors if entry["name"] == stage)["definition"]["union"]
    return [f"path:{part['value']}" for part in union if part.get("method") == "path"]


def build_dbt(stage: str, plan_task: str) -> Any:
    """Make the task (or the group of tasks) that builds a dbt stage.

    Args:
        stage: `features` or `exports`: a selector of `dbt_project/selectors.yml`.
        plan_task: the task whose XCom holds the variables and the lake's place.
    """
    arguments: dict[str, Any] = {
        "env": _environment(plan_task),
        "append_env": True,
        "vars": _from_plan(plan_task, "variables"),
        "install_deps": False,
        "emit_datasets": False,
        "dbt_cmd_global_flags": ["--no-version-check"],
    }
    if load_settings().dbt_tasks == "model":
        return DbtTaskGroup(
            group_id=f"dbt_{stage}",
            project_config=ProjectConfig(
                dbt_project_path=DBT_PROJECT,
                manifest_path=DBT_PROJECT / "target" / "manifest.json",
                install_dbt_deps=False,
            ),
            profile_config=PROFILE,
            execution_config=ExecutionConfig(
                execution_mode=ExecutionMode.LOCAL,
                invocation_mode=InvocationMode.SUBPROCESS,
                dbt_executable_path=str(DBT),
            ),
            render_config=RenderConfig(
                load_method=LoadMode.DBT_MANIFEST,
                select=_paths_of(stage),
                test_behavior=TestBehavior.BUILD,
            ),
            operator_args=arguments,
        )
    return DbtBuildLocalOperator(
        task_id=f"dbt_{stage}",
        project_dir=str(DBT_PROJECT),
        profile_config=PROFILE,
        invocation_mode=InvocationMode.SUBPROCESS,
        dbt_executable_path=str(DBT),
        selector=stage,
        **arguments,
    )
