"""The two dbt stages: what dbt is to build, and the record of what it built. dbt itself is started by whoever runs the stage."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jobs.consent import export_silence, load_run_policy
from jobs.lake import connect
from jobs.pipeline.increments import plan_build, record_build
from jobs.pipeline.record import FEATURES, IDENTITIES, MARTS, find_upstream, is_done, record
from jobs.pipeline.run import PipelineRun, resolve_as_of
from jobs.pipeline.training import JOBS, make_config
from jobs.run_config import RunConfig, SessionConfig
from jobs.stages import digest_of, make_run_id

_UPSTREAM = {FEATURES: (IDENTITIES,), MARTS: (FEATURES, *JOBS)}
_SCHEMAS = {FEATURES: ("core", "features"), MARTS: ("marts", "exports")}


@dataclass(frozen=True)
class DbtPlan:
    """What dbt is to build for a run: the variables, and whether the tables hold it already."""

    run_id: str
    upstream_run_id: str
    variables: dict[str, Any]
    is_done: bool
    # No part of what the run's id digests: another way to the same tables.
    increment: dict[str, Any] = field(default_factory=dict)


def _variables(run: PipelineRun) -> dict[str, Any]:
    from jobs.predictions import find_cutoff_dates

    request = run.request("")
    config, _ = make_config(run, "predictions")
    dates = find_cutoff_dates(request.as_of, config)
    return {
        "as_of": request.as_of.isoformat(),
        "as_of_date": request.as_of_date.isoformat(),
        "cutoff_dates": [day.isoformat() for day in sorted(dates)],
        **session_variables(run.config.sessions),
        "currency": run.config.currency,
        "rfm_method": run.config.features.rfm_method,
        "time_zone": run.config.time_zone,
        **consent_variables(run.config, run.config_path),
    }


def session_variables(config: SessionConfig) -> dict[str, Any]:
    """What dbt has to know of sessions, by the names that it has for the settings."""
    return {
        "inactivity_minutes": config.inactivity_minutes,
        "new_session_on_campaign": config.new_session_on_campaign,
        "new_session_at_midnight": config.new_session_at_midnight,
        "engaged_seconds": config.engaged_seconds,
        "max_session_events": config.max_events,
        "max_session_hours": config.max_hours,
    }


def consent_variables(config: RunConfig, config_path: Path) -> dict[str, Any]:
    """What dbt has to know of the consent policy.

    Raises:
        ConfigError: the policy is wrong, or does not know a purpose of the run configuration.
    """
    policy = load_run_policy(config, config_path)
    of_exports, of_behaviour = export_silence(config, policy), policy.silence(policy.behaviour)
    return {
        "consent_purposes": list(policy.purposes),
        "consent_expiry_days": policy.expiry_days,
        "consent_purpose": config.consent.purpose,
        "consent_default": of_exports.state,
        "consent_exceptions": list(of_exports.exceptions),
        "behaviour_purpose": policy.behaviour,
        "behaviour_words": policy.words_for(policy.behaviour),
        "behaviour_default": of_behaviour.state,
        "behaviour_exceptions": list(of_behaviour.exceptions),
        "consented_sources": [
            source.name for source in config.sources if policy.behaviour in source.consented
        ],
    }


def _plan(run: PipelineRun, stage: str) -> DbtPlan:
    upstream = find_upstream(run, _UPSTREAM[stage])
    variables = _variables(run)
    run_id = make_run_id(stage, run.request(upstream), digest_of(variables))
    increment = (
        plan_build(run.settings, run_id, variables, is_full=run.force) if stage == FEATURES else {}
    )
    return DbtPlan(run_id, upstream, variables, is_done(run, stage, run_id), increment)


def plan_dbt(run: PipelineRun, stage: str) -> dict[str, Any]:
    """The payload of a dbt stage: the run, dbt's variables, and whether its tables hold this very run already."""
    run = resolve_as_of(run)
    plan = _plan(run, stage)
    return {
        **run.to_payload(),
        "plan": asdict(plan),
        "variables": {**plan.variables, **plan.increment, "stage": stage},
    }


def record_dbt(run: PipelineRun, stage: str) -> None:
    """Record a dbt stage that has just ended well: exactly what was planned, whatever else has been loaded meanwhile.

    A run that was on record needs no second record.
    """
    if run.plan is None:
        raise ValueError("recording a dbt stage needs its plan: plan_dbt gives it")
    plan = DbtPlan(**run.plan)
    if plan.is_done:
        return
    request = run.request(plan.upstream_run_id)
    con = connect(run.settings)
    try:
        tables = con.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE database_name = 'lake' AND schema_name IN (?, ?) ORDER BY 1",
            list(_SCHEMAS[stage]),
        ).fetchall()
        counts = {}
        for (table,) in tables:
            row = con.execute(f"SELECT count(*) FROM lake.{table}").fetchone()
            counts[table] = row[0] if row else 0
    finally:
        con.close()
    started = time.perf_counter() - run.elapsed_seconds
    record(run, stage, plan.run_id, request, digest_of(plan.variables), counts, started)
    if stage == FEATURES:
        record_build(run.settings, plan.run_id, {**plan.variables, **plan.increment})
