"""Run DAGs in this process, one after another, without a scheduler: `python -m dagkit.local REQUEST`.

REQUEST is a JSON object: `dags` (their ids in order), `conf` (their parameters), `events` (a file descriptor to which each
change of a task is written as one JSON line, for whoever shows progress). A DAG run that announced its assets lets the next one
start, as a scheduler would, even when one of its tasks failed beside it. Ends 0 when the last DAG run was reached and did.
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

    def _tell(self, event: str, task_instance: Any, **facts: Any) -> None:
        self.send(
            event=event,
            dag=task_instance.dag_id,
            task=task_instance.task_id,
            # What a mapped task is one of: the source's name.
            part=getattr(task_instance, "rendered_map_index", None),
            **facts,
        )

    @hookimpl
    def on_task_instance_running(self, task_instance: Any) -> None:
        """A task began."""
        self._tell("running", task_instance)

    @hookimpl
    def on_task_instance_success(self, task_instance: Any) -> None:
        """A task ended well."""
        self._tell("success", task_instance)

    @hookimpl
    def on_task_instance_skipped(self, task_instance: Any) -> None:
        """A task had nothing to do."""
        self._tell("skipped", task_instance)

    @hookimpl
    def on_task_instance_failed(self, task_instance: Any, error: Any) -> None:
        """A task failed."""
        self._tell("failed", task_instance, error=str(error or ""))


def _prepare_database() -> None:
    from airflow.utils.db import initdb

    marker = Path(os.environ["AIRFLOW_HOME"]) / ".initialised"
    if not marker.exists():
        initdb()
        marker.touch()


def main() -> int:
    """Run the request; 1 when a DAG run failed before it announced its assets."""
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
        is_whole = dag_run.state == "success"
        goes_on = is_whole or has_announced(dag, dag_run)
        listener.send(event="dag", dag=dag.dag_id, is_whole=is_whole, goes_on=goes_on)
        if not goes_on:
            return 1
    return 0


def has_announced(dag: Any, dag_run: Any) -> bool:
    """Whether every task that announces an asset ended well, so that a scheduler would start the next DAG."""
    announcing = {task.task_id for task in dag.tasks if task.outlets}
    states = {ti.task_id: ti.state for ti in dag_run.get_task_instances()}
    return bool(announcing) and all(states.get(name) == "success" for name in announcing)


if __name__ == "__main__":
    sys.exit(main())
