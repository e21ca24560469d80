"""A run of the pipeline: its settings, its configuration and its point in time, shared by every stage."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from jobs.errors import ConfigError, InputDataError
from jobs.lake import connect
from jobs.run_config import RunConfig, load_run_config
from jobs.settings import PROJECT_ROOT, Settings, expand_variables, load_settings
from jobs.stages import StageRequest


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
    # Of an extraction: which sources (None for all of the lane), and the days of a backfill.
    lane: Literal["all", "urgent"] = "all"
    sources: tuple[str, ...] | None = None
    since: date | None = None
    until: date | None = None
    # What the sources' tasks counted, of the extraction that is to be recorded.
    extraction: tuple[dict[str, Any], ...] = ()
    plan: dict[str, Any] | None = None  # of the dbt stage that is to be recorded
    # Of a task that ran outside this process (dbt), by its caller's clock.
    elapsed_seconds: float = 0.0

    def to_payload(self) -> dict[str, Any]:
        """A dict of plain values that `open_run` reads back; what concerns the extraction alone is not in it."""
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


def parse_day(name: str, text: str | None) -> date | None:
    """Read a date; None where there is none.

    Raises:
        ConfigError: it is no date.
    """
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as err:
        raise ConfigError(f"{name} {text!r} is no date; write 2026-07-01") from err


def open_run(payload: dict[str, Any], *, now: datetime) -> PipelineRun:
    """Load the settings and the configuration that a payload names.

    Args:
        payload: `config`, `as_of`, `started_at`, `force`, `allow_shrink`, and for an extraction `lane`, `sources`, `since`,
            `until` and `extraction`; each optional.
        now: the caller's clock, for `started_at` where the payload has none.

    Raises:
        ConfigError: the environment, the configuration, `as_of`, `since` or `until` is wrong.
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
        lane=payload.get("lane") or "all",
        sources=tuple(payload["sources"]) if payload.get("sources") else None,
        since=parse_day("since", payload.get("since")),
        until=parse_day("until", payload.get("until")),
        extraction=tuple(payload.get("extraction") or ()),
        plan=payload.get("plan"),
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


def find_beside(run: PipelineRun, name: Path) -> Path:
    """A place that the configuration names: absolute, beside the configuration, or in the project; may hold `${VARIABLES}`.

    Raises:
        ConfigError: a variable is not set.
    """
    name = Path(expand_variables(str(name)))
    beside = run.config_path.parent / name
    return beside if beside.exists() else PROJECT_ROOT / name


def find_segments_dir(run: PipelineRun) -> Path:
    """The folder of the rule segments."""
    return find_beside(run, run.config.segments)
