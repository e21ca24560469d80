"""The stages in their order, as the DAGs call them: each function opens a run, calls one job and records it.

A `PipelineRun` is what every stage of a run shares. It crosses from task to task as a small dict (`to_payload`), never as data.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from jobs.errors import ConfigError, InputDataError
from jobs.lake import connect, transact
from jobs.run_config import RunConfig, load_run_config
from jobs.settings import PROJECT_ROOT, Settings, load_settings
from jobs.stages import (
    Frames,
    StageRequest,
    StageResult,
    digest_of,
    find_latest_run,
    make_run_id,
    record_run,
    run_stage,
)

logger = logging.getLogger(__name__)

EXTRACT, FEATURES, MARTS = "extract_logs", "build_features", "build_marts"
TRAINING = ("train_clusters", "train_propensity", "mine_journeys", "evaluate_recommendations")
SCORING = (
    "assign_clusters",
    "score_propensity",
    "find_stages",
    "recommend_items",
    "evaluate_segments",
)
ML_TABLES = (
    "ml.clusters",
    "ml.customer_clusters",
    "ml.journey_patterns",
    "ml.customer_stages",
    "ml.scores",
    "ml.recommendations",
    "ml.item_to_items",
    "ml.model_runs",
    "ml.models",
    "ml.segments",
    "ml.segment_memberships",
)
RAW_TABLES = ("raw.files", "raw.events", "raw.rejects", "raw.items", "raw.profiles", "raw.consents")
EXPORT_TABLES = ("exports.segments", "exports.recommendations")


@dataclass(frozen=True)
class PipelineRun:
    """What the stages of one run share."""

    settings: Settings
    config: RunConfig
    config_path: Path
    started_at: datetime
    as_of: datetime | None = None
    force: bool = False
    allow_shrink: bool = False
    # Of a task that ran outside this process (dbt), by its caller's clock.
    elapsed_seconds: float = 0.0

    def to_payload(self) -> dict[str, Any]:
        """A dict of plain values that `open_run` reads back."""
        return {
            "config": str(self.config_path),
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "started_at": self.started_at.isoformat(),
            "force": self.force,
            "allow_shrink": self.allow_shrink,
            **self.settings.environment(),
        }

    def request(self, upstream_run_id: str) -> StageRequest:
        """The request of a stage that reads what `upstream_run_id` wrote."""
        if self.as_of is None:
            raise ValueError("the run has no as_of yet: resolve_as_of gives it one")
        return StageRequest(
            as_of=self.as_of,
            upstream_run_id=upstream_run_id,
            started_at=self.started_at,
            pipeline=self.config.name,
            allow_shrink=self.allow_shrink,
            force=self.force,
        )


def parse_instant(text: str) -> datetime:
    """Read a date (its midnight, UTC) or an ISO instant (UTC unless it says otherwise).

    Raises:
        ConfigError: it is neither.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as err:
        raise ConfigError(
            f"as_of {text!r} is no date; write 2026-07-01 or 2026-07-01T06:00:00+00:00"
        ) from err
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def open_run(payload: dict[str, Any], *, now: datetime) -> PipelineRun:
    """Load the settings and the configuration that a payload names.

    Args:
        payload: `config`, `as_of`, `started_at`, `force`, `allow_shrink`, each optional.
        now: the caller's clock, for `started_at` where the payload has none.

    Raises:
        ConfigError: the environment, the configuration or `as_of` is wrong.
    """
    settings = load_settings()
    config_path = Path(payload.get("config") or settings.config)
    if not config_path.is_absolute():
        beside = [Path.cwd() / config_path, PROJECT_ROOT / config_path]
        config_path = next((path for path in beside if path.is_file()), beside[0])
    config = load_run_config(config_path)
    settings = settings.model_copy(update={"data_dir": settings.data_dir / config.folder})
    if payload.get("PERSONALAKE_LAKE"):
        settings = settings.model_copy(update={"lake": Path(payload["PERSONALAKE_LAKE"])})
    return PipelineRun(
        settings=settings,
        config=config,
        config_path=config_path,
        started_at=parse_instant(payload["started_at"]) if payload.get("started_at") else now,
        as_of=parse_instant(payload["as_of"]) if payload.get("as_of") else None,
        force=bool(payload.get("force")),
        allow_shrink=bool(payload.get("allow_shrink")),
        elapsed_seconds=float(payload.get("elapsed_seconds") or 0.0),
    )


def resolve_as_of(run: PipelineRun) -> PipelineRun:
    """Give the run its point in time: the one asked for, else the configuration's, else the run's own time.

    Raises:
        InputDataError: `as_of: data_end`, and the lake holds no event.
    """
    if run.as_of is not None:
        return run
    configured = run.config.as_of
    if isinstance(configured, date):
        return replace(run, as_of=parse_instant(configured.isoformat()))
    if configured == "data_end":
        return replace(run, as_of=_find_data_end(run.settings))
    return replace(run, as_of=run.started_at)


