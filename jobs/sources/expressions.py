"""SQL expressions that readers of several formats share, over the text of a field."""

import json
from collections.abc import Iterable
from typing import Any

# What trackers write where they have nothing to say.
NOTHING = ("(not set)", "<other>", "(other)", "(data deleted)", "null", "undefined", "nan")


def among(text: str, values: Iterable[str]) -> str:
    """SQL that tests a text against a list: DuckDB would turn an `IN` of five values or more into a join."""
    return f"list_contains([{', '.join(repr(value) for value in values)}], {text})"


def known(text: str) -> str:
    """SQL of a text, null where it only says that there is nothing: `(not set)`, `undefined`."""
    return f"CASE WHEN NOT {among(f'lower({text})', NOTHING)} THEN {text} END"


def path_of(url: str) -> str:
    """SQL of a URL's path, without what stands before and behind it; addresses of people in it are masked."""
    path = rf"regexp_extract({url}, '^(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)', 1)"
    return (
        f"CASE WHEN {url} IS NOT NULL THEN coalesce(nullif({without_addresses(path)}, ''), '/') END"
    )


def site_of(url: str) -> str:
    """SQL of a URL's host and path."""
    site = rf"regexp_extract({url}, '^(?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://)?([^?#]*)', 1)"
    return f"nullif(rtrim({without_addresses(site)}, '/'), '')"


def without_addresses(text: str) -> str:
    """SQL of a text in which e-mail addresses are masked; nearly none has one, and looking for the sign is cheap."""
    masked = rf"regexp_replace({text}, '[^/\s@\"=:,]+(?:@|%40)[^/\s@\",&]+', '[e-mail]', 'g')"
    return (
        f"CASE WHEN contains({text}, '@') OR contains({text}, '%40') THEN {masked} ELSE {text} END"
    )


def decimal(text: str) -> str:
    """SQL of a number, null where the text is none."""
    return f"TRY_CAST({text} AS DECIMAL(18,6))"


def objects_in(text: str) -> str:
    """SQL of the objects of a JSON array's text as JSON[]; null where it is no array."""
    return (
        f"CASE WHEN json_valid({text}) THEN CASE WHEN json_type({text}) = 'ARRAY' "
        f"THEN list_filter(json_extract({text}, '$[*]'), lambda o: json_type(o) = 'OBJECT') END END"
    )


def first_object(head: list[str]) -> dict[str, Any]:
    """The first JSON object among the first lines of a file; empty where there is none."""
    for line in head:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            return record
    return {}
