r"""Access logs of web servers: nginx and Apache (combined or common format), and W3C extended logs (IIS, CloudFront).

A log tells requests; rules of the source's configuration say which of them are product views, searches, purchases. What no
rule names is a `page_view` if it was a page that somebody got, else `custom`. Visitors are told apart by address and browser,
which is weak, and kept as a pseudonym; the address itself is never stored.
"""

import re
from collections.abc import Sequence
from typing import Protocol

from jobs.sources.layout import Layout, Part
from jobs.sources.statement import name_groups, quote_literal

# A field in quotes; a quote within it is written \" (Apache) or \x22 (nginx).
_QUOTED = r'"(?P<{0}>(?:[^"\\]|\\.)*)"'
# [vhost[:port]] client ident user [time] "request" status bytes ["referer" "agent" ["forwarded for"]] ...
_LINE = (
    r"^(?:(?P<host>\S+) )??(?P<client>\S+) (?:-|[A-Za-z_]\w*) (?P<login>\S.*?|) ?\[(?P<time>[^\]]+)\] "
    + _QUOTED.format("request")
    + r" (?P<status>\d{3}|-) (?P<bytes>\d+|-)"
    + rf"(?: {_QUOTED.format('referrer')} {_QUOTED.format('agent')}"
    + rf"(?: {_QUOTED.format('forwarded')})?(?: .*)?)?\s*$"
)
_W3C_FIELDS = {
    "log_date": ("date",),
    "log_time": ("time",),
    "client": ("c-ip",),
    "forwarded": ("x-forwarded-for", "cs(x-forwarded-for)"),
    "login": ("cs-username",),
    "method": ("cs-method",),
    "stem": ("cs-uri-stem", "cs-uri"),
    "query_text": ("cs-uri-query",),
    "status": ("sc-status",),
    "bytes": ("sc-bytes",),
    "referrer": ("cs(referer)",),
    "agent": ("cs(user-agent)",),
    "host": ("cs-host", "cs(host)", "x-host-header"),
}
_NO_CELL = "\x1f"  # stands between cells that are put into an order of our own
# What a page consists of, and what only programs ask for.
_ASSET = (
    r"(?i)\.(?:css|m?js|map|json|xml|rss|atom|txt|png|jpe?g|gif|svg|webp|avif|ico|bmp|woff2?|ttf|otf|eot|mp[34]|webm|ogg|"
    r"pdf|zip|gz|tgz|bz2|7z|exe|dmg|apk|jar|deb|rpm|webmanifest|wasm)$"
)
_CAPTURED = ("item_id", "category", "search_query", "order_id")
_SEARCH_PARAMETERS = ("q", "query", "search", "keyword", "keywords", "s")
# Text whose percent signs all begin a byte of valid UTF-8, and not NUL; DuckDB's url_decode fails on bytes of any other.
_DECODABLE = (
    r"^(?:[^%]|%[1-7][0-9A-Fa-f]|%0[1-9A-Fa-f]"
    r"|%[cC][2-9A-Fa-f]X|%[dD][0-9A-Fa-f]X"
    r"|%[eE]0%[aAbB][0-9A-Fa-f]X|%[eE][1-9A-CEFa-cef]XX|%[eE][dD]%[89][0-9A-Fa-f]X"
    r"|%[fF]0%[9abAB][0-9A-Fa-f]XX|%[fF][1-3]XXX|%[fF]4%8[0-9A-Fa-f]XX)*$"
).replace("X", "%[89abAB][0-9A-Fa-f]")


class Rule(Protocol):
    """Which requests are which events; see `jobs.sources.mapping.PathRule`."""

    @property
    def path(self) -> str:
        r"""A regular expression over the path; over path and query string where it holds `\?`."""

    @property
    def event_type(self) -> str:
        """One of `EVENT_TYPES`."""

    @property
    def method(self) -> str | None:
        """GET, POST...; None for all but HEAD and OPTIONS, which show nobody anything."""


def make_access_log_layout(rules: Sequence[Rule]) -> Layout:
    """Logs of nginx and Apache.

    Args:
        rules: the first one that fits a request counts.
    """
    return Layout(
        file_type="text",
        pattern=_LINE,
        fields={name: name for name in name_groups(_LINE)},
        derived={
            "method": _part_of_request("'^([A-Za-z]{3,20}) '"),
            # Of a request to a proxy, whose target is a whole address, too.
            "target": r"""regexp_replace(regexp_extract(request, '^[A-Za-z]{3,20} (.*?)(?: HTTP/[0-9.]+)?$', 1), """
            r"""'^[a-z]+://[^/?#]*', '')""",
            "url_path": r"regexp_extract(target, '^[^?#]*')",
            "query": r"regexp_extract(target, '\?([^#]*)', 1)",
            **_derive_from_request(rules),
        },
        time_format="%d/%b/%Y:%H:%M:%S %z",
        equal_rows="distinct",
        parts=(_make_part('"time"', ()),),
    )


