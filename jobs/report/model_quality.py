"""How good each model is: the JSON of `ml.model_runs` as a table against its baselines, and charts where it holds any.

Every scalar metric becomes a row, whatever its name, so that a new model needs no change here. Three shapes are known by
name and drawn: `calibration` (a list of deciles with n_customers, predicted and observed rate), `lift_by_decile` and
`silhouette_by_n_clusters` (a list or a mapping).
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from jobs.report.charts import Chart, calibration_chart, column_chart
from jobs.report.numbers import count, decimal, is_number, percent, phrase

_LOWER_IS_BETTER = ("loss", "brier", "error", "rmse", "mae", "mse", "ece", "davies", "bic", "aic")
# In the words of someone who reads the page and does not train models.
_MEANINGS = {
    "roc_auc": "how often a buyer ranks above a non-buyer (0.5 is chance)",
    "auc": "how often a buyer ranks above a non-buyer (0.5 is chance)",
    "average_precision": "share of true buyers down the ranked list",
    "pr_auc": "share of true buyers down the ranked list",
    "log_loss": "penalty for confident mistakes; lower is better",
    "brier": "squared error of the probabilities; lower is better",
    "ece": "gap between predicted and observed rates; lower is better",
    "hit_rate": "customers with at least one right item in the list",
    "recall": "share of a customer's next items that the list held",
    "precision": "share of the list that was right",
    "pair_precision": "share of joined pairs of identifiers that are one person's",
    "pair_recall": "share of a person's pairs of identifiers that were joined, of those that the records tell of",
    "pair_recall_of_all": "share of all of a person's pairs, also of devices that nobody signed in on",
    "ndcg": "right items, weighted by how high they stand",
    "map": "right items, weighted by how high they stand",
    "mrr": "how high the first right item stands",
    "coverage": "share of the catalogue that is recommended at all",
    "catalogue_coverage": "share of the catalogue that is recommended at all",
    "silhouette": "how clearly groups are set apart (-1 to 1)",
    "stability": "how well the grouping repeats on resampled customers",
    "base_rate": "share of customers who buy",
    "lift_top_decile": "buyers among the top tenth, relative to average",
}
_STATUS_WORDS = {
    "ok": "measured",
    "not_enough_data": "not enough data",
}


@dataclass(frozen=True)
class MetricRow:
    """One metric of a model beside the same metric of each baseline."""

    name: str
    meaning: str
    value: str
    baselines: tuple[str, ...]
    gain: str
    verdict: str  # better, worse, equal or nothing to compare with


@dataclass(frozen=True)
class ModelView:
    """What the page shows of one model."""

    name: str
    algorithm: str
    version: str
    status: str
    is_trained: bool
    message: str
    sample: str
    baseline_names: tuple[str, ...]
    rows: tuple[MetricRow, ...]
    charts: tuple[Chart, ...]
    parameters: tuple[tuple[str, str], ...]
    headline: str


def parse_json(text: Any) -> dict[str, Any]:
    """A JSON object as a dict; anything else (null, broken text, a list) as an empty one."""
    if not isinstance(text, str):
        return {}
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def flatten_scalars(content: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Finite numbers of a nested mapping by dotted name; lists, texts and charts are left out."""
    found: dict[str, float] = {}
    for key, value in content.items():
        if key in _CHART_KEYS:
            continue
        name = f"{prefix}{key}"
        if is_number(value):
            found[name] = float(value)
        elif isinstance(value, dict):
            found.update(flatten_scalars(value, f"{name}."))
    return found


