"""Learn from the features: clusters, purchase propensity, frequent journeys; measure the recommender.

Reads: `features.*`, `core.*`. Writes: `ml.clusters`, `ml.models`, `ml.model_runs`, `ml.journey_patterns`, `ops.runs`.
Starts: `export_audiences`, by the asset `lake.ml.model_runs`. Each model is measured on a later period than it learnt on.
On failure: clear the failed task; a rerun replaces exactly its own partition.
"""

from airflow.sdk import Metadata, dag, get_current_context, task
from dagkit import DEFAULT_ARGS, FEATURES, MODELS, PARAMS
from dagkit.runs import Payload, find_payload, job_task, run_job

JOBS = ("train_clusters", "train_propensity", "mine_journeys", "evaluate_recommendations")


@dag(
    doc_md=__doc__,
    schedule=[FEATURES],
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["personalake"],
)
def train_models():
    @task
    def open_run() -> Payload:
        """Fix the run's point in time."""
        return run_job("resolve_as_of", find_payload(get_current_context())).to_payload()

    @task(outlets=[MODELS])
    def announce_models(payload: Payload):
        """Tell that every model is there."""
        yield Metadata(MODELS, payload)

    payload = open_run()
    [task(job_task(job))(payload) for job in JOBS] >> announce_models(payload)


train_models()
