"""From Airflow's context to the payload of a run, and from the jobs' errors to Airflow's."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

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


def run_job(function: str, payload: Payload | None = None) -> Any:
    """Call a function of `jobs.pipeline` with the run that the payload describes.

    Permanent faults fail the task at once; everything else may be retried.
    """
    from jobs import pipeline
    from jobs.errors import ConfigError, InputDataError, QualityGateError

    if payload is None:
        payload = find_payload(get_current_context())
    try:
        run = pipeline.open_run(payload, now=datetime.now(UTC))
        return getattr(pipeline, function)(run)
    except (ConfigError, InputDataError, QualityGateError) as err:
        raise AirflowFailException(str(err)) from err


def run_record(function: str, payload: Payload) -> Any:
    """Call a recording function of `jobs.pipeline`, with the seconds that went by since the plan was made."""
    planned_at = datetime.fromisoformat(payload["planned_at"])
    elapsed = (datetime.now(UTC) - planned_at).total_seconds()
    return run_job(function, {**payload, "elapsed_seconds": elapsed})


def run_plan(function: str, payload: Payload) -> Payload:
    """Call a planning function of `jobs.pipeline`, and note when."""
    return {**run_job(function, payload), "planned_at": datetime.now(UTC).isoformat()}


def job_task(function: str) -> Callable[[Payload], Any]:
    """Make the body of a task that runs one job and returns nothing (results stay in the lake)."""

    @functools.wraps(run_job)
    def body(payload: Payload) -> None:
        run_job(function, payload)

    body.__name__ = function
    return body