def _find_data_end(settings: Settings) -> datetime:
    """The midnight (UTC) that follows the last event received."""
    con = connect(settings)
    try:
        row = con.execute("SELECT max(received_at) FROM lake.raw.events").fetchone()
    finally:
        con.close()
    if row is None or row[0] is None:
        raise InputDataError(
            "finding the end of the data: raw.events holds no event; "
            "look at raw.rejects, then at the source's mapping"
        )
    last = row[0].astimezone(UTC)
    midnight = datetime(last.year, last.month, last.day, tzinfo=UTC)
    return midnight + timedelta(days=1)


def _upstream(run: PipelineRun, stages: tuple[str, ...]) -> str:
    """The id of what the named stages wrote for this run's point in time (of several: a digest of theirs)."""
    con = connect(run.settings)
    try:
        found = []
        for stage in stages:
            latest = find_latest_run(con, stage, None if stage == EXTRACT else run.as_of)
            if latest is None:
                raise InputDataError(
                    f"there is no run of {stage} for {run.as_of}; run that stage first "
                    "(`personalake run` takes them in order)"
                )
            found.append(latest[0])
    finally:
        con.close()
    return found[0] if len(found) == 1 else digest_of(found)


def _run_job(
    run: PipelineRun,
    stage: str,
    upstream: tuple[str, ...],
    config: Any,
    compute: Callable[[duckdb.DuckDBPyConnection, StageRequest, str], Frames],
) -> StageResult:
    request = run.request(_upstream(run, upstream))
    result = run_stage(
        run.settings,
        stage,
        request,
        digest_of(config),
        lambda con, run_id: compute(con, request, run_id),
    )
    logger.info("%s: %s%s", stage, result.count_rows, " (on record)" if result.is_skipped else "")
    return result


def extract_logs(run: PipelineRun) -> PipelineRun:
    """Load what is new at the sources, and fix the run's point in time."""
    from jobs.sources.extraction import describe_extraction, extract, record_extraction

    started = time.perf_counter()
    result = extract(
        run.settings,
        run.config,
        run.config_path,
        started_at=run.started_at,
        on_progress=lambda done, total, name: logger.info(
            "file %d of %d: %s", done + 1, total, name
        ),
    )
    logger.info("%s", describe_extraction(result))
    run = resolve_as_of(run)
    record_extraction(run.settings, result, run.request(""), time.perf_counter() - started)
    return run


def _run_gate(
    run: PipelineRun, stage: str, upstream: tuple[str, ...], tables: tuple[str, ...]
) -> None:
    from jobs.quality import digest_suites, run_gate

    request = run.request(_upstream(run, upstream))
    config_digest = digest_of(tables, digest_suites(tables))
    run_id = make_run_id(stage, request, config_digest)
    if _is_done(run, stage, run_id):
        return
    started = time.perf_counter()
    run_gate(run.settings, tables, request, run_id)
    _record(run, stage, run_id, request, config_digest, {"tables": len(tables)}, started)


def check_raw(run: PipelineRun) -> None:
    """Gate what the sources delivered."""
    _run_gate(run, "check_raw", (EXTRACT,), RAW_TABLES)


def check_ml(run: PipelineRun) -> None:
    """Gate what the jobs computed."""
    _run_gate(run, "check_ml", (*TRAINING, *SCORING), ML_TABLES)


def check_exports(run: PipelineRun) -> None:
    """Gate what is about to leave."""
    _run_gate(run, "check_exports", (MARTS,), EXPORT_TABLES)


def _is_done(run: PipelineRun, stage: str, run_id: str, *, whole_tables: bool = False) -> bool:
    """True when the stage's tables hold what this very run would write."""
    con = connect(run.settings)
    try:
        latest = find_latest_run(con, stage, None if whole_tables else run.as_of)
    finally:
        con.close()
    return latest is not None and latest[0] == run_id and not run.force


def _record(
    run: PipelineRun,
    stage: str,
    run_id: str,
    request: StageRequest,
    config_digest: str,
    counts: dict[str, int],
    started: float,
) -> None:
    def write(con: duckdb.DuckDBPyConnection) -> None:
        record_run(
            con,
            run_id=run_id,
            stage=stage,
            request=request,
            config_digest=config_digest,
            seconds=time.perf_counter() - started,
            count_rows=counts,
        )

    transact(run.settings, write, message=f"{stage} {run_id}")