def make_w3c_layout(rules: Sequence[Rule]) -> Layout:
    """Logs whose lines `#Fields:` say what their columns are, which may change within a file; times are UTC.

    Args:
        rules: the first one that fits a request counts.
    """
    of_file = "OVER (PARTITION BY local_path ORDER BY row_number ROWS UNBOUNDED PRECEDING)"
    named = r"CASE WHEN regexp_matches(line, '(?i)^#fields:') THEN lower(trim(line[9:])) END"
    dated = r"nullif(regexp_extract(line, '(?i)^#date:\s*([0-9]{4}-[0-9]{2}-[0-9]{2})', 1), '')"
    names = r"regexp_split_to_array(names, '\s+')"
    # A line is split at tabs where it has any (CloudFront): its values may then hold blanks.
    cells = r"CASE WHEN contains(line, chr(9)) THEN string_split(line, chr(9)) ELSE string_split(line, ' ') END"
    picked = ", ".join(
        f"coalesce({', '.join(f'({cells})[list_position({names}, {quote_literal(said)})]' for said in places)}, '-')"
        for places in _W3C_FIELDS.values()
    )
    fields = {
        name: f"nullif(split_part(cells, {quote_literal(_NO_CELL)}, {number}), '-')"
        for number, name in enumerate(_W3C_FIELDS, start=1)
    }
    return Layout(
        file_type="text",
        ignored="line LIKE '#%'",
        is_ordered=True,
        derived={
            "names": f"last_value({named} IGNORE NULLS) {of_file}",
            "file_date": f"last_value({dated} IGNORE NULLS) {of_file}",
            "count_names": f"len({names})::VARCHAR",
            "count_cells": f"len({cells})::VARCHAR",
            "cells": f"array_to_string([{picked}], {quote_literal(_NO_CELL)})",
            **fields,
            "occurred": "coalesce(log_date, file_date) || ' ' || log_time",
            "url_path": r"regexp_extract(regexp_replace(stem, '^[a-z]+://[^/?#]*', ''), '^[^?#]*')",
            "query": r"coalesce(query_text, regexp_extract(stem, '\?([^#]*)', 1))",
            **_derive_from_request(rules, agent=_unescaped("agent")),
        },
        equal_rows="distinct",
        parts=(
            _make_part(
                "occurred",
                (
                    ("names IS NULL", "malformed", "no line #Fields: stands before the line"),
                    (
                        "count_cells <> count_names",
                        "malformed",
                        "the line has another number of fields than #Fields: names",
                    ),
                ),
            ),
        ),
    )


