"""Journeys: frequent sequences of steps within a session, and how far each customer has come."""

from jobs.journeys.config import JourneyConfig
from jobs.journeys.customer_stages import find_stages
from jobs.journeys.patterns import mine

__all__ = ["JourneyConfig", "find_stages", "mine"]
