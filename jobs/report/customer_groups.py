"""Segments, clusters and the RFM map."""

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from jobs.report.charts import heat_level
from jobs.report.data import ReportData
from jobs.report.figures import bar_width, largest, ratio
from jobs.report.model_quality import parse_json
from jobs.report.numbers import (
    MISSING,
    count,
    decimal,
    is_number,
    money,
    percent,
    phrase,
    signed_decimal,
)

N_SEGMENTS = 40  # of a kind; a longer table is read in SQL
RFM_PREFIX = "rfm_"  # segment_id of an RFM segment in marts: this and the feature's value
KINDS = {
    "rule": ("Rule segments", "Written by people in YAML; a customer can be in several."),
    "cluster": ("Clusters", "Found by the machine from behaviour; every customer is in one."),
    "rfm": ("RFM segments", "By recency, frequency and value of orders; every buyer is in one."),
}


@dataclass(frozen=True)
class SegmentRow:
    """A segment; `*_width` are bar lengths in per cent of the longest."""

    name: str
    description: str
    n_customers: str
    share: str
    net_value: str
    value_share: str
    average_order_value: str
    orders_per_customer: str
    probability: str
    moved: str
    customers_width: float
    value_width: float
    customers_share_width: float
    value_share_width: float


@dataclass(frozen=True)
class ClusterProfile:
    """Clusters x features: the features that set the clusters apart most, in standard deviations from the average customer."""

    features: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True)
class SegmentGroup:
    """Segments of one kind."""

    kind: str
    title: str
    explanation: str
    rows: tuple[SegmentRow, ...]
    n_hidden: int
    is_partition: bool
    profile: ClusterProfile | None = None


@dataclass(frozen=True)
class RfmCell:
    """A cell of the recency x frequency map."""

    n_customers: str
    mean_value: str
    segment: str
    level: int
    title: str


def segment_groups(data: ReportData) -> list[SegmentGroup]:
    """Segments by kind, the largest first; kinds without a segment are left out."""
    groups = []
    known_kinds = [*KINDS, *sorted(set(data.segment_kpis["kind"].to_list()) - set(KINDS))]
    for kind in known_kinds:
        rows = data.segment_kpis.filter(pl.col("kind") == kind).to_dicts()
        if not rows:
            continue
        title, explanation = KINDS.get(kind, (phrase(kind), ""))
        groups.append(
            SegmentGroup(
                kind=kind,
                title=title,
                explanation=explanation,
                rows=_segment_rows(rows[:N_SEGMENTS], data, kind),
                n_hidden=max(0, len(rows) - N_SEGMENTS),
                is_partition=kind in ("cluster", "rfm"),
                profile=cluster_profile(data.segment_descriptions) if kind == "cluster" else None,
            )
        )
    return groups


def _segment_rows(
    rows: list[dict[str, Any]], data: ReportData, kind: str
) -> tuple[SegmentRow, ...]:
    descriptions = _descriptions(data, kind)
    total = data.totals["net_value"][0] if data.totals.height else None
    shares = [ratio(row["net_value"], total) for row in rows]
    widest = max([largest(rows, "share"), *(share for share in shares if share is not None)])
    most_customers, most_value = largest(rows, "n_customers"), largest(rows, "net_value")
    return tuple(
        SegmentRow(
            name=row["segment_name"] or row["segment_id"],
            description=descriptions.get(row["segment_id"])
            or descriptions.get(row["segment_name"], ""),
            n_customers=count(row["n_customers"]),
            share=percent(row["share"]),
            net_value=money(row["net_value"], data.currency),
            value_share=percent(share),
            average_order_value=money(row["average_order_value"], data.currency),
            orders_per_customer=decimal(row["orders_per_customer"]),
            probability=percent(row["purchase_probability_mean"]),
            moved=_moved(row["n_entered"], row["n_left"]),
            customers_width=bar_width(row["n_customers"], most_customers),
            value_width=bar_width(row["net_value"], most_value),
            customers_share_width=bar_width(row["share"], widest),
            value_share_width=bar_width(share, widest),
        )
        for row, share in zip(rows, shares, strict=True)
    )


def _moved(entered: int | None, left: int | None) -> str:
    """Who came and who went since the evaluation before."""
    return f"+{count(entered)} {count(-left if left else 0)}" if entered or left else MISSING


