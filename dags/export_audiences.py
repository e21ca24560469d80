"""Score every customer, evaluate the segments, build the marts, and publish exports and report.

Reads: `features.*`, `core.*`, `ml.models`, the vault. Writes: `ml.*`, `marts.*`, `exports.*`, the vault (clear values that the
loaders have told since), the export files with their manifest, the HTML report, `ops.*`. Gates: `expectations/ml` before the marts, `expectations/exports` before anything leaves.
On failure: nothing was published; mend what the message names and clear the failed task.
"""

from airflow.sdk import Metadata, dag, get_current_context, task
from dagkit import DEFAULT_ARGS, EXPORTS, MODELS, PARAMS
from dagkit.dbt import build_dbt
from dagkit.runs import Payload, find_payload, job_task, run_job, run_plan, run_record

JOBS = (
    "assign_clusters",
    "score_propensity",
    "find_stages",
    "recommend_items",
    "evaluate_segments",
)


@dag(
    doc_md=__doc__,
    schedule=[MODELS],
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["personalake"],
)
def export_audiences():
    @task
    def open_run() -> Payload:
        """Fix the run's point in time."""
        return run_job("resolve_as_of", find_payload(get_current_context())).to_payload()

    @task
    def plan_marts(payload: Payload) -> Payload:
        """Fix dbt's variables."""
        return run_plan("plan_marts", payload)

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def is_new(plan: Payload) -> bool:
        """Skip dbt when its tables already hold this very run."""
        return not plan["plan"]["is_done"]

    @task(trigger_rule="none_failed")
    def record_marts(payload: Payload) -> None:
        """Write the dbt run down."""
        run_record("record_marts", payload)

    @task(outlets=[EXPORTS])
    def publish_exports(payload: Payload):
        """Write, verify and rename the export files."""
        yield Metadata(EXPORTS, run_job("write_exports", payload))

    payload = open_run()
    plan = plan_marts(payload)
    checked = task(job_task("check_ml"))(payload)
    [task(job_task(job))(payload) for job in JOBS] >> checked >> plan
    recorded = record_marts(plan)
    is_new(plan) >> build_dbt("exports", "plan_marts") >> recorded
    checked_exports = task(job_task("check_exports"))(payload)
    delivered = task(job_task("deliver_vault"))(payload)
    report = task(job_task("write_report"))(payload)  # last, since it tells of all the rest
    recorded >> checked_exports >> delivered >> publish_exports(payload) >> report


export_audiences()
