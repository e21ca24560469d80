"""The KPIs as `marts.metrics` defines them: what they are called and how they are written and added up over days."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from jobs.report.data import ReportData
from jobs.report.numbers import count, decimal, duration, money, percent, phrase


@dataclass(frozen=True)
class Metric:
    """A row of `marts.metrics`; a metric that it does not hold is a number with a readable name."""

    name: str
    label: str
    description: str = ""
    unit: str = "number"
    aggregation: str = "distinct"
    numerator: str | None = None
    denominator: str | None = None
    decimals: int = 2
    good_direction: str = "up"

    def total(self, days: pl.DataFrame) -> float | None:
        """The value of all the days together; None where days cannot be added up, or a ratio's base is 0."""
        if self.aggregation == "sum":
            return _sum(days, self.name)
        if self.aggregation != "ratio" or self.numerator is None or self.denominator is None:
            return None
        base = _sum(days, self.denominator)
        return _sum(days, self.numerator) / base if base else None

    def per_group(self) -> pl.Expr:
        """The same as an aggregation of polars, for weeks."""
        if self.aggregation == "sum":
            return pl.col(self.name).sum()
        if self.aggregation != "ratio" or self.numerator is None or self.denominator is None:
            return pl.lit(None, pl.Float64).alias(self.name)
        base = pl.col(self.denominator).sum()
        value = pl.when(base > 0).then(pl.col(self.numerator).sum() / base)
        return value.alias(self.name)

    def format_in(self, currency: str) -> Callable[[Any], str]:
        """How its values are written."""
        writers: dict[str, Callable[[Any], str]] = {
            "count": count,
            "money": partial(money, currency=currency),
            "share": partial(percent, digits=self.decimals),
            "seconds": duration,
        }
        return writers.get(self.unit, partial(decimal, digits=self.decimals))


def _sum(days: pl.DataFrame, column: str) -> float:
    return math.fsum(days[column].drop_nulls().to_list())


def find_metric(data: ReportData, name: str) -> Metric:
    """The definition of a KPI."""
    rows = data.metrics.filter(pl.col("metric") == name).to_dicts()
    if not rows:
        return Metric(name=name, label=phrase(name))
    row = rows[0]
    return Metric(name=row.pop("metric"), **row)
