"""Read the expectation files: `expectations/<schema>/<table>.yml`, one suite a table.

A file says which rows it looks at, which columns name a row, and what is expected of them. This module knows the file's
form only; which expectations exist, and with which arguments, Great Expectations itself checks in `jobs.quality.checking`.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from jobs.errors import ConfigError, describe_faults
from jobs.settings import PROJECT_ROOT
from jobs.stages import digest_of

SUITES_DIR = PROJECT_ROOT / "expectations"
_IDENTIFIER = r"^[a-z_][a-z0-9_]*$"
_DIGITS = re.compile(r"\b\d")


class ExpectationConfig(BaseModel, frozen=True, extra="forbid"):
    """One expectation of a table.

    Attributes:
        type: the snake_case name that Great Expectations gives it.
        kwargs: its arguments, as Great Expectations names them.
        severity: `critical` stops the pipeline, `warning` is recorded and passes.
        name: what messages call it; made from type and arguments unless given.
        notes: where a number comes from; required where there is one.
    """

    type: str = Field(pattern=_IDENTIFIER)
    kwargs: dict[str, Any] = {}
    severity: Literal["critical", "warning"]
    name: str = ""
    notes: str = ""

    @model_validator(mode="after")
    def _explain_numbers(self) -> "ExpectationConfig":
        if not self.notes and any(_holds_number(value) for value in _leaves(self.kwargs)):
            raise ValueError(f"{self.label} holds a number: say in `notes` where it comes from")
        return self

    @property
    def label(self) -> str:
        """The name in results and messages."""
        if self.name:
            return self.name
        arguments = ", ".join(f"{key}={_brief(value)}" for key, value in self.kwargs.items())
        return f"{self.type}({arguments})"


class Suite(BaseModel, frozen=True, extra="forbid"):
    """What is expected of one table.

    Attributes:
        key: columns that name an offending row in messages.
        where: SQL condition on the rows looked at; it may use `getvariable('as_of_date')` and `getvariable('as_of')`.
        expectations: in the order in which they are reported.
    """

    key: tuple[str, ...] = Field(default=(), max_length=5)  # a message line holds no more
    where: str = ""
    expectations: tuple[ExpectationConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_labels(self) -> "Suite":
        labels = [expectation.label for expectation in self.expectations]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"expectations named alike: {', '.join(twice)}; give each a `name`")
        return self


def load_suite(table: str, suites_dir: Path = SUITES_DIR) -> Suite:
    """Read the suite of a table (`schema.table`).

    Raises:
        ConfigError: there is no such file, or it is malformed.
    """
    path = suite_path(table, suites_dir)
    doing = f"reading the expectations of {table} ({path.relative_to(suites_dir.parent)})"
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(
            f"{doing}: {err.strerror}; write one (docs/data-quality.md), or take the table out of the gate"
        ) from err
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{doing}: not valid YAML{line}; mend it there") from err
    try:
        return Suite.model_validate(content)
    except ValidationError as err:
        raise ConfigError(
            f"{doing}: {describe_faults(err)}; its form is in docs/data-quality.md"
        ) from err


def digest_suites(tables: Sequence[str], suites_dir: Path = SUITES_DIR) -> str:
    """Digest of what is expected of these tables: another one means that they must be checked again.

    Raises:
        ConfigError: as `load_suite`.
    """
    return digest_of({table: load_suite(table, suites_dir).model_dump() for table in tables})


def suite_path(table: str, suites_dir: Path = SUITES_DIR) -> Path:
    """Where the suite of a table lies.

    Raises:
        ConfigError: `table` is not written `schema.table`.
    """
    schema, _, name = table.partition(".")
    if not (re.match(_IDENTIFIER, schema) and re.match(_IDENTIFIER, name)):
        raise ConfigError(f"checking {table!r}: expected a table written schema.table")
    return suites_dir / schema / f"{name}.yml"


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


def _holds_number(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_DIGITS.search(value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _brief(value: Any) -> str:
    if isinstance(value, list) and len(value) > 3:
        return f"[{value[0]}, ... {len(value)} values]"
    return str(value)
