"""The stages at the pipeline's two ends: extraction, gates, exports, report, and the lake's maintenance."""

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jobs.errors import ConfigError
from jobs.lake.tables import TABLES
from jobs.pipeline.record import EXTRACT, IDENTITIES, MARTS, find_upstream, is_done, record
from jobs.pipeline.run import PipelineRun, find_beside, resolve_as_of
from jobs.pipeline.training import JOBS
from jobs.stages import digest_of, make_run_id

logger = logging.getLogger(__name__)

RAW_TABLES = tuple(name for name, table in TABLES.items() if table.schema in {"raw", "vault"})
ML_TABLES = tuple(name for name, table in TABLES.items() if table.schema in {"identity", "ml"})
EXPORT_TABLES = ("exports.segments", "exports.recommendations")


def list_sources(run: PipelineRun) -> list[str]:
    """The names of the sources that the run loads, urgent ones first.

    Raises:
        ConfigError: there is no source of a name that was asked for.
    """
    sources = sorted(run.config.sources, key=lambda source: source.priority != "urgent")
    names = [source.name for source in sources]
    if unknown := sorted(set(run.sources or ()) - set(names)):
        raise ConfigError(
            f"{run.config_path} has no source {', '.join(unknown)}; it has {', '.join(names)}"
        )
    return [
        source.name
        for source in sources
        if (run.sources is None or source.name in run.sources)
        and (run.lane == "all" or source.priority == "urgent")
    ]


def load_source(run: PipelineRun) -> dict[str, Any]:
    """Load what is new at the run's sources (one, when a DAG calls); tells what that did, in counts."""
    from jobs.sources.extraction import describe_extraction, extract

    started = time.perf_counter()
    # A source that fails raises, so there is nothing to tell of failures.
    result = extract(
        run.settings,
        run.config,
        run.config_path,
        started_at=run.started_at,
        on_progress=lambda done, total, name: logger.info(
            "file %d of %d: %s", done + 1, total, name
        ),
        sources=run.sources,
        since=run.since,
        until=run.until,
    )
    logger.info("%s", describe_extraction(result))
    counts = {name: value for name, value in asdict(result).items() if name != "failures"}
    return {**counts, "seconds": round(time.perf_counter() - started, 3)}


def record_extraction(run: PipelineRun) -> PipelineRun:
    """Write down what the run's sources loaded, and fix the run's point in time.

    The seconds on record are those of all sources together, whether or not they were loaded side by side.
    """
    from jobs.sources.extraction import ExtractResult, describe_extraction, record_extraction
    from jobs.sources.writing import BatchCounts

    run = resolve_as_of(run)
    result, seconds = ExtractResult(), 0.0
    for told in run.extraction:
        counts = dict(told)
        seconds += counts.pop("seconds")
        result.add(BatchCounts(**counts))
    logger.info("%d sources: %s", len(run.extraction), describe_extraction(result))
    record_extraction(run.settings, result, run.request(""), seconds)
    return run


def _run_gate(
    run: PipelineRun, stage: str, upstream: tuple[str, ...], tables: tuple[str, ...]
) -> None:
    from jobs.quality import digest_suites, run_gate

    request = run.request(find_upstream(run, upstream))
    config_digest = digest_of(tables, digest_suites(tables))
    run_id = make_run_id(stage, request, config_digest)
    if is_done(run, stage, run_id):
        return
    started = time.perf_counter()
    run_gate(run.settings, tables, request, run_id)
    record(run, stage, run_id, request, config_digest, {"tables": len(tables)}, started)


def check_raw(run: PipelineRun) -> None:
    """Gate what the sources delivered."""
    _run_gate(run, "check_raw", (EXTRACT,), RAW_TABLES)


