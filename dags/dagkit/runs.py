"""From Airflow's context to the payload of a run, and from the jobs' errors to Airflow's."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Connection
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowRuntimeError,
)

Payload = dict[str, Any]


def find_payload(context: Any) -> Payload:
    """The run's payload: what the triggering asset event says, under what this run's parameters say.

    `started_at` is the only clock that reaches the jobs; a chain of DAGs shares the first one's.
    """
    payload: Payload = {}
    for events in (context.get("triggering_asset_events") or {}).values():
        for event in events:
            payload |= event.extra or {}
    asked = {**context["params"], **(context["dag_run"].conf or {})}
    payload |= {name: value for name, value in asked.items() if value not in (None, False)}
    payload.setdefault("started_at", datetime.now(UTC).isoformat())
    return payload


KEY_CONNECTION = "personalake_key"  # its password is the key, where the environment has none


def take_key_from_connection() -> None:
    """Give this task's process the key of pseudonyms that an Airflow connection holds; Airflow masks it in logs.

    The environment's own counts first. Without either, the job that needs it says so.
    """
    from jobs.settings import load_settings

    if load_settings().key.get_secret_value():
        return
    try:
        key = Connection.get(KEY_CONNECTION).password
    except (AirflowNotFoundException, AirflowRuntimeError):
        return
    if key:
        os.environ["PERSONALAKE_KEY"] = key


def run_job(stage: str, payload: Payload) -> Any:
    """Call a stage of `jobs.pipeline` with the run that the payload describes.

    Permanent faults fail the task at once; everything else may be retried.
    """
    from jobs import pipeline
    from jobs.errors import ConfigError, InputDataError, QualityGateError

    take_key_from_connection()
    try:
        run = pipeline.open_run(payload, now=datetime.now(UTC))
        return pipeline.STAGES[stage](run)
    except (ConfigError, InputDataError, QualityGateError) as err:
        raise AirflowFailException(str(err)) from err


def run_record(stage: str, payload: Payload) -> Any:
    """Call a recording stage of `jobs.pipeline`, with the seconds that went by since the plan was made."""
    planned_at = datetime.fromisoformat(payload["planned_at"])
    elapsed = (datetime.now(UTC) - planned_at).total_seconds()
    return run_job(stage, {**payload, "elapsed_seconds": elapsed})


def run_plan(stage: str, payload: Payload) -> Payload:
    """Call a planning stage of `jobs.pipeline`, and note when."""
    return {**run_job(stage, payload), "planned_at": datetime.now(UTC).isoformat()}


def job_task(stage: str) -> Callable[[Payload], Any]:
    """Make the body of a task that runs one job and returns nothing (results stay in the lake)."""

    def body(payload: Payload) -> None:
        run_job(stage, payload)

    body.__name__ = stage
    return body