@dataclass(frozen=True)
class DbtPlan:
    """What dbt is to build for a run: the variables, and whether the tables hold it already."""

    run_id: str
    variables: dict[str, Any]
    is_done: bool


def _dbt_variables(run: PipelineRun) -> dict[str, Any]:
    from jobs.predictions import PropensityConfig, find_cutoff_dates

    request = run.request("")
    horizon = PropensityConfig(
        horizon_days=run.config.predictions.horizon_days,
        n_training_cutoffs=run.config.predictions.n_training_cutoffs,
    )
    dates: list[date] = find_cutoff_dates(request.as_of_date, horizon)
    return {
        "as_of": request.as_of.isoformat(),
        "as_of_date": request.as_of_date.isoformat(),
        "cutoff_dates": [day.isoformat() for day in sorted(dates)],
        "inactivity_minutes": run.config.sessions.inactivity_minutes,
        "consent_purpose": run.config.consent.purpose,
        "consent_default": run.config.consent.default,
        "currency": run.config.currency,
    }


def plan_dbt(run: PipelineRun, stage: str) -> DbtPlan:
    """Say what dbt is to build: `build_features` from raw, or `build_marts` from what the jobs wrote."""
    upstream = (EXTRACT,) if stage == FEATURES else (FEATURES, *TRAINING, *SCORING)
    variables = _dbt_variables(run)
    run_id = make_run_id(stage, run.request(_upstream(run, upstream)), digest_of(variables))
    return DbtPlan(run_id, variables, _is_done(run, stage, run_id, whole_tables=True))


def record_dbt(run: PipelineRun, stage: str) -> None:
    """Record a dbt stage that has just ended well (one that was on record needs no second record)."""
    upstream = (EXTRACT,) if stage == FEATURES else (FEATURES, *TRAINING, *SCORING)
    plan = plan_dbt(run, stage)
    if plan.is_done:
        return
    request = run.request(_upstream(run, upstream))
    schema = ("core", "features") if stage == FEATURES else ("marts", "exports")
    con = connect(run.settings)
    try:
        tables = con.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE database_name = 'lake' AND schema_name IN (?, ?) ORDER BY 1",
            list(schema),
        ).fetchall()
        counts = {}
        for (table,) in tables:
            row = con.execute(f"SELECT count(*) FROM lake.{table}").fetchone()
            counts[table] = row[0] if row else 0
    finally:
        con.close()
    started = time.perf_counter() - run.elapsed_seconds
    _record(run, stage, plan.run_id, request, digest_of(plan.variables), counts, started)


def train_clusters(run: PipelineRun) -> StageResult:
    """Find the behavioural clusters."""
    from jobs import clusters

    config = clusters.ClusterConfig(seed=run.config.seed)
    return _run_job(
        run,
        "train_clusters",
        (FEATURES,),
        config.model_dump(),
        lambda con, request, run_id: clusters.train(con, request, run_id, config),
    )


def assign_clusters(run: PipelineRun) -> StageResult:
    """Put every customer into a cluster."""
    from jobs import clusters

    config = clusters.ClusterConfig(seed=run.config.seed)
    return _run_job(
        run,
        "assign_clusters",
        (FEATURES, "train_clusters"),
        config.model_dump(),
        lambda con, request, run_id: clusters.assign(con, request, run_id, config),
    )


def _propensity_config(run: PipelineRun) -> Any:
    from jobs.predictions import PropensityConfig

    return PropensityConfig(
        horizon_days=run.config.predictions.horizon_days,
        n_training_cutoffs=run.config.predictions.n_training_cutoffs,
        seed=run.config.seed,
    )


def train_propensity(run: PipelineRun) -> StageResult:
    """Learn who buys within the horizon, and measure it on a later period."""
    from jobs import predictions

    config = _propensity_config(run)
    return _run_job(
        run,
        "train_propensity",
        (FEATURES,),
        config.model_dump(),
        lambda con, request, run_id: predictions.train(con, request, run_id, config),
    )


def score_propensity(run: PipelineRun) -> StageResult:
    """Score every customer's propensity to buy."""
    from jobs import predictions

    config = _propensity_config(run)
    return _run_job(
        run,
        "score_propensity",
        (FEATURES, "train_propensity"),
        config.model_dump(),
        lambda con, request, run_id: predictions.score(con, request, run_id, config),
    )


def mine_journeys(run: PipelineRun) -> StageResult:
    """Find the frequent journeys and what follows them."""
    from jobs import journeys

    config = journeys.JourneyConfig()
    return _run_job(
        run,
        "mine_journeys",
        (FEATURES,),
        config.model_dump(),
        lambda con, request, run_id: journeys.mine(con, request, run_id, config),
    )


