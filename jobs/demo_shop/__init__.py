"""A seeded shop with realistic logs, for `make demo`, for tests and for benchmarks."""

from jobs.demo_shop.config import DemoShopConfig, DemoShopSummary
from jobs.demo_shop.generation import generate_demo_shop

__all__ = ["DemoShopConfig", "DemoShopSummary", "generate_demo_shop"]
