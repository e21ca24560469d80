"""Tell by the values of a column what they are: times and how they are written, numbers, addresses of people."""

import re
from functools import lru_cache

import duckdb

EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_IP = re.compile(r"\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(:[0-9a-fA-F]{0,4}){3,7}")
_PHONE = re.compile(r"(\+|00)\d[\d ()/-]{7,}")
_TOLD_VALUES = 500  # are looked at to tell a column's type
MIN_FITTING = 0.95  # of a column's values must be of its type; the rest may be broken
_TIME_OF_DAY = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y",
         "%d %b %Y", "%b %d, %Y", "%B %d, %Y", "%Y%m%d")  # fmt: skip
_PATTERNS = (
    *(day + time for day in _DAYS for time in _TIME_OF_DAY),
    "%Y%m%d%H%M%S",
    "%Y-%m-%d-%H.%M.%S",
    "%d/%b/%Y:%H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S,%g",
)
_WHOLE = re.compile(r"[+-]?\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
PLAIN = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_WITH_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+|[+-]?\d{1,3}(\.\d{3}){2,}")


def names_person(value: str) -> bool:
    """Whether a value is an address or a number of somebody."""
    return bool(EMAIL.search(value) or _IP.fullmatch(value) or _PHONE.fullmatch(value))


def detect_time_format(values: list[str]) -> tuple[str, bool]:
    """How the times of a column are written, as a mapping names it; empty where they are no times.

    Returns:
        The format, and whether day and month could as well be the other way round.
    """
    return _detect_time_format(tuple(values[:_TOLD_VALUES]))


@lru_cache(maxsize=1024)
def _detect_time_format(told: tuple[str, ...]) -> tuple[str, bool]:
    if not told or sum(any(map(str.isdigit, value)) for value in told) < MIN_FITTING * len(told):
        return "", False
    if all(PLAIN.fullmatch(value) for value in told):
        return _name_number(told), False
    if _fits("TRY_CAST(value AS TIMESTAMP)", told) or _fits("TRY_CAST(value AS TIMESTAMPTZ)", told):
        return "iso", False
    fitting = [pattern for pattern in _PATTERNS if _fits(f"try_strptime(value, '{pattern}')", told)]
    if not fitting:
        return "", False
    return fitting[0], any(_are_swapped(fitting[0], other) for other in fitting[1:])


def _are_swapped(pattern: str, other: str) -> bool:
    """Whether two patterns differ in the places of day and month."""
    return pattern.replace("%d", "%-").replace("%m", "%d").replace("%-", "%m") == other


def _name_number(told: tuple[str, ...]) -> str:
    """The format of times that are numbers: digits of a day, or what went by since 1970."""
    if all(re.fullmatch(r"(19|20)\d{6}", value) for value in told):
        return "%Y%m%d" if _fits("try_strptime(value, '%Y%m%d')", told) else ""
    if all(re.fullmatch(r"(19|20)\d{12}", value) for value in told):
        return "%Y%m%d%H%M%S" if _fits("try_strptime(value, '%Y%m%d%H%M%S')", told) else ""
    sizes = {len(value.partition(".")[0]) for value in told}
    for size, name in ((10, "epoch_s"), (13, "epoch_ms"), (16, "epoch_us")):
        if sizes <= {size - 1, size}:
            return name
    return "epoch" if sizes <= {9, 10, 12, 13, 15, 16, 18, 19} else ""


def _fits(sql: str, told: tuple[str, ...]) -> bool:
    """Whether DuckDB, which will read the files, takes nearly all of these values."""
    row = duckdb.execute(
        f"SELECT count({sql}) FROM (SELECT unnest(?::VARCHAR[]) AS value)", [list(told)]
    ).fetchone()
    return row is not None and row[0] >= MIN_FITTING * len(told)


def detect_decimal_mark(values: list[str]) -> str | None:
    """`.` or `,`; empty where every number is whole; None where they are no numbers."""
    told = values[:_TOLD_VALUES]
    whole = sum(bool(_WHOLE.fullmatch(value)) for value in told)
    for mark, pattern in ((".", PLAIN), (",", _WITH_COMMA)):
        fitting = [
            value for value in told if pattern.fullmatch(value) and not _WHOLE.fullmatch(value)
        ]
        if told and whole + len(fitting) >= MIN_FITTING * len(told):
            if mark == "," and all(_THOUSANDS.fullmatch(value) for value in fitting):
                return None  # 1,234: a thousand, or one and a bit
            return mark if fitting else ""
    return None
