"""Sessions of a real shop, beside those that its own tracker made."""

import pytest

pytestmark = pytest.mark.e2e

# A session of the tracker and one of ours, and how many events they share.
_OVERLAPS = """
    SELECT events.session_id AS theirs, own.session_id AS ours, count(*) AS n_events
    FROM intermediate.int_events AS own JOIN raw.events AS events USING (event_id)
    WHERE own.session_id IS NOT NULL AND events.session_id IS NOT NULL
    GROUP BY 1, 2
"""


def test_rees46_sessions_are_those_of_the_tracker_where_the_rule_is_the_same(build):
    query = build("rees46", "+int_events", currency="USD")

    [(theirs, within_one_of_ours, equal, share_of_events)] = query(
        f"""
        SELECT
            count(DISTINCT theirs),
            count(DISTINCT theirs) FILTER (WHERE parts_of_theirs = 1),
            count(*) FILTER (WHERE parts_of_theirs = 1 AND parts_of_ours = 1),
            sum(n_events) FILTER (WHERE parts_of_theirs = 1 AND parts_of_ours = 1) / sum(n_events)
        FROM (
            SELECT
                *, count(*) OVER (PARTITION BY theirs) AS parts_of_theirs,
                count(*) OVER (PARTITION BY ours) AS parts_of_ours
            FROM ({_OVERLAPS})
        )
        """
    )
    [(pauses, ended)] = query(
        """
        SELECT count(*), count(*) FILTER (WHERE session_id != previous_id)
        FROM (
            SELECT
                events.session_id, lag(events.session_id) OVER visit AS previous_id,
                own.occurred_at - lag(own.occurred_at) OVER visit AS pause
            FROM intermediate.int_events AS own JOIN raw.events AS events USING (event_id)
            WHERE events.session_id IS NOT NULL
            WINDOW visit AS (PARTITION BY own.customer_id ORDER BY own.occurred_at, own.event_id)
        )
        WHERE pause > INTERVAL 30 MINUTES
        """
    )

    # Their tracker ends a session at our pause, and at what no log tells: a closed browser, a second device.
    assert (theirs, within_one_of_ours, equal) == (5066, 5064, 4097)
    assert share_of_events == pytest.approx(0.825, abs=0.0005)
    assert (pauses, ended) == (14, 13)
