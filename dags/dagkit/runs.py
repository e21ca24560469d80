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


def job_task(function: str) -> Callable[[Payload], Any]:
    """Make the body of a task that runs one job and returns nothing (results stay in the lake)."""

    @functools.wraps(run_job)
    def body(payload: Payload) -> None:
        run_job(function, payload)

    body.__name__ = function
    return body
