import os
import sys

import pytest

from jobs.settings import PROJECT_ROOT


@pytest.fixture(scope="session")
def dag_bag(tmp_path_factory):
    """Every DAG of the project, parsed as Airflow does, with a database of its own."""
    os.environ.update(
        {
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        }
    )
    sys.path.insert(0, str(PROJECT_ROOT / "dags"))
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(PROJECT_ROOT / "dags"))


@pytest.fixture(scope="session")
def run_dag(dag_bag):
    """Runs a DAG in this process, as `dagkit.local` does; gives the run's state and those of its tasks."""
    from airflow.utils.db import initdb

    initdb()

    def run(dag_id, **conf):
        dag = dag_bag.dags[dag_id]
        retries = {task.task_id: task.retries for task in dag.tasks}
        for task in dag.tasks:
            task.retries = 0
        try:
            dag_run = dag.test(run_conf=conf, use_executor=False)
        finally:
            for task in dag.tasks:
                task.retries = retries[task.task_id]
        states = {}
        for ti in dag_run.get_task_instances():
            name = ti.task_id if ti.map_index < 0 else f"{ti.task_id} {ti.map_index}"
            states[name] = str(ti.state)
        return dag_run, states

    return run
