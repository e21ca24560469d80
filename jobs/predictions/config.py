"""What the propensity model predicts, and which days of history it needs."""

from datetime import UTC, date, datetime, timedelta

from pydantic import BaseModel, Field


class PropensityConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings of the propensity model."""

    horizon_days: int = Field(default=30, ge=1)  # a month: one purchase cycle of most shops
    n_training_cutoffs: int = Field(default=3, ge=1)  # more cut-offs than one steady the estimate
    # Fewer examples of either kind leave the measured quality, and the model, to chance.
    min_rows: int = Field(default=200, ge=10)
    min_buyers: int = Field(default=30, ge=2)
    max_training_rows: int = Field(default=100_000, ge=100)  # the curve is flat beyond it
    # Strong ridge penalty (inverse): hinges of one feature are correlated, and months differ.
    regularisation: float = Field(default=0.03, gt=0)
    n_hinges: int = Field(default=5, ge=1)  # bends a feature's effect may have
    seed: int = 42

    @property
    def score_name(self) -> str:
        """Name of the score in `ml.scores`."""
        return f"purchase_{self.horizon_days}d"


def find_labelled_cutoffs(as_of: datetime, config: PropensityConfig) -> list[date]:
    """The cut-offs whose horizon of orders is complete, newest first: the newest serves as test, the older ones as training.

    They are a horizon apart, so that the orders which follow one are never those which follow another, and count back
    from the last complete day.
    """
    step = timedelta(days=config.horizon_days)
    last = _find_last_complete_day(as_of)
    return [last - step * number for number in range(1, config.n_training_cutoffs + 1)]


def find_cutoff_dates(as_of: datetime, config: PropensityConfig) -> list[date]:
    """The `as_of_date`s that `features.customer_features` must hold, newest first.

    They are the day to score (the last that `as_of` has seen any of), the last complete day (the same when `as_of` is a
    midnight) and the labelled cut-offs.
    """
    scored = (as_of.astimezone(UTC) - timedelta(microseconds=1)).date()
    dates = {scored, _find_last_complete_day(as_of), *find_labelled_cutoffs(as_of, config)}
    return sorted(dates, reverse=True)


def _find_last_complete_day(as_of: datetime) -> date:
    # Orders of a day that is still going on are missing: a horizon must not end in it.
    return as_of.astimezone(UTC).date() - timedelta(days=1)
