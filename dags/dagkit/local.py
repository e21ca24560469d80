"""Run DAGs in this process, one after another, without a scheduler: `python -m dagkit.local REQUEST`.

REQUEST is a JSON object: `dags` (their ids in order), `conf` (their parameters), `events` (a file descriptor to which each
change of a task is written as one JSON line, for whoever shows progress). Ends 0 when every DAG run succeeded.
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.listeners import hookimpl
from airflow.sdk.listener import get_listener_manager

DAGS_FOLDER = Path(__file__).resolve().parents[1]


class ProgressListener:
    """Write each change of a task instance to a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._stream = os.fdopen(descriptor, "w", buffering=1)

    def send(self, **event: Any) -> None:
        """Write one event."""
        self._stream.write(json.dumps(event) + "\n")

    @hookimpl
    def on_task_instance_running(self, task_instance: Any) -> None:
        """A task began."""
        self.send(event="running", dag=task_instance.dag_id, task=task_instance.task_id)

    @hookimpl
    def on_task_instance_success(self, task_instance: Any) -> None:
        """A task ended well."""
        self.send(event="success", dag=task_instance.dag_id, task=task_instance.task_id)

    @hookimpl
    def on_task_instance_skipped(self, task_instance: Any) -> None:
        """A task had nothing to do."""
        self.send(event="skipped", dag=task_instance.dag_id, task=task_instance.task_id)

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any, error: Any) -> None:
        """A task failed."""
        self.send(
            event="failed",
            dag=task_instance.dag_id,
            task=task_instance.task_id,
            error=str(error or ""),
        )


def _prepare_database() -> None:
    from airflow.utils.db import initdb

    marker = Path(os.environ["AIRFLOW_HOME"]) / ".initialised"
    if not marker.exists():
        initdb()
        marker.touch()


def main() -> int:
    """Run the request; 1 when a DAG run failed."""
    request = json.loads(sys.argv[1])
    listener = ProgressListener(request["events"])
    get_listener_manager().add_listener(listener)
    _prepare_database()
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS_FOLDER))
    if bag.import_errors:
        listener.send(event="failed", dag="", task="", error=str(bag.import_errors))
        return 1
    dags = [bag.dags[dag_id] for dag_id in request["dags"]]
    listener.send(event="begin", tasks=sum(len(dag.tasks) for dag in dags))
    conf = {"started_at": datetime.now(UTC).isoformat(), **request["conf"]}
    for dag in dags:
        for task in dag.tasks:
            task.retries = 0  # somebody waits: a fault is shown at once
        dag_run = dag.test(run_conf=conf, use_executor=False)
        listener.send(event="dag", dag=dag.dag_id, state=str(dag_run.state))
        if dag_run.state != "success":
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