def find_stages(run: PipelineRun) -> StageResult:
    """Say how far every customer is on the way to the next purchase."""
    from jobs import journeys

    config = journeys.JourneyConfig()
    return _run_job(
        run,
        "find_stages",
        (FEATURES,),
        config.model_dump(),
        lambda con, request, run_id: journeys.find_stages(con, request, run_id, config),
    )


def _recommendation_config(run: PipelineRun) -> Any:
    from jobs.recommendations import RecommendationConfig

    return RecommendationConfig(
        n_recommendations=run.config.n_recommendations,
        horizon_days=run.config.predictions.horizon_days,
    )


def evaluate_recommendations(run: PipelineRun) -> StageResult:
    """Measure the recommender on a later period against honest baselines."""
    from jobs import recommendations

    config = _recommendation_config(run)
    return _run_job(
        run,
        "evaluate_recommendations",
        (FEATURES,),
        config.model_dump(),
        lambda con, request, run_id: recommendations.evaluate(con, request, run_id, config),
    )


def recommend_items(run: PipelineRun) -> StageResult:
    """Make every customer's list."""
    from jobs import recommendations

    config = _recommendation_config(run)
    return _run_job(
        run,
        "recommend_items",
        (FEATURES,),
        config.model_dump(),
        lambda con, request, run_id: recommendations.recommend(con, request, run_id, config),
    )


def evaluate_segments(run: PipelineRun) -> StageResult:
    """Find the members of every rule segment."""
    from jobs import segments

    directory = find_segments_dir(run)
    rules = segments.load_segments(directory)
    return _run_job(
        run,
        "evaluate_segments",
        (FEATURES,),
        segments.digest_segments(rules),
        lambda con, request, run_id: segments.evaluate(con, request, run_id, rules),
    )


def find_segments_dir(run: PipelineRun) -> Path:
    """The folder of the rule segments: absolute, beside the configuration, or in the project."""
    name = run.config.segments
    beside = run.config_path.parent / name
    return beside if beside.is_dir() else PROJECT_ROOT / name


def write_exports(run: PipelineRun) -> dict[str, Any]:
    """Publish the export files; tells where they are."""
    from jobs.exports import verify_exports, write_exports

    request = run.request(_upstream(run, (MARTS,)))
    run_id = make_run_id("write_exports", request, digest_of(str(run.settings.exports_path)))
    directory = run.settings.exports_path / request.as_of_date.isoformat()
    if _is_done(run, "write_exports", run_id) and directory.is_dir():
        verify_exports(directory)
        return {"directory": str(directory)}
    started = time.perf_counter()
    result = write_exports(run.settings, request, run_id, run.config.consent.purpose)
    manifest = json.loads((result.directory / "manifest.json").read_text(encoding="utf-8"))
    counts = {entry["path"]: entry["rows"] for entry in manifest["files"]}
    _record(run, "write_exports", run_id, request, digest_of(str(directory)), counts, started)
    return {"directory": str(result.directory)}


def write_report(run: PipelineRun) -> dict[str, Any]:
    """Write the run's HTML page; tells where it is."""
    from jobs.report import write_report

    request = run.request(_upstream(run, (MARTS,)))
    run_id = make_run_id("write_report", request, digest_of(str(run.settings.reports_path)))
    path = run.settings.reports_path / f"{request.as_of_date.isoformat()}.html"
    if not (_is_done(run, "write_report", run_id) and path.is_file()):
        started = time.perf_counter()
        path = write_report(run.settings, request, run_id, run.config.name)
        _record(run, "write_report", run_id, request, digest_of(str(path)), {"reports": 1}, started)
    return {"path": str(path)}


def _plan_payload(run: PipelineRun, stage: str) -> dict[str, Any]:
    run = resolve_as_of(run)
    plan = plan_dbt(run, stage)
    return {**run.to_payload(), "variables": plan.variables, "is_done": plan.is_done}


def plan_features(run: PipelineRun) -> dict[str, Any]:
    """The payload of the feature stage, with dbt's variables."""
    return _plan_payload(run, FEATURES)


def plan_marts(run: PipelineRun) -> dict[str, Any]:
    """The payload of the mart stage, with dbt's variables."""
    return _plan_payload(run, MARTS)


def record_features(run: PipelineRun) -> None:
    """Record the feature stage."""
    record_dbt(run, FEATURES)


def record_marts(run: PipelineRun) -> None:
    """Record the mart stage."""
    record_dbt(run, MARTS)


def maintain_lake(run: PipelineRun) -> dict[str, int]:
    """Merge small files, forget snapshots older than the configuration keeps, and delete what nothing names."""
    from jobs.lake.maintenance import compact

    return compact(run.settings, now=run.started_at, keep_days=run.config.keep_snapshots_days)
