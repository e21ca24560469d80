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
