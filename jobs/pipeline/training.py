"""The jobs that learn and score: which area and function each is, what it reads, and its configuration."""

import logging
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from jobs.pipeline.record import FEATURES, find_upstream
from jobs.pipeline.run import PipelineRun, find_segments_dir
from jobs.stages import StageResult, digest_of, run_stage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A function `area.function(con, request, run_id, config) -> Frames`, and the stages whose tables it reads."""

    area: str
    function: str
    upstream: tuple[str, ...] = (FEATURES,)


TRAINING = {
    "train_clusters": Job("clusters", "train"),
    "train_propensity": Job("predictions", "train"),
    "mine_journeys": Job("journeys", "mine"),
    "evaluate_recommendations": Job("recommendations", "evaluate"),
}
SCORING = {
    "assign_clusters": Job("clusters", "assign", (FEATURES, "train_clusters")),
    "score_propensity": Job("predictions", "score", (FEATURES, "train_propensity")),
    "find_stages": Job("journeys", "find_stages"),
    "recommend_items": Job("recommendations", "recommend"),
    "evaluate_segments": Job("segments", "evaluate"),
}
JOBS = TRAINING | SCORING


def make_config(run: PipelineRun, area: str) -> tuple[Any, str]:
    """The configuration of an area's jobs as the run sets it, and its digest."""
    config: Any
    match area:
        case "clusters":
            from jobs.clusters import ClusterConfig

            config = ClusterConfig(seed=run.config.seed)
        case "predictions":
            from jobs.predictions import PropensityConfig

            config = PropensityConfig(
                horizon_days=run.config.predictions.horizon_days,
                n_training_cutoffs=run.config.predictions.n_training_cutoffs,
                seed=run.config.seed,
            )
        case "journeys":
            from jobs.journeys import JourneyConfig

            config = JourneyConfig()
        case "recommendations":
            from jobs.recommendations import RecommendationConfig

            config = RecommendationConfig(
                n_recommendations=run.config.n_recommendations,
                horizon_days=run.config.predictions.horizon_days,
            )
        case _:
            from jobs.segments import digest_segments, load_segments

            rules = load_segments(find_segments_dir(run))
            return rules, digest_segments(rules)
    return config, digest_of(config.model_dump())


def run_job(run: PipelineRun, name: str) -> StageResult:
    """Run one job for the run's point in time, unless an equal run is on record."""
    job = JOBS[name]
    config, config_digest = make_config(run, job.area)
    compute = getattr(import_module(f"jobs.{job.area}"), job.function)
    request = run.request(find_upstream(run, job.upstream))
    result = run_stage(
        run.settings,
        name,
        request,
        config_digest,
        lambda con, run_id: compute(con, request, run_id, config),
    )
    logger.info("%s: %s%s", name, result.count_rows, " (on record)" if result.is_skipped else "")
    return result