def _baselines(content: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Metrics by baseline; a flat mapping is one unnamed baseline."""
    named = {
        name: flatten_scalars(value) for name, value in content.items() if isinstance(value, dict)
    }
    flat = {name: float(value) for name, value in content.items() if is_number(value)}
    if flat:
        named = {"baseline": flat, **named}
    return {name: values for name, values in named.items() if values}


def _is_lower_better(metric: str) -> bool:
    return any(word in metric.lower() for word in _LOWER_IS_BETTER)


def _meaning(metric: str) -> str:
    stem = metric.rsplit(".", 1)[-1].lower()
    for candidate in (
        stem,
        stem.split("_at_")[0],
        stem.split("@")[0],
        metric.split(".")[0].lower(),
    ):
        if candidate in _MEANINGS:
            return _MEANINGS[candidate]
    return ""


def _metric_value(value: float) -> str:
    if abs(value) >= 100 or (abs(value) > 1 and value == math.floor(value)):
        return count(value)
    return decimal(value, 3)


def metric_name(metric: str) -> str:
    """A metric's name for people: `recall_at_10` -> `Recall @ 10`."""
    *groups, name = metric.split(".")
    text = f"number of {name[2:]}" if name.startswith("n_") else name.replace("_at_", " @ ")
    return phrase(" · ".join([*groups, text]))


def _metric_row(metric: str, value: float, baselines: dict[str, dict[str, float]]) -> MetricRow:
    known = [values[metric] for values in baselines.values() if metric in values]
    gain, verdict = "", ""
    if known:
        lower = _is_lower_better(metric)
        best = min(known) if lower else max(known)
        difference = round(value - best, 3)
        gain = ("+" if difference > 0 else "") + decimal(difference, 3)
        verdict = "equal" if difference == 0 else "better" if (difference < 0) == lower else "worse"
    return MetricRow(
        name=metric_name(metric),
        meaning=_meaning(metric),
        value=_metric_value(value),
        baselines=tuple(
            _metric_value(values[metric]) if metric in values else "–"
            for values in baselines.values()
        ),
        gain=gain,
        verdict=verdict,
    )


def _pairs(
    content: Any, label_keys: tuple[str, ...], value_keys: tuple[str, ...]
) -> list[tuple[str, float]]:
    """Labels and values of a mapping, a list of numbers or a list of records."""
    if isinstance(content, dict):
        found = [(str(key), value) for key, value in content.items()]
    elif isinstance(content, list):
        found = []
        for position, entry in enumerate(content, start=1):
            if isinstance(entry, dict):
                label = next((entry[key] for key in label_keys if key in entry), position)
                value = next((entry[key] for key in value_keys if key in entry), None)
                found.append((str(label), value))
            else:
                found.append((str(position), entry))
    else:
        return []
    known = [(label, float(value)) for label, value in found if is_number(value)]
    return sorted(
        known, key=lambda pair: (float(pair[0]) if _is_numeral(pair[0]) else math.inf, pair[0])
    )


def _is_numeral(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _calibration(content: Any) -> list[Chart]:
    if not isinstance(content, list):
        return []
    points = []
    for entry in content:
        if not isinstance(entry, dict):
            continue
        predicted, observed = entry.get("predicted"), entry.get("observed")
        if predicted is None or observed is None:
            continue
        group = f"Decile {entry['decile']}: " if "decile" in entry else ""
        size = f" ({count(entry['n_customers'])} customers)" if "n_customers" in entry else ""
        text = f"{group}predicted {percent(predicted)}, observed {percent(observed)}{size}"
        points.append((float(predicted), float(observed), text))
    if len(points) < 2:
        return []
    note = "On the dashed line, predictions come true exactly as often as they say."
    return [calibration_chart("Calibration", points, note=note)]


def _lift(metrics: dict[str, Any]) -> list[Chart]:
    pairs = _pairs(metrics.get("lift_by_decile"), ("decile",), ("lift", "value"))
    if not pairs and isinstance(metrics.get("calibration"), list):
        pairs = _lift_of_calibration(metrics["calibration"])
    if len(pairs) < 2:
        return []
    return [
        column_chart(
            "Lift by decile",
            [label for label, _ in pairs],
            [value for _, value in pairs],
            format_value=lambda value: f"{decimal(value)} times the average",
            reference=1.0,
            x_title="decile, 1 = most likely to buy",
            note="Buyers in each tenth of customers, relative to the average (dashed).",
        )
    ]


def _lift_of_calibration(groups: list[Any]) -> list[tuple[str, float]]:
    """Observed rate of each decile over that of all."""
    known = [
        (str(group["decile"]), float(group["observed"]), float(group["n_customers"]))
        for group in groups
        if isinstance(group, dict)
        and all(is_number(group.get(key)) for key in ("decile", "observed", "n_customers"))
    ]
    n_all = math.fsum(n for _, _, n in known)
    buyers = math.fsum(rate * n for _, rate, n in known)
    if not n_all or not buyers:
        return []
    pairs = [(label, rate / (buyers / n_all)) for label, rate, _ in known]
    return sorted(pairs, key=lambda pair: (float(pair[0]), pair[1]))


def _silhouette(metrics: dict[str, Any], parameters: dict[str, Any]) -> list[Chart]:
    content = metrics.get("silhouette_by_n_clusters", metrics.get("silhouette_by_k"))
    pairs = _pairs(content, ("n_clusters", "k"), ("silhouette", "value"))
    if len(pairs) < 2:
        return []
    n_chosen = metrics.get("n_clusters", parameters.get("n_clusters"))
    chosen = str(n_chosen) if n_chosen is not None else ""
    if not chosen:
        chosen = max(pairs, key=lambda pair: (pair[1], -float(pair[0])))[0]
    return [
        column_chart(
            "Silhouette by number of clusters",
            [label for label, _ in pairs],
            [value for _, value in pairs],
            format_value=lambda value: decimal(value, 3),
            headline=f"{chosen} chosen",
            highlighted=chosen,
            x_title="number of clusters",
            note="Higher means groups that are more clearly set apart.",
        )
    ]


_CHART_KEYS = frozenset(
    {"calibration", "lift_by_decile", "silhouette_by_n_clusters", "silhouette_by_k"}
)


def _parameter_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return count(value) if value == int(value) else f"{value:g}"
    if isinstance(value, list):
        shown = ", ".join(str(entry) for entry in value[:12])
        return f"{shown}, … ({len(value)} in all)" if len(value) > 12 else shown
    return str(value)[:160]


def _flatten_parameters(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key in sorted(content):
        value = content[key]
        if isinstance(value, dict):
            found += _flatten_parameters(value, f"{prefix}{key} · ")
        elif value is not None:
            found.append((phrase(f"{prefix}{key}"), _parameter_text(value)))
    return found


def _headline(name: str, metrics: dict[str, float], baselines: dict[str, dict[str, float]]) -> str:
    """One sentence against the strongest baseline, on the first metric that both have."""
    preferred = ("roc_auc", "auc", "ndcg", "recall", "hit_rate")
    shared = [
        metric for metric in metrics if any(metric in values for values in baselines.values())
    ]
    if not shared:
        return ""
    ranked = sorted(
        shared,
        key=lambda metric: next(
            (place for place, word in enumerate(preferred) if word in metric.lower()),
            len(preferred),
        ),
    )
    metric = ranked[0]
    lower = _is_lower_better(metric)
    candidates = sorted(
        (values[metric], baseline) for baseline, values in baselines.items() if metric in values
    )
    best, baseline = candidates[0] if lower else max(candidates, key=lambda pair: pair[0])
    value = metrics[metric]
    difference = round(value - best, 3)
    verdict = (
        "ties with" if difference == 0 else "beats" if (difference < 0) == lower else "is behind"
    )
    other = (
        "its baseline" if baseline == "baseline" else f"the baseline “{phrase(baseline).lower()}”"
    )
    return (
        f"The {phrase(name).lower()} model {verdict} {other}: {metric_name(metric)} "
        f"{_metric_value(value)} against {_metric_value(best)}."
    )


def model_view(row: dict[str, Any]) -> ModelView:
    """What the page shows of one row of `ml.model_runs`."""
    metrics, parameters = parse_json(row["metrics"]), parse_json(row["parameters"])
    scalars = flatten_scalars(metrics)
    baselines = _baselines(parse_json(row["baseline_metrics"]))
    status = row["status"] or ""
    sizes = [
        f"{count(row[key])} {word}"
        for key, word in (("n_train", "to learn from"), ("n_test", "to test on"))
        if is_number(row[key]) and row[key] > 0
    ]
    return ModelView(
        name=phrase(row["model_name"]),
        algorithm=phrase(row["algorithm"]) if row["algorithm"] else "",
        version=row["model_version"] or "",
        status=_STATUS_WORDS.get(status, status.replace("_", " ")),
        is_trained=status == "ok",
        message=row["message"] or "",
        sample=", ".join(sizes),
        baseline_names=tuple(phrase(name) for name in baselines),
        rows=tuple(_metric_row(metric, value, baselines) for metric, value in scalars.items()),
        charts=(
            *_lift(metrics),
            *_calibration(metrics.get("calibration")),
            *_silhouette(metrics, parameters),
        ),
        parameters=tuple(_flatten_parameters(parameters)),
        headline=_headline(row["model_name"], scalars, baselines),
    )
