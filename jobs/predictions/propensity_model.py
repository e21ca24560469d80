"""A logistic regression whose features may bend: linear splines with fixed knots.

It ranks as well as gradient boosting on this kind of data, its probabilities are calibrated by construction, and it is a
list of numbers, so it is stored as JSON and read back without running code.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

FloatArray = npt.NDArray[np.float64]

_CHUNK_ROWS = 20_000  # about 300 columns of doubles: 50 MB at a time
_DIGITS = 9


class PropensityModel(BaseModel, frozen=True, extra="forbid"):
    """All numbers of a fitted model.

    Attributes:
        features: names; a feature without spread in training is left out.
        fills: what stands for a missing value, after the logarithm.
        has_missing: whether a column tells that the value was missing.
        means: of each feature after the logarithm.
        deviations: of each feature after the logarithm.
        knots: where each feature's effect may bend, after the logarithm.
        coefficients: of the features, the missing flags, then the hinges.
        intercept: log-odds of an average customer.
    """

    features: tuple[str, ...]
    fills: tuple[float, ...]
    has_missing: tuple[bool, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    knots: tuple[tuple[float, ...], ...]
    coefficients: tuple[float, ...] = ()
    intercept: float = 0.0

    def encode(self, rows: pl.DataFrame) -> FloatArray:
        """The matrix that the coefficients apply to, of shape (n_rows, n_coefficients)."""
        values = _take_logs(rows, self.features)
        missing = np.isnan(values)
        values = np.where(missing, np.array(self.fills), values)
        standard = (values - np.array(self.means)) / np.array(self.deviations)
        flags = missing[:, np.array(self.has_missing, dtype=bool)].astype(np.float64)
        hinges = [
            np.maximum(0.0, values[:, [position]] - np.array(knots)) / self.deviations[position]
            for position, knots in enumerate(self.knots)
        ]
        return np.hstack([standard, flags, *hinges])

    def predict(self, rows: pl.DataFrame) -> FloatArray:
        """Probability of an order for each row, rounded to 9 digits."""
        coefficients = np.array(self.coefficients)
        with threadpool_limits(limits=1):
            chunks = [
                self.encode(chunk) @ coefficients + self.intercept
                for chunk in rows.iter_slices(_CHUNK_ROWS)
            ]
        log_odds = np.concatenate(chunks) if chunks else np.zeros(0)
        return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64).round(_DIGITS)


def fit_propensity(
    examples: pl.DataFrame, features: tuple[str, ...], n_hinges: int, regularisation: float
) -> PropensityModel:
    """Fit to examples with the boolean column `is_buyer`; both outcomes must occur."""
    encoding = _fit_encoding(examples, features, n_hinges)
    matrix = encoding.encode(examples)
    # One thread, and rows in a fixed order: the sums come out the same in every run.
    with threadpool_limits(limits=1):
        regression = LogisticRegression(C=regularisation, max_iter=2_000)
        regression.fit(matrix, examples["is_buyer"].to_numpy())
    return encoding.model_copy(
        update={
            "coefficients": tuple(regression.coef_[0].tolist()),
            "intercept": float(regression.intercept_[0]),
        }
    )


def _fit_encoding(
    examples: pl.DataFrame, features: tuple[str, ...], n_hinges: int
) -> PropensityModel:
    values = _take_logs(examples, features)
    shares = (np.arange(n_hinges) + 0.5) / n_hinges  # the middle of equal parts: 10 %, 30 %, ...
    kept: list[str] = []
    facts: list[tuple[float, bool, float, float, tuple[float, ...]]] = []
    for position, feature in enumerate(features):
        column = values[:, position]
        known = column[~np.isnan(column)]
        fill = float(np.median(known)) if len(known) else 0.0
        filled = np.where(np.isnan(column), fill, column)
        deviation = float(filled.std())
        if deviation < 1e-9:  # the same for everybody, up to rounding
            continue
        knots = tuple(np.unique(np.quantile(known, shares)).tolist())
        kept.append(feature)
        facts.append((fill, len(known) < len(column), float(filled.mean()), deviation, knots))
    return PropensityModel(
        features=tuple(kept),
        fills=tuple(fact[0] for fact in facts),
        has_missing=tuple(fact[1] for fact in facts),
        means=tuple(fact[2] for fact in facts),
        deviations=tuple(fact[3] for fact in facts),
        knots=tuple(fact[4] for fact in facts),
    )


def _take_logs(rows: pl.DataFrame, features: tuple[str, ...]) -> FloatArray:
    """Log of 1 + value, negative values (net refunds) as 0; NaN where the value is missing."""
    columns = rows.select(pl.col(name).cast(pl.Float64) for name in features)
    return np.asarray(np.log1p(np.clip(columns.to_numpy(), 0, None)), dtype=np.float64)