def resolve_identities(run: PipelineRun) -> dict[str, int]:
    """Find out who is who at the run's point in time; tells how many identifiers and customers there are."""
    from jobs.identity.evidence import read_decisions
    from jobs.identity.resolving import run as resolve
    from jobs.keys import load_keys
    from jobs.lake import connect

    run = resolve_as_of(run)
    request = run.request(find_upstream(run, (EXTRACT,)))
    con = connect(run.settings)
    try:
        decisions = read_decisions(con)
    finally:
        con.close()
    config_digest = digest_of(run.config.identity.model_dump(mode="json"), decisions)
    run_id = make_run_id(IDENTITIES, request, config_digest)
    if is_done(run, IDENTITIES, run_id):
        return {}
    keys = load_keys(run.settings, run.config.people)
    config = run.config.identity
    if config.truth is not None:
        config = config.model_copy(update={"truth": find_beside(run, config.truth)})
    return resolve(run.settings, request, run_id, config_digest, config, keys)


def check_ml(run: PipelineRun) -> None:
    """Gate what the jobs computed."""
    _run_gate(run, "check_ml", tuple(JOBS), ML_TABLES)


def check_exports(run: PipelineRun) -> None:
    """Gate what is about to leave."""
    _run_gate(run, "check_exports", (MARTS,), EXPORT_TABLES)


def deliver_vault(run: PipelineRun) -> dict[str, int]:
    """Put what the loaders told of people into the vault; tells how many values went there."""
    from jobs.keys import load_keys
    from jobs.vault import deliver

    keys = load_keys(run.settings, run.config.people)
    upstream = find_upstream(run, (MARTS,))
    return deliver(run.settings, keys, run.config.vault.fields, run.started_at, upstream)


def write_exports(run: PipelineRun) -> dict[str, Any]:
    """Publish the export files; tells where they are."""
    from jobs.consent import export_silence, load_run_policy
    from jobs.exports import verify_exports, write_exports
    from jobs.keys import load_keys

    request = run.request(find_upstream(run, (MARTS,)))
    run_id = make_run_id("write_exports", request, digest_of(str(run.settings.exports_path)))
    directory = run.settings.exports_path / request.as_of_date.isoformat()
    if is_done(run, "write_exports", run_id) and _manifest(directory).get("run_id") == run_id:
        verify_exports(directory)
        return {"directory": str(directory)}
    started = time.perf_counter()
    policy = load_run_policy(run.config, run.config_path)
    silence = export_silence(run.config, policy)
    result = write_exports(
        run.settings,
        request,
        run_id,
        run.config.consent.purpose,
        silence.state,
        load_keys(run.settings, run.config.people),
        consent_exceptions=silence.exceptions,
        consent_days=policy.expiry_days.get(run.config.consent.purpose),
    )
    counts = {entry["path"]: entry["rows"] for entry in _manifest(result.directory)["files"]}
    record(run, "write_exports", run_id, request, digest_of(str(directory)), counts, started)
    return {"directory": str(result.directory)}


def _manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a published export; empty where there is none."""
    path = directory / "manifest.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def write_report(run: PipelineRun) -> dict[str, Any]:
    """Write the run's HTML page; tells where it is."""
    from jobs.report import write_report

    request = run.request(find_upstream(run, (MARTS,)))
    run_id = make_run_id("write_report", request, digest_of(str(run.settings.reports_path)))
    path = run.settings.reports_path / f"{request.as_of_date.isoformat()}.html"
    if not (is_done(run, "write_report", run_id) and path.is_file()):
        started = time.perf_counter()
        path = write_report(run.settings, request, run_id, run.config.name)
        record(run, "write_report", run_id, request, digest_of(str(path)), {"reports": 1}, started)
    return {"path": str(path)}


def maintain_lake(run: PipelineRun) -> dict[str, int]:
    """Merge small files, forget snapshots older than the configuration keeps, and delete what nothing names."""
    from jobs.lake.maintenance import compact

    return compact(run.settings, now=run.started_at, keep_days=run.config.keep_snapshots_days)
