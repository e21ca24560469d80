"""The tasks of an extraction: one a source, so that a source that fails is red and the others go on.

`find_sources` -> `load_source` (mapped) -> `record_extraction` -> `check_raw`, which announces the raw tables; beside it
`report_failures` makes the run red when a source failed, after every source has ended.
"""

from typing import Any

from airflow.sdk import Metadata, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from dagkit import RAW
from dagkit.runs import Payload, find_payload, run_job


def extract_sources(lane: str) -> None:
    """Make the tasks, inside a DAG.

    Args:
        lane: `all` sources, urgent ones first, or only those with `priority: urgent`.
    """

    @task.short_circuit
    def find_sources() -> list[Payload]:
        """Name the lane's sources: one payload each; without any, everything is skipped."""
        # Made once: its `started_at` is the time of every source, also of one that is loaded again.
        payload = find_payload(get_current_context())
        names = run_job("list_sources", {**payload, "lane": lane})
        return [{**payload, "sources": [name]} for name in names]

    # The order of the list is the order in which a busy scheduler takes them.
    @task(map_index_template="{{ task.op_kwargs['payload']['sources'][0] }}")
    def load_source(payload: Payload) -> Payload:
        """Load what is new at one source; tells what it did, in counts."""
        return {"payload": payload, "counts": run_job("load_source", payload)}

    # Not after `find_sources`, whose success would count as one.
    @task(trigger_rule="all_done_min_one_success")
    def record_extraction(loaded: Any) -> Payload:
        """Write down what was loaded; the payload it returns fixes the run's point in time."""
        told = list(loaded)
        counts = [one["counts"] for one in told]
        return run_job(
            "record_extraction", {**told[0]["payload"], "extraction": counts}
        ).to_payload()

    @task(outlets=[RAW])
    def check_raw(payload: Payload) -> Any:
        """Gate the raw tables, then announce them."""
        run_job("check_raw", payload)
        yield Metadata(RAW, payload)

    # `one_failed` would not wait for the sources that are still being loaded, and could not name them.
    @task(trigger_rule="all_done")
    def report_failures(payloads: Any, loaded: Any) -> None:
        """Name the sources that failed."""
        asked = [payload["sources"][0] for payload in payloads or []]
        done = {one["payload"]["sources"][0] for one in loaded or []}
        if failed := [name for name in asked if name not in done]:
            raise AirflowFailException(
                f"{len(failed)} of {len(asked)} sources failed: {', '.join(failed)}; see the log of load_source, "
                "mend what it names, then clear that task"
            )

    payloads = find_sources()
    loaded = load_source.expand(payload=payloads)
    check_raw(record_extraction(loaded))
    report_failures(payloads, loaded)
