from pathlib import Path

import pytest

from jobs.demo_shop import DemoShopConfig, DemoShopSummary, generate_demo_shop

# Small enough for a second, large enough that each kind of noise occurs.
SMALL = DemoShopConfig(
    n_customers=150,
    n_items=120,
    n_days=42,
    duplicate_rate=0.03,
    broken_rate=0.02,
    bot_rate=0.03,
    late_rate=0.03,
)


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoShopSummary]:
    directory = tmp_path_factory.mktemp("demo") / "shop"
    return directory, generate_demo_shop(SMALL, directory)
