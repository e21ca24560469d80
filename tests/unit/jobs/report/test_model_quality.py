import json
from typing import Any

import pytest

from jobs.report.model_quality import flatten_scalars, metric_name, model_view, parse_json


def make_run(**changes: Any) -> dict[str, Any]:
    run = {
        "model_name": "propensity",
        "algorithm": "logistic_regression",
        "model_version": "v1",
        "status": "ok",
        "n_train": 2000,
        "n_test": 1000,
        "metrics": json.dumps({"auc": 0.8, "log_loss": 0.2}),
        "baseline_metrics": json.dumps(
            {"recency": {"auc": 0.75, "log_loss": 0.25}, "constant": {"auc": 0.5}}
        ),
        "parameters": json.dumps({"horizon_days": 30, "nested": {"is_on": True}}),
        "message": "",
    }
    return run | changes


def test_model_view_compares_each_metric_with_the_best_baseline():
    view = model_view(make_run())
    assert view.baseline_names == ("Recency", "Constant")
    assert [(row.name, row.value, row.baselines, row.gain, row.verdict) for row in view.rows] == [
        ("AUC", "0.800", ("0.750", "0.500"), "+0.050", "better"),
        ("Log loss", "0.200", ("0.250", "–"), "−0.050", "better"),
    ]
    assert view.headline == (
        "The propensity model beats the baseline “recency”: AUC 0.800 against 0.750."
    )
    assert view.parameters == (("Horizon days", "30"), ("Nested · is on", "yes"))


@pytest.mark.parametrize(
    ("metric", "value", "baseline", "verdict"),
    [
        ("auc", 0.7, 0.8, "worse"),
        ("auc", 0.8, 0.8, "equal"),
        ("brier", 0.3, 0.2, "worse"),
        ("brier", 0.1, 0.2, "better"),
    ],
)
def test_model_view_knows_which_way_is_better(metric, value, baseline, verdict):
    run = make_run(
        metrics=json.dumps({metric: value}), baseline_metrics=json.dumps({metric: baseline})
    )
    view = model_view(run)
    assert (view.baseline_names, view.rows[0].verdict) == (("Baseline",), verdict)


def test_model_view_without_enough_data_keeps_its_message():
    run = make_run(
        status="not_enough_data", metrics="{}", baseline_metrics="{}", message="3 hours of data"
    )
    view = model_view(run)
    assert (view.status, view.is_trained, view.message, view.rows, view.charts) == (
        "not enough data",
        False,
        "3 hours of data",
        (),
        (),
    )


def test_model_view_draws_lift_and_calibration_of_deciles():
    deciles = [
        {"decile": 1, "n_customers": 10, "predicted": 0.5, "observed": 0.6},
        {"decile": 2, "n_customers": 30, "predicted": 0.1, "observed": 0.2},
    ]
    lift, calibration = model_view(make_run(metrics=json.dumps({"calibration": deciles}))).charts
    # 12 of 40 buy: the first decile buys twice as often, the second two thirds as often.
    assert [mark.title for mark in lift.marks] == [
        "decile, 1 = most likely to buy 1: 2.00 times the average",
        "decile, 1 = most likely to buy 2: 0.67 times the average",
    ]
    assert [mark.title for mark in calibration.marks] == [
        "Decile 2: predicted 10.0%, observed 20.0% (30 customers)",
        "Decile 1: predicted 50.0%, observed 60.0% (10 customers)",
    ]


def test_model_view_marks_the_chosen_number_of_clusters():
    metrics = {"n_clusters": 3, "silhouette_by_n_clusters": {"10": 0.1, "2": 0.3, "3": 0.29}}
    (chart,) = model_view(make_run(metrics=json.dumps(metrics))).charts
    assert [
        (tick.label, mark.is_highlighted)
        for tick, mark in zip(chart.x_ticks, chart.marks, strict=True)
    ] == [
        ("2", False),
        ("3", True),
        ("10", False),
    ]


@pytest.mark.parametrize("text", [None, "", "{broken", "[1, 2]", "3"])
def test_parse_json_of_anything_but_an_object_is_empty(text):
    assert parse_json(text) == {}


def test_flatten_scalars_leaves_out_what_is_no_number():
    content = {"ndcg": {"5": 0.1, "10": 0.2}, "name": "x", "rows": [1], "is_on": True, "gap": None}
    assert flatten_scalars(content) == {"ndcg.5": 0.1, "ndcg.10": 0.2}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("recall_at_10", "Recall @ 10"), ("n_clusters", "Number of clusters"), ("ndcg.5", "NDCG · 5")],
)
def test_metric_name_reads_like_words(metric, expected):
    assert metric_name(metric) == expected
