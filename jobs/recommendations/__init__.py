"""Recommendations: items for every customer, with a reason, and items that go together."""

from jobs.recommendations.config import RecommendationConfig
from jobs.recommendations.recommending import evaluate, recommend

__all__ = ["RecommendationConfig", "evaluate", "recommend"]
