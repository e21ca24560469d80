"""Keep the lake small and quick: merge small files, forget old snapshots, remove files that nothing names.

Reads and writes: the lake's own bookkeeping; no table changes its rows. On failure: clear; it may run at any time.
"""

from airflow.sdk import dag, get_current_context, task
from dagkit import DEFAULT_ARGS, PARAMS
from dagkit.runs import find_payload, run_job


@dag(
    doc_md=__doc__,
    schedule="@weekly",
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["personalake"],
)
def maintain_lake():
    @task
    def compact_files() -> dict[str, int]:
        """Merge, expire and clean up; tells how many snapshots and files went."""
        return run_job("maintain_lake", find_payload(get_current_context()))

    compact_files()


maintain_lake()
