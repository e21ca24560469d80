"""Read a folder of rule files, and check them against each other."""

import difflib
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from jobs.errors import ConfigError
from jobs.segments.definition import TAG_MARK, Segment

_GUIDE = "docs/segments.md tells the language"


def load_segments(directory: Path) -> tuple[Segment, ...]:
    """Read every rule file (`*.yml`, `*.yaml`) of a folder, one segment a file.

    Returns:
        The segments by id, disabled ones among them (other rules may build on them).

    Raises:
        ConfigError: the folder or a file is missing or unreadable, a file is not YAML or not a rule, two have one
            id, or a rule refers to an unknown segment or in a circle. The message names file and setting.
    """
    if not directory.is_dir():
        raise ConfigError(
            f"reading segments from {directory}: there is no such folder; "
            "set segments: in the run configuration to the folder of your rule files"
        )
    files = sorted(f for f in directory.iterdir() if f.suffix in {".yml", ".yaml"})
    found: dict[str, tuple[Segment, Path]] = {}
    for file in files:
        segment = load_segment(file)
        if segment.id in found:
            raise ConfigError(
                f"reading {file}: id: {segment.id!r} is taken by {found[segment.id][1]}; "
                "give one of them another id"
            )
        found[segment.id] = (segment, file)
    _check_references(found)
    return tuple(found[segment_id][0] for segment_id in sorted(found))


def load_segment(path: Path) -> Segment:
    """Read one rule file; references to other segments are not checked.

    Raises:
        ConfigError: the file is unreadable, not YAML, or not a rule.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(f"reading {path}: {err.strerror}; mend its name or permissions") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"reading {path}: not UTF-8 text; save it as UTF-8") from err
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(err, "problem", None) or "it cannot be read"
        raise ConfigError(
            f"reading {path}{line}: not valid YAML ({problem}); mend it there"
        ) from err
    if not isinstance(content, dict):
        raise ConfigError(f"reading {path}: expected settings by name (id:, name:, where:, ...)")
    try:
        return Segment.model_validate(content)
    except ValidationError as err:
        raise ConfigError(f"reading {path}: {_describe_faults(err)}; {_GUIDE}") from err


def order_segments(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Put each segment after those that it builds on; otherwise by id.

    Raises:
        ConfigError: segments refer to each other in a circle, or to one that is not there.
    """
    by_id = {segment.id: segment for segment in segments}
    for segment in segments:
        for reference in segment.references():
            if reference not in by_id:
                raise ConfigError(
                    f"segment {segment.id}: where: there is no segment {reference!r}; "
                    f"known: {', '.join(sorted(by_id))}"
                )
    sorter = TopologicalSorter({segment.id: sorted(segment.references()) for segment in segments})
    try:
        sorter.prepare()
    except CycleError as err:
        circle = " -> ".join(reversed(err.args[1]))
        raise ConfigError(
            f"segments refer to each other in a circle: {circle}; take one segment: out"
        ) from err
    ordered: list[Segment] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += [by_id[segment_id] for segment_id in ready]
        sorter.done(*ready)
    return tuple(ordered)


def _check_references(found: dict[str, tuple[Segment, Path]]) -> None:
    for segment, file in found.values():
        for reference in segment.references():
            if reference not in found:
                raise ConfigError(
                    f"reading {file}: where: there is no segment {reference!r}; "
                    f"known: {', '.join(sorted(found))}"
                )
    order_segments(tuple(segment for segment, _ in found.values()))


def _describe_faults(err: ValidationError) -> str:
    """Put pydantic's findings into one line: the setting, what is wrong, what to do."""
    faults = err.errors()
    # A list whose only item is wrong counts as empty too; the item's own fault says it better.
    inner = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return "; ".join(
        f"{_locate(fault['loc'])}: {_describe_fault(fault)}"
        for fault in faults
        if not (fault["type"] == "too_short" and fault["loc"] in inner)
    )


def _locate(location: tuple[int | str, ...]) -> str:
    """`where.all[0].count.event`: without the marks that pydantic puts where a condition was chosen."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith(TAG_MARK):
            text += f".{part}"
    return text.removeprefix(".") or "file"


def _describe_fault(fault: ErrorDetails) -> str:
    found, context = fault["input"], fault.get("ctx", {})
    match fault["type"]:
        case "missing":
            return "missing; add it"
        case "extra_forbidden":
            return "no such setting here; mend its spelling or indentation, or remove it"
        case "literal_error":
            close = difflib.get_close_matches(
                str(found), re.findall(r"\w+", context["expected"]), 1
            )
            hint = f"did you mean {close[0]}?" if close else f"write {context['expected']}"
            return f"there is no {found!r}; {hint}"
        case "string_pattern_mismatch" if fault["loc"][-1] in ("within", "after"):
            return f"{found!r} is no time; write for example 30 minutes, 24 hours or 7 days"
        case "string_pattern_mismatch":
            return f"{found!r} is no id; write it in snake_case, for example frequent_buyers"
        case "string_type":
            return "expected a text; put the value in quotes"
        case "too_short":
            return "empty; add at least one"
        case _:
            return fault["msg"].removeprefix("Value error, ")