def _descriptions(data: ReportData, kind: str) -> dict[str, str]:
    """Descriptions by segment id and by name; RFM segments are told by the scores that they hold."""
    if kind == "rfm":
        cells = data.rfm_cells.filter(pl.col("rfm_segment").is_not_null())
        spans = cells.group_by("rfm_segment").agg(
            pl.col("recency_score").min().alias("r_low"),
            pl.col("recency_score").max().alias("r_high"),
            pl.col("frequency_score").min().alias("f_low"),
            pl.col("frequency_score").max().alias("f_high"),
        )
        return {
            f"{RFM_PREFIX}{row['rfm_segment']}": f"Recency {_span(row['r_low'], row['r_high'])}, "
            f"frequency {_span(row['f_low'], row['f_high'])} of 5"
            for row in spans.to_dicts()
        }
    found: dict[str, str] = {}
    for row in data.segment_descriptions.filter(pl.col("kind") == kind).to_dicts():
        for key in (row["segment_name"], row["segment_id"]):
            if key and row["description"]:
                found[key] = row["description"]
    return found


def _span(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low} to {high}"


def cluster_profile(descriptions: pl.DataFrame, n_features: int = 8) -> ClusterProfile | None:
    """The centroids' features that differ most between clusters; None where there are no two numeric centroids."""
    centroids = [
        (row["segment_name"] or row["segment_id"], parse_json(row["centroid"]))
        for row in descriptions.filter(pl.col("kind") == "cluster").to_dicts()
    ]
    numeric = [
        (name, {key: float(value) for key, value in centroid.items() if is_number(value)})
        for name, centroid in centroids
    ]
    shared = set.intersection(*(set(values) for _, values in numeric)) if numeric else set()
    if len(numeric) < 2 or not shared:
        return None

    def spread(feature: str) -> float:
        values = [row[feature] for _, row in numeric]
        return round(max(values) - min(values), 6)

    features = sorted(shared, key=lambda feature: (-spread(feature), feature))[:n_features]
    return ClusterProfile(
        features=tuple(phrase(feature) for feature in features),
        rows=tuple(
            (name, tuple(_deviation(values[feature]) for feature in features))
            for name, values in numeric
        ),
    )


def _deviation(value: float) -> tuple[str, str]:
    """A standard score and its shade: below or above the average, in three steps."""
    strength = next(
        (step for step, least in ((3, 1.2), (2, 0.6), (1, 0.2)) if abs(value) >= least), 0
    )
    shade = f"{'above' if value > 0 else 'below'}-{strength}" if strength else "h0"
    return signed_decimal(value, 1), shade


def _rfm_name(names: dict[str, str], rfm_segment: str | None) -> str:
    if not rfm_segment:
        return ""
    return names.get(f"{RFM_PREFIX}{rfm_segment}") or phrase(rfm_segment)


def rfm_map(data: ReportData) -> list[tuple[int, list[RfmCell | None]]]:
    """Rows by recency score (5 first), cells by frequency score (1 first); empty without a scored customer."""
    cells = data.rfm_cells
    if cells.is_empty():
        return []
    by_place = {
        (row["recency_score"], row["frequency_score"]): row
        for row in cells.sort(
            "n_customers", "rfm_segment", descending=[True, False], nulls_last=True
        )
        .group_by("recency_score", "frequency_score", maintain_order=True)
        .agg(
            pl.col("n_customers").sum(),
            pl.col("total_value").sum(),
            pl.col("rfm_segment").first(),
        )
        .to_dicts()
    }
    most = max(row["n_customers"] for row in by_place.values())
    names = dict(data.segment_kpis.select("segment_id", "segment_name").iter_rows())

    def cell(recency: int, frequency: int) -> RfmCell | None:
        row = by_place.get((recency, frequency))
        if row is None:
            return None
        mean_value = money(ratio(row["total_value"], row["n_customers"]), data.currency)
        name = _rfm_name(names, row["rfm_segment"])
        return RfmCell(
            n_customers=count(row["n_customers"]),
            mean_value=mean_value,
            segment=name,
            # Counts differ by orders of magnitude; the root keeps the small ones apart.
            level=heat_level(math.sqrt(row["n_customers"]), math.sqrt(most)),
            title=f"Recency {recency}, frequency {frequency}{': ' + name if name else ''}: "
            f"{count(row['n_customers'])} customers, mean value {mean_value}",
        )

    return [
        (recency, [cell(recency, frequency) for frequency in range(1, 6)])
        for recency in range(5, 0, -1)
    ]
