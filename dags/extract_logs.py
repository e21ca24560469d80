"""Load what is new at the sources into `raw`, one task a source, and gate it.

Reads: the sources of the run configuration (`config` parameter or `PERSONALAKE_CONFIG`), urgent ones first.
Writes: `raw.*`, `ops.runs`, `ops.changed_days`, `ops.quality_results`. Starts: `build_features`, by the asset `lake.raw.events`.
Gate: `expectations/raw`; a failed critical one stops the chain here.
On failure: a source that failed is red, the others are loaded and the chain goes on with them. Mend what its message names,
then clear `load_source` of that source with what comes after it. Each file is loaded once, so a rerun is safe.
Backfill: `since` and `until` take the files whose paths name days of that span, `sources` only some sources; with `as_of`,
later events are not seen by what follows.
"""

from airflow.sdk import dag
from dagkit import DEFAULT_ARGS, EXTRACT_PARAMS
from dagkit.extraction import extract_sources

from jobs.settings import load_settings


@dag(
    doc_md=__doc__,
    schedule=load_settings().extract_schedule or None,
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=EXTRACT_PARAMS,
    tags=["personalake"],
)
def extract_logs():
    extract_sources("all")


extract_logs()
