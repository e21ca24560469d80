"""The run configuration: one YAML file that says which logs to read and how to treat them.

`personalake validate --config FILE` checks it; its JSON Schema is `config/schemas/run.schema.json` (generated from here).
"""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from jobs.errors import ConfigError, describe_faults
from jobs.identity.config import IdentityConfig
from jobs.sources.mapping import SourceConfig, check_time_zone
from jobs.vault import DEFAULT_FIELDS
from jobs.vault import Field as VaultField


class ConsentConfig(BaseModel, frozen=True, extra="forbid"):
    """What a customer must have agreed to, and what is done when the ledger is silent."""

    policy: Path = Path("config/consent.yml")  # purposes, and what silence means by country
    purpose: str = "marketing"  # of the policy; what CRM and e-mail tools use the rows for
    # Of customers without a decision, whatever the policy says of their country; left out, the policy says.
    default: Literal["denied", "granted"] | None = None


class SessionConfig(BaseModel, frozen=True, extra="forbid"):
    """When one visit ends and the next begins."""

    inactivity_minutes: int = Field(default=30, ge=1)  # the convention of every web analytics tool
    # Off, as in Google Analytics 4: who comes back by another link is still on the same visit.
    new_session_on_campaign: bool = False
    new_session_at_midnight: bool = False  # in the shop's time zone
    engaged_seconds: int = Field(default=10, ge=0)  # Google Analytics 4's
    # A session beyond either is no visit but a stuck script or an identifier that many share.
    max_events: int = Field(default=5000, ge=1)  # no person does as much between two pauses
    max_hours: float = Field(default=24, gt=0)  # nor stays awake for longer


class PredictionConfig(BaseModel, frozen=True, extra="forbid"):
    """What the propensity model predicts, and on how many past cut-offs it learns."""

    horizon_days: int = Field(default=30, ge=1)  # a month: one purchase cycle of most shops
    n_training_cutoffs: int = Field(default=3, ge=1)  # more cut-offs than one steady the estimate


class FeaturesConfig(BaseModel, frozen=True, extra="forbid"):
    """How customers are described."""

    # quantile: fifths of the buyers by rank; fixed: dbt_project/seeds/rfm_cut_points.csv; jenks: natural breaks.
    rfm_method: Literal["quantile", "fixed", "jenks"] = "quantile"


class VaultConfig(BaseModel, frozen=True, extra="forbid"):
    """Which clear values are kept for exports."""

    # What names somebody to the shop's own tools; a name or a postal code only where a tool needs it.
    fields: tuple[VaultField, ...] = DEFAULT_FIELDS


class RunConfig(BaseModel, frozen=True, extra="forbid"):
    """One pipeline: its sources, its point in time and its policies."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    description: str = ""
    as_of: Literal["now", "data_end"] | date | datetime = "now"
    people: Literal["real", "made_up"] = "real"  # made-up ones need no PERSONALAKE_KEY
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    # Of the shop's and its customers' clocks: parts of the day, weekdays, midnight between sessions. Dates of tables are UTC's.
    time_zone: Annotated[str, AfterValidator(check_time_zone)] = "UTC"
    sessions: SessionConfig = SessionConfig()
    features: FeaturesConfig = FeaturesConfig()
    predictions: PredictionConfig = PredictionConfig()
    consent: ConsentConfig = ConsentConfig()
    identity: IdentityConfig = IdentityConfig()
    vault: VaultConfig = VaultConfig()
    segments: Path = Path("config/segments")
    # Below the data folder: keeps this pipeline's lake, exports and reports apart from others'.
    folder: Path = Path()
    n_recommendations: int = Field(
        default=10, ge=1, le=100
    )  # what one e-mail can show, and a reserve
    keep_snapshots_days: int = Field(default=30, ge=1)  # how far back time travel reaches
    seed: int = 42


def load_run_config(path: Path) -> RunConfig:
    """Read and check a run configuration.

    Relative paths in it are kept; `jobs.sources` resolves them against the folder that `path` lies in, then against the
    project.

    Raises:
        ConfigError: the file is missing, is not UTF-8, is not YAML, or holds an unknown or ill-typed setting.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as err:
        raise ConfigError(
            f"reading the run configuration {path}: {err.strerror}; give one with --config "
            "(examples: config/examples/)"
        ) from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"reading {path}: not UTF-8 text; save it as UTF-8") from err
    try:
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as err:
        where = getattr(err, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        raise ConfigError(f"reading {path}{line}: not valid YAML; mend it there") from err
    if not isinstance(content, dict):
        raise ConfigError(f"reading {path}: expected settings by name (name:, sources:, ...)")
    try:
        return RunConfig.model_validate(content)
    except ValidationError as err:
        raise ConfigError(f"reading {path}: {describe_faults(err)}") from err


def run_schema() -> str:
    """The JSON Schema of run configurations, as `config/schemas/run.schema.json` holds it."""
    return json.dumps(RunConfig.model_json_schema(), indent=2, sort_keys=True) + "\n"
