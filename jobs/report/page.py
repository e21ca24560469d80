"""The page: frames to HTML (`build_report`), and HTML to a file (`write_report`)."""

import logging
import os
import time
from datetime import UTC
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from jobs.lake import connect
from jobs.report import behaviour, customer_groups, identities, operations, shop
from jobs.report.data import ReportData, read_report_data
from jobs.report.findings import find_facts
from jobs.report.metrics import find_metric
from jobs.report.model_quality import model_view
from jobs.report.numbers import day, phrase
from jobs.settings import Settings
from jobs.stages import StageRequest

logger = logging.getLogger(__name__)

# id of the section and of its template, title in the navigation
SECTIONS = (
    ("overview", "Overview"),
    ("kpis", "KPIs over time"),
    ("identities", "Who is who"),
    ("segments", "Segments"),
    ("rfm", "RFM map"),
    ("journeys", "Journeys"),
    ("funnel", "Funnel and retention"),
    ("models", "Model quality"),
    ("recommendations", "Recommendations"),
    ("quality", "Data quality"),
    ("runs", "Run facts"),
)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("jobs.report"),
        autoescape=True,  # titles, names and search words come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def build_report(data: ReportData) -> str:
    """Make the page. Pure: the same data give the same text.

    Args:
        data: the frames of one run.

    Returns:
        A whole HTML document that loads nothing: its style is inside, its charts are SVG, it has no script.
    """
    models = [model_view(row) for row in data.model_runs.to_dicts()]
    cohort_months, cohorts = behaviour.cohort_rows(data)
    content: dict[str, Any] = {
        "sections": SECTIONS,
        "name": phrase(data.run_name),
        "run_id": data.run_id,
        "as_of": data.as_of.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "as_of_day": day(data.as_of_date),
        "facts": find_facts(data, models),
        "header_tiles": shop.header_tiles(data),
        "kpi_charts": shop.kpi_charts(data),
        "kpi": partial(find_metric, data),
        "single_day": shop.single_day(data),
        "anomalies": shop.anomaly_rows(data),
        "n_anomalies_hidden": max(0, data.kpi_anomalies.height - shop.N_ANOMALIES),
        "trend_days": shop.TREND_DAYS,
        "identity_tiles": identities.identity_tiles(data),
        "identity_kinds": identities.kind_rows(data),
        "identity_links": identities.link_bars(data),
        "identity_cuts": identities.cut_bars(data),
        "segment_groups": customer_groups.segment_groups(data),
        "rfm_map": customer_groups.rfm_map(data),
        "frequent_patterns": behaviour.frequent_patterns(data),
        "strong_patterns": behaviour.strong_patterns(data),
        "stages": behaviour.stage_bars(data),
        "funnel": behaviour.funnel_steps(data),
        "unlogged_steps": behaviour.unlogged_steps(data),
        "cohort_months": cohort_months,
        "cohorts": cohorts,
        "models": models,
        "recommendation_facts": operations.recommendation_facts(data),
        "recommendation_sources": operations.share_bars(data, "source"),
        "recommendation_reasons": operations.share_bars(data, "reason_code"),
        "recommended_items": operations.recommended_items(data),
        "quality_charts": operations.quality_charts(data),
        "files": operations.file_rows(data),
        "rejects": operations.reject_bars(data),
        "gates": operations.gate_tables(data),
        "runs": operations.run_rows(data),
    }
    return _environment().get_template("page.html.j2").render(content)


def write_report(settings: Settings, request: StageRequest, run_id: str, run_name: str) -> Path:
    """Read the lake (read-only) and write `<reports_path>/<as_of_date>.html`, replacing an older one.

    Idempotent: an unchanged lake gives a file with the same bytes. Run it after every other stage, since it tells of them.

    Args:
        settings: where the lake and the reports are.
        request: the point in time.
        run_id: the run that the page reports on.
        run_name: name of the run configuration.

    Returns:
        The file.

    Raises:
        ConfigError: there is no lake yet.
    """
    started = time.perf_counter()
    con = connect(settings)
    try:
        data = read_report_data(con, request, run_id, run_name)
    finally:
        con.close()
    content = build_report(data).encode()
    folder = settings.reports_path
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{request.as_of_date.isoformat()}.html"
    # A reader sees the old page or the new one, never half a page.
    temporary = folder / f".{path.name}.{os.getpid()}.tmp"
    temporary.write_bytes(content)
    temporary.replace(path)
    logger.info("wrote %s: %d bytes in %.2f s", path, len(content), time.perf_counter() - started)
    return path
