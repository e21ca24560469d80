"""Build the truth about every customer: who is who, then staging, core and point-in-time features, with dbt.

Reads: `raw.*`, `identity.decisions`. Writes: `identity.*`, `core.*`, `features.*`, `ops.runs`. Starts: `train_models`, by the asset
`lake.features.customer_features`. Gate: dbt's data tests run with the models.
On failure: read the dbt task's log, mend the model or the data, clear the task. A rerun rebuilds the same tables.
"""

from airflow.sdk import Metadata, dag, get_current_context, task
from dagkit import DEFAULT_ARGS, FEATURES, PARAMS, RAW
from dagkit.dbt import build_dbt
from dagkit.runs import Payload, find_payload, job_task, run_job, run_plan, run_record


@dag(
    doc_md=__doc__,
    schedule=[RAW],
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["personalake"],
)
def build_features():
    @task
    def open_run() -> Payload:
        """Fix the run's point in time."""
        return run_job("resolve_as_of", find_payload(get_current_context())).to_payload()

    @task
    def plan_features(payload: Payload) -> Payload:
        """Fix dbt's variables."""
        return run_plan("plan_features", payload)

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def is_new(payload: Payload) -> bool:
        """Skip dbt when its tables already hold this very run."""
        return not payload["plan"]["is_done"]

    @task(outlets=[FEATURES], trigger_rule="none_failed")
    def record_features(payload: Payload):
        """Write the run down, and announce the features."""
        run_record("record_features", payload)
        yield Metadata(FEATURES, payload)

    payload = open_run()
    plan = plan_features(payload)
    task(job_task("resolve_identities"))(payload) >> plan
    is_new(plan) >> build_dbt("features", "plan_features") >> record_features(plan)


build_features()
