"""Load what is new at the sources into `raw`, and gate it.

Reads: the sources of the run configuration (`config` parameter or `PERSONALAKE_CONFIG`).
Writes: `raw.*`, `ops.runs`, `ops.quality_results`. Starts: `build_features`, by the asset `lake.raw.events`.
Gate: `expectations/raw`; a failed critical one stops the chain here.
On failure: mend what the message names, then clear the failed task. Each file is loaded once, so a rerun is safe.
Backfill: trigger with `as_of`; files already loaded stay loaded, and later events are not seen.
"""

from airflow.sdk import Metadata, dag, get_current_context, task
from dagkit import DEFAULT_ARGS, PARAMS, RAW
from dagkit.runs import Payload, find_payload, run_job

from jobs.settings import load_settings


@dag(
    doc_md=__doc__,
    schedule=load_settings().extract_schedule or None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["personalake"],
)
def extract_logs():
    @task
    def load_files() -> Payload:
        """Load new files; the payload it returns fixes the run's point in time."""
        return run_job("extract_logs", find_payload(get_current_context())).to_payload()

    @task(outlets=[RAW])
    def check_raw(payload: Payload):
        """Gate the raw tables, then announce them."""
        run_job("check_raw", payload)
        yield Metadata(RAW, payload)

    check_raw(load_files())


extract_logs()
