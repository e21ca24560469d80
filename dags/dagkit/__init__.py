"""What the DAG files share: assets, defaults, parameters, the run's payload, the extraction's tasks, and dbt under Cosmos."""

from datetime import timedelta

from airflow.sdk import Asset, Param

RAW = Asset("lake.raw.events", uri="lake://raw/events")
FEATURES = Asset("lake.features.customer_features", uri="lake://features/customer_features")
MODELS = Asset("lake.ml.model_runs", uri="lake://ml/model_runs")
EXPORTS = Asset("lake.exports", uri="lake://exports")

# The chain in its order: the assets say the same, and a test compares them.
CHAIN = ("extract_logs", "build_features", "train_models", "export_audiences")

DEFAULT_ARGS = {
    "owner": "personalake",
    "retries": 2,  # a lost connection or a busy lake; permanent faults raise AirflowFailException
    "retry_delay": timedelta(seconds=30),
    "execution_timeout": timedelta(hours=2),
}

PARAMS = {
    "config": Param(
        None,
        type=["null", "string"],
        description="Run configuration; PERSONALAKE_CONFIG unless set.",
    ),
    "as_of": Param(
        None,
        type=["null", "string"],
        description="Instant up to which the world is known (ISO); the configuration's unless set.",
    ),
    "force": Param(False, type="boolean", description="Compute even what is on record."),
    "allow_shrink": Param(
        False, type="boolean", description="Let a partition be replaced by one with far fewer rows."
    ),
}

EXTRACT_PARAMS = PARAMS | {
    "sources": Param(
        None,
        type=["null", "array"],
        items={"type": "string"},
        description="Names of the sources to load; all of the lane unless set.",
    ),
    "since": Param(
        None,
        type=["null", "string"],
        format="date",
        description="First day of a backfill: files whose path names an earlier day stay out.",
    ),
    "until": Param(
        None,
        type=["null", "string"],
        format="date",
        description="The day after a backfill's last: files whose path names it or a later one stay out.",
    ),
}
