"""Real purchases that a tracker told twice, and real cancellations: set aside and netted by dbt."""

import pytest

from jobs.lake import connect
from jobs.run_config import load_run_config
from jobs.settings import PROJECT_ROOT, Settings
from jobs.sources.extraction import extract
from tests.integration.dbt.conftest import run_dbt
from tests.robustness.loader import STARTED_AT

pytestmark = pytest.mark.e2e


@pytest.fixture
def build(real_data, tmp_path, monkeypatch):
    """Load an example and build models of it; gives a function that asks the lake."""
    monkeypatch.setenv("PERSONALAKE_REAL_DATA", str(real_data))
    opened = []

    def build(example, models, **variables):
        settings = Settings(_env_file=None, data_dir=tmp_path)
        path = PROJECT_ROOT / f"config/examples/{example}.yml"
        extract(settings, load_run_config(path), path, started_at=STARTED_AT)
        no_tests = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
        run_dbt(tmp_path, variables, "build", "--select", models, *no_tests)
        opened.append(connect(settings))
        return lambda text: opened[0].execute(text).fetchall()

    yield build
    for con in opened:
        con.close()


def test_ga4_double_firings_are_set_aside(build):
    query = build("ga4_merch", "+int_set_aside_events", currency="USD")

    assert query(
        """
        SELECT rule, count(DISTINCT (anonymous_id, occurred_at))
        FROM intermediate.int_set_aside_events JOIN raw.events USING (event_id) GROUP BY 1
        """
    ) == [("double_firing", 273)]


def test_online_retail_cancellations_are_refunds(build):
    query = build("online_retail", "+fct_orders", currency="GBP")

    [(gross, refunded, net, orders)] = query(
        "SELECT sum(gross_value), sum(refunded_value), sum(net_value), count(*) FROM core.orders"
    )
    [(returned,)] = query(
        "SELECT sum(price * quantity) FROM raw.orders WHERE line_type = 'return' AND user_id IS NOT NULL"
    )
    assert gross == pytest.approx(8_911_407.90, abs=0.005)
    assert orders == 18_536  # 18,532 of them have a price above 0
    # What was bought before the log begins, or more pieces than were bought, cannot be netted.
    assert 0.7 * float(returned) < refunded < float(returned)
    assert net == pytest.approx(gross - refunded, abs=0.005)
