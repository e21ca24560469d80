"""Which user agents are programs and not people: one regular expression.

Most programs say so themselves (`bot`, `crawler`, an address to complain to). The others are known by name from the list of
the package `crawler-user-agents` (MIT), less the names that people's browsers carry too: a false hit hides a person.
"""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

import duckdb

# Words of programs that do not hide; whatever their case.
_SELF_DESCRIBED = (
    # Not Cubot: it makes telephones (CUBOT NOTE 20).
    r"(?:^|[^u]|(?:^|[^c])u)bots?(?:[^a-z]|$)",
    "crawl",
    "spider",
    "slurp",
    r"scrap(?:e|y|ing)",
    "headless",
    r"\+https?:",  # where to complain, by convention of crawlers
    r"@[a-z0-9-]+\.[a-z]",
    # Scripts, and what they are written with
    r"\b(?:curl|wget|httpie|lwp|libwww|postman|insomnia|guzzle|faraday|undici|axios|node-fetch)\b",
    r"\b(?:python|aiohttp|httpx|urllib|mechanize|go-http-client|http-?client|httpurlconnection)",
    r"^(?:java|perl|ruby|node|got|deno|bun)\b|\bphp/",
    r"\b(?:phantomjs|selenium|webdriver|puppeteer|playwright|lighthouse|cypress)\b",
    # Previews of a link in a chat; the browsers of these applications have the name at their end.
    r"^(?:whatsapp|viber|tumblr)\b",
)
# Where a program puts its name. One that is known to describe itself, too, is looked for here only: its name alone may be
# that of a telephone (HTC Butterfly).
_IN_FRONT = r"(?:^|compatible; ?)"
# Names of the list that people's browsers carry too.
_PEOPLE = frozenset(
    {
        r"AP3A\.240617\.008",  # a build of Android 15, of many makers' telephones
        "MetaIAB Facebook",  # Facebook's browser for the links that people tap
        "Fever",  # a telephone of Wiko
        "Fluid",  # macOS: a web site as an application
        r"Code\/1\.",  # the browsers of code editors
        r"Trae\/",
        "okhttp",  # Android's way to the network: a shop's own app
        "Viber",  # browsers within applications
        "WhatsApp",
        r"Tumblr\/",
    }
)


@cache
def bot_pattern() -> str:
    """A regular expression (RE2) that is found in the user agents of programs, whatever their case.

    Names of the list that RE2 does not take are left out, and so are those that describe themselves: the expression stays
    small enough for RE2 to search in one pass.
    """
    self_described = re.compile("|".join(_SELF_DESCRIBED), re.IGNORECASE)
    anywhere, in_front = [], []
    entries = _read_list()
    known = _known_to_re2([entry["pattern"] for entry in entries])
    for entry in entries:
        pattern, agents = entry["pattern"], entry.get("instances") or []
        if pattern in _PEOPLE or self_described.search(_as_text(pattern)) or pattern not in known:
            continue
        if agents and all(self_described.search(agent) for agent in agents):
            in_front.append(pattern.removeprefix("^"))
        else:
            anywhere.append(_at_word(pattern))
    named = [f"{_IN_FRONT}(?:{'|'.join(in_front)})"] if in_front else []
    return "(?i)" + "|".join([*_SELF_DESCRIBED, *named, *anywhere])


def _read_list() -> list[dict[str, Any]]:
    path = files("crawleruseragents").joinpath("crawler-user-agents.json")
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def _as_text(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern)


def _at_word(pattern: str) -> str:
    """A name stands at the start of a word: Panasonic is no Sonic."""
    starts = r"\b" if re.match(r"[A-Za-z0-9]", pattern) else ""
    return f"{starts}(?:{pattern})" if "|" in pattern else starts + pattern


def _known_to_re2(patterns: list[str]) -> set[str]:
    """Those of some regular expressions that RE2 takes; asked at once, since a query each takes longer than reading a file."""
    rows = duckdb.execute(
        "SELECT pattern FROM (SELECT unnest(?::VARCHAR[]) AS pattern) "
        "WHERE TRY(regexp_matches('', pattern)) IS NOT NULL",
        [patterns],
    )
    return {pattern for (pattern,) in rows.fetchall()}
