"""Real purchases that a tracker told twice, and real cancellations: set aside and netted by dbt."""

import pytest

pytestmark = pytest.mark.e2e


def test_ga4_double_firings_are_set_aside(build):
    query = build("ga4_merch", "+int_set_aside_events", currency="USD")

    assert query(
        """
        SELECT rule, count(DISTINCT (anonymous_id, occurred_at))
        FROM intermediate.int_set_aside_events JOIN raw.events USING (event_id) GROUP BY 1
        """
    ) == [("double_firing", 273)]


def test_online_retail_cancellations_are_refunds(build):
    query = build("online_retail", "+fct_orders +fct_unmatched_refunds", currency="GBP")

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
    [(told, matched, unmatched)] = query(
        "SELECT sum(told_value), sum(matched_value), sum(unmatched_value) FROM core.unmatched_refunds"
    )
    assert unmatched == pytest.approx(told - matched, abs=0.005)
    assert refunded + unmatched == pytest.approx(float(returned), abs=100)