def recognises_access_log(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """True if most of the first lines are requests as nginx and Apache write them.

    Args:
        name: of the file.
        head: its first lines (text), or its columns and their types (Parquet).
    """
    lines = [] if isinstance(head, dict) else [line for line in head if line.strip()]
    return sum(bool(re.search(_LINE, line)) for line in lines) * 2 > len(lines)


def recognises_w3c(name: str, head: list[str] | dict[str, str]) -> bool:  # noqa: ARG001 - every reader is asked alike
    """True if one of the first lines names the fields of requests; arguments as above."""
    lines = [] if isinstance(head, dict) else head
    return any(re.match(r"(?i)#fields:.*\bcs-uri", line) for line in lines)


def _part_of_request(pattern: str) -> str:
    return f"upper(regexp_extract(request, {pattern}, 1))"


def _derive_from_request(rules: Sequence[Rule], agent: str = "agent") -> dict[str, str]:
    """Fields that follow from `method`, `url_path`, `query`, `status`, `client`, `forwarded`, `login` and `agent`."""
    return {
        "told_agent": f"nullif({agent}, '-')",
        # Some proxies write the port, too, which changes with every connection.
        "visitor": r"regexp_replace(coalesce(nullif(trim(split_part(forwarded, ',', 1)), '-'), client), "
        r"'^([0-9.]+):[0-9]+$', '\1')",
        "rule": _find_rule(rules),
        **{f"by_{column}": _capture(rules, column) for column in _CAPTURED},
    }


def _make_part(time: str, rejected_if: tuple[tuple[str, str, str], ...]) -> Part:
    is_page = f"method = 'GET' AND status BETWEEN '200' AND '399' AND NOT regexp_matches(url_path, '{_ASSET}')"
    return Part(
        entity="events",
        columns={
            "occurred_at": time,
            "event_type": f"coalesce(split_part(rule, ' ', 2), CASE WHEN {is_page} THEN 'page_view' ELSE 'custom' END)",
            # Who comes from one address with one browser; a guess that only holds for a visit.
            "anonymous_id": "visitor || ' ' || coalesce(told_agent, '')",
            "user_id": "lower(nullif(login, '-'))",
            "item_id": _decoded("by_item_id"),
            "category": _decoded("by_category"),
            "order_id": _decoded("by_order_id"),
            "search_query": f"coalesce({_decoded('by_search_query')}, "
            f"CASE WHEN split_part(rule, ' ', 2) = 'search' THEN {_parameter(*_SEARCH_PARAMETERS)} END)",
            "url_path": "url_path",
            "referrer": "nullif(regexp_extract(referrer, '^[^?#]*'), '-')",
            "channel": f"coalesce({_parameter('utm_medium')}, {_parameter('utm_source')})",
            "campaign": _parameter("utm_campaign"),
            "device": _find_device("told_agent"),
        },
        user_agent="told_agent",
        properties={
            "method": "method",
            "status": "nullif(status, '-')",
            "bytes": "nullif(bytes, '-')",
        },
        rejected_if=rejected_if,
    )


def _subject(rule: Rule) -> str:
    r"""What a rule is compared with: the path, and the query string if the rule names its beginning (`\?`)."""
    is_whole = r"\?" in rule.path or "[?]" in rule.path
    return "url_path || coalesce('?' || query, '')" if is_whole else "url_path"


def _find_rule(rules: Sequence[Rule]) -> str:
    """SQL of the number and the event type of the first rule that fits: `2 product_view`; null where none does.

    A request that failed did nothing, so no rule counts for it.
    """
    cases = []
    for number, rule in enumerate(rules, start=1):
        asked = (
            f"method = {quote_literal(rule.method.upper())}"
            if rule.method
            else "method NOT IN ('HEAD', 'OPTIONS')"
        )
        cases.append(
            f"WHEN {asked} AND regexp_matches({_subject(rule)}, {quote_literal(rule.path)}) "
            f"THEN '{number} {rule.event_type}'"
        )
    if not cases:
        return "NULL"
    return f"CASE WHEN coalesce(status, '') NOT BETWEEN '200' AND '399' THEN NULL {' '.join(cases)} END"


def _capture(rules: Sequence[Rule], column: str) -> str:
    """SQL of what the rule that fits found under a name."""
    cases = []
    for number, rule in enumerate(rules, start=1):
        groups = name_groups(rule.path)
        if column in groups:
            found = f"regexp_extract({_subject(rule)}, {quote_literal(rule.path)}, {groups.index(column) + 1})"
            cases.append(f"WHEN '{number} {rule.event_type}' THEN {found}")
    return f"CASE rule {' '.join(cases)} END" if cases else "NULL"


def _decoded(text: str) -> str:
    """SQL of a text without percent signs for bytes; as it stands where these are no UTF-8."""
    return (
        f"CASE WHEN regexp_matches({text}, '{_DECODABLE}') THEN url_decode({text}) ELSE {text} END"
    )


def _unescaped(agent: str) -> str:
    """SQL of a user agent of a W3C log: + (IIS) or %20 (CloudFront) stand for blanks."""
    return _decoded(
        f"CASE WHEN contains({agent}, ' ') THEN {agent} ELSE replace({agent}, '+', ' ') END"
    )


def _parameter(*names: str) -> str:
    """SQL of a parameter of the query string, the first one of `names` that has a value."""
    texts = [
        _decoded(f"replace(regexp_extract(query, '(?:^|&){name}=([^&]*)', 1), '+', ' ')")
        for name in names
    ]
    filled = [f"nullif({text}, '')" for text in texts]
    return f"coalesce({', '.join(filled)})"


def _find_device(agent: str) -> str:
    """SQL of the kind of device that a user agent is on; null where it says nothing."""
    return (
        rf"CASE WHEN regexp_matches({agent}, '(?i)ipad|tablet|kindle|silk/|playbook') "
        rf"OR (regexp_matches({agent}, '(?i)android') AND NOT regexp_matches({agent}, '(?i)mobile')) THEN 'tablet' "
        rf"WHEN regexp_matches({agent}, '(?i)mobi|iphone|ipod|android|opera mini|midp|windows phone|blackberry') "
        rf"THEN 'mobile' "
        rf"WHEN regexp_matches({agent}, '(?i)windows|macintosh|x11|cros|linux') THEN 'desktop' END"
    )
