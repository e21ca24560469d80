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
# Each way of sharing often enough to be counted.
SHARING = DemoShopConfig(
    n_customers=600,
    n_items=60,
    n_days=63,
    second_account_rate=0.06,
    couple_rate=0.05,
    shared_phone_rate=0.06,
    shared_device_rate=0.06,
    kiosk_rate=0.25,
    company_address_rate=0.03,
    call_centre_rate=0.1,
)


@pytest.fixture(scope="session")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoShopSummary]:
    directory = tmp_path_factory.mktemp("demo") / "shop"
    return directory, generate_demo_shop(SMALL, directory)
