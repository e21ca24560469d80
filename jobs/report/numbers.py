"""How the report writes numbers, money, shares and days.

Every value is snapped to six decimals before it is rounded for display: DuckDB adds doubles in an order that varies
between runs, and without the snap a sum of exactly x.5 could be shown as two different numbers.
"""

import math
from datetime import date
from typing import Any

MISSING = "–"
_MINUS = "−"  # the typographic minus is as wide as a digit
_SPACE = "\u00a0"  # keeps a number and its unit on one line
_SNAP_DIGITS = 6
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ACRONYMS = {
    "auc": "AUC",
    "roc": "ROC",
    "pr": "PR",
    "ndcg": "NDCG",
    "map": "MAP",
    "mrr": "MRR",
    "rfm": "RFM",
    "als": "ALS",
    "crm": "CRM",
    "id": "ID",
    "json": "JSON",
    "url": "URL",
    "bic": "BIC",
    "aic": "AIC",
}


def snapped(value: float) -> float:
    """The value without the noise of floating-point sums."""
    return round(value, _SNAP_DIGITS)


def is_number(value: Any) -> bool:
    """True for a finite number; booleans, nulls and NaN are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)


def count(value: Any) -> str:
    """A whole number with thousands separators, e.g. `12,345`."""
    return _signed(f"{round(snapped(value)):,}") if is_number(value) else MISSING


def decimal(value: Any, digits: int = 2) -> str:
    """A number with a fixed number of decimals, e.g. `1,234.50`."""
    if not is_number(value):
        return MISSING
    text = f"{snapped(value):,.{digits}f}"
    return _signed(text.lstrip("-") if float(text.replace(",", "")) == 0 else text)


def signed_decimal(value: float, digits: int = 2) -> str:
    """A difference with its sign, e.g. `+0.12`; a plain zero where it rounds to nothing."""
    text = decimal(value, digits)
    return f"+{text}" if snapped(value) > 0 and text.strip("0.") else text


def money(value: Any, currency: str) -> str:
    """An amount; cents only below a thousand, where they can be read."""
    if not is_number(value):
        return MISSING
    digits = 2 if abs(value) < 1000 else 0
    return f"{decimal(value, digits)}{_SPACE}{currency}" if currency else decimal(value, digits)


def percent(value: Any, digits: int = 1) -> str:
    """A share or rate (0-1) in per cent; a positive one never reads as zero."""
    if not is_number(value):
        return MISSING
    smallest = 10.0**-digits
    if 0 < snapped(value * 100) < smallest / 2:
        return f"<{smallest:.{digits}f}%"
    return f"{decimal(value * 100, digits)}%"


def change(value: Any) -> str:
    """A relative change with its sign, e.g. `+12.5%`."""
    if not is_number(value):
        return MISSING
    text = percent(value)
    return text if snapped(value) < 0 else f"+{text}"


def compact(value: float) -> str:
    """A number for an axis, e.g. `12k` or `1.5M`."""
    value = snapped(value)
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return _signed(f"{value / size:.4g}{unit}")
    return _signed(f"{value:.4g}")


def duration(seconds: Any) -> str:
    """A length of time, e.g. `0.42 s`, `3 min 05 s`."""
    if not is_number(seconds):
        return MISSING
    if seconds < 60:
        return f"{decimal(seconds, 2 if seconds < 10 else 1)}{_SPACE}s"
    minutes, rest = divmod(round(snapped(seconds)), 60)
    return f"{minutes:,}{_SPACE}min{_SPACE}{rest:02d}{_SPACE}s"


def day(value: date | None) -> str:
    """A day in words that no locale changes, e.g. `7 Oct 2019`."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}" if value else MISSING


def month(value: date | None) -> str:
    """A month, e.g. `Oct 2019`."""
    return f"{_MONTHS[value.month - 1]} {value.year}" if value else MISSING


def phrase(name: str | None) -> str:
    """A column, step or code name as people write it: `add_to_cart` -> `Add to cart`."""
    if not name:
        return MISSING
    words = name.replace("_", " ").split()
    words = [_ACRONYMS.get(word.lower(), word) for word in words]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
