"""Predictions: how likely each customer is to order within the next days."""

from jobs.predictions.config import PropensityConfig, find_cutoff_dates
from jobs.predictions.propensity import score, train

__all__ = ["PropensityConfig", "find_cutoff_dates", "score", "train"]
