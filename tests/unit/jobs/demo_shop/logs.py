"""Read a shop's logs as a strict reader would, without knowing the generator."""

import json
from datetime import datetime
from pathlib import Path

from jobs.demo_shop.log_lines import EVENT_NAMES

TRACKED_NAMES = set(EVENT_NAMES.values())


def read_lines(directory: Path) -> list[tuple[str, str]]:
    """Return (file name, line) of every line, in the order of the files."""
    return [
        (path.name, line)
        for path in sorted((directory / "logs").iterdir())
        for line in path.read_text().split("\n")[:-1]
    ]


def is_time(text: object) -> bool:
    try:
        datetime.fromisoformat(str(text))
    except ValueError:
        return False
    return True


def why_broken(line: str) -> str | None:
    """Classify a line as a strict reader would, without knowing the generator."""
    if not line:
        return "empty"
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return "truncated"
    if event["event"] not in TRACKED_NAMES:
        return "unknown_event"
    if "ts" not in event:
        return "missing_time"
    if not is_time(event["ts"]):
        return "bad_time"
    return "negative_price" if event.get("product", {}).get("price", 0) < 0 else None


def read_events(directory: Path) -> list[dict[str, object]]:
    """Return each valid event once, in the order of its first line."""
    lines = [line for _, line in read_lines(directory) if why_broken(line) is None]
    return [json.loads(line) for line in dict.fromkeys(lines)]
