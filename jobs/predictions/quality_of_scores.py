"""How good probabilities are on rows whose outcome is known."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def rank_into_deciles(values: FloatArray) -> npt.NDArray[np.int32]:
    """Decile of each value, 1 = highest; equal values are parted by position, so each decile is a tenth."""
    order = np.argsort(-values, kind="stable")
    deciles = np.empty(len(values), dtype=np.int32)
    deciles[order] = np.arange(len(values)) * 10 // max(len(values), 1) + 1
    return deciles


def measure_ranking(outcomes: BoolArray, values: FloatArray) -> dict[str, float]:
    """AUC, average precision, and how much more often than average the top tenth buys."""
    is_top = rank_into_deciles(values) == 1
    return {
        "auc": float(roc_auc_score(outcomes, values)),
        "average_precision": float(average_precision_score(outcomes, values)),
        "lift_top_decile": float(outcomes[is_top].mean() / outcomes.mean()),
    }


def measure_probabilities(outcomes: BoolArray, probabilities: FloatArray) -> dict[str, Any]:
    """The ranking's metrics, Brier score, log loss, and predicted against observed rates a decile."""
    deciles = rank_into_deciles(probabilities)
    calibration = [
        {
            "decile": decile,
            "n_customers": int((deciles == decile).sum()),
            "predicted": float(probabilities[deciles == decile].mean()),
            "observed": float(outcomes[deciles == decile].mean()),
        }
        for decile in range(1, 11)
        if (deciles == decile).any()
    ]
    return {
        **measure_ranking(outcomes, probabilities),
        "brier": float(brier_score_loss(outcomes, probabilities)),
        "log_loss": float(log_loss(outcomes, probabilities, labels=[False, True])),
        "base_rate": float(outcomes.mean()),
        "calibration": calibration,
    }


def measure_constant(outcomes: BoolArray, probability: float) -> dict[str, float]:
    """The metrics of giving everybody the same probability: it cannot rank."""
    same = np.full(len(outcomes), probability)
    return {
        "auc": 0.5,
        "average_precision": float(outcomes.mean()),
        "lift_top_decile": 1.0,
        "brier": float(brier_score_loss(outcomes, same)),
        "log_loss": float(log_loss(outcomes, same, labels=[False, True])),
    }
