"""The stages in their order, as the DAGs call them: each opens a run, calls one job and records it.

A `PipelineRun` is what every stage of a run shares. It crosses from task to task as a small dict (`to_payload`), never as data.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from jobs.pipeline import operations
from jobs.pipeline.dbt import plan_dbt, record_dbt
from jobs.pipeline.record import FEATURES, MARTS
from jobs.pipeline.run import (
    PipelineRun,
    find_segments_dir,
    open_run,
    parse_day,
    parse_instant,
    resolve_as_of,
)
from jobs.pipeline.training import JOBS, SCORING, TRAINING, run_job

# Every task of the DAGs that calls a job, by its name.
STAGES: dict[str, Callable[[PipelineRun], Any]] = {
    "resolve_as_of": resolve_as_of,
    "list_sources": operations.list_sources,
    "load_source": operations.load_source,
    "record_extraction": operations.record_extraction,
    "check_raw": operations.check_raw,
    "resolve_identities": operations.resolve_identities,
    "plan_features": partial(plan_dbt, stage=FEATURES),
    "record_features": partial(record_dbt, stage=FEATURES),
    **{name: partial(run_job, name=name) for name in JOBS},
    "check_ml": operations.check_ml,
    "plan_marts": partial(plan_dbt, stage=MARTS),
    "record_marts": partial(record_dbt, stage=MARTS),
    "check_exports": operations.check_exports,
    "deliver_vault": operations.deliver_vault,
    "write_exports": operations.write_exports,
    "write_report": operations.write_report,
    "maintain_lake": operations.maintain_lake,
}

__all__ = [
    "SCORING",
    "STAGES",
    "TRAINING",
    "PipelineRun",
    "find_segments_dir",
    "open_run",
    "parse_day",
    "parse_instant",
    "resolve_as_of",
]
