from datetime import date

import pytest
from pydantic import ValidationError

from jobs.demo_shop import DemoShopConfig


@pytest.mark.parametrize(
    "fields",
    [
        {"n_customer": 100},
        {"n_customers": 0},
        {"n_items": 5},
        {"n_days": 1},
        {"duplicate_rate": 1.5},
        {"last_day": "someday"},
    ],
)
def test_config_unknown_or_invalid_field_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DemoShopConfig.model_validate(fields)


def test_first_day_default_is_210_days_before_the_end() -> None:
    assert DemoShopConfig().first_day == date(2025, 12, 3)


def test_digest_changed_seed_changes() -> None:
    assert DemoShopConfig(seed=1).digest() != DemoShopConfig(seed=2).digest()
    assert DemoShopConfig(seed=1).digest() == DemoShopConfig(seed=1).digest()
