"""Load what is new at the urgent sources (`priority: urgent`) into `raw`, more often than the others, and gate it.

The same tasks as `extract_logs`, which loads these sources too: a file is loaded by whichever comes first. Both may run at once.
Reads: the urgent sources of the run configuration; without any, every task is skipped.
Writes: `raw.*`, `ops.runs`, `ops.changed_days`, `ops.quality_results`. Starts: `build_features`, by the asset `lake.raw.events`.
Gate: `expectations/raw`; a failed critical one stops the chain here.
On failure: as in `extract_logs`.
"""

from airflow.sdk import dag
from dagkit import DEFAULT_ARGS, EXTRACT_PARAMS
from dagkit.extraction import extract_sources

from jobs.settings import load_settings


@dag(
    doc_md=__doc__,
    schedule=load_settings().urgent_schedule or None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=EXTRACT_PARAMS,
    tags=["personalake"],
)
def extract_urgent_logs():
    extract_sources("urgent")


extract_urgent_logs()
