from datetime import UTC, date, datetime

import polars as pl
import pytest

from jobs.lake import connect
from jobs.stages import StageRequest, digest_of, make_run_id, run_stage

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
REQUEST = StageRequest(
    as_of=AS_OF, upstream_run_id="raw1", started_at=datetime(2026, 7, 2, tzinfo=UTC)
)


def _frames(stages):
    return {
        "ml.customer_stages": pl.DataFrame(
            {
                "customer_id": [f"c{index}" for index in range(len(stages))],
                "stage": stages,
                "reached_at": [AS_OF] * len(stages),
                "model_version": ["v1"] * len(stages),
            }
        )
    }


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (datetime(2026, 7, 1, tzinfo=UTC), date(2026, 6, 30)),
        (datetime(2026, 7, 1, 0, 0, 1, tzinfo=UTC), date(2026, 7, 1)),
        (datetime.fromisoformat("2026-07-01T01:00:00+02:00"), date(2026, 6, 30)),
    ],
)
def test_as_of_date_is_the_last_day_seen(as_of, expected):
    assert StageRequest(as_of=as_of, upstream_run_id="", started_at=as_of).as_of_date == expected


def test_digest_of_ignores_the_order_of_keys_only():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_run_id_follows_every_input():
    base = make_run_id("clusters", REQUEST, "c")
    later = StageRequest(as_of=AS_OF.replace(hour=1), upstream_run_id="raw1", started_at=AS_OF)
    other = StageRequest(as_of=AS_OF, upstream_run_id="raw2", started_at=AS_OF)
    again = StageRequest(as_of=AS_OF, upstream_run_id="raw1", started_at=AS_OF)

    assert make_run_id("clusters", again, "c") == base
    assert (
        len(
            {
                base,
                make_run_id("clusters", later, "c"),
                make_run_id("clusters", other, "c"),
                make_run_id("clusters", REQUEST, "d"),
                make_run_id("journeys", REQUEST, "c"),
            }
        )
        == 5
    )


@pytest.mark.integration
def test_run_stage_writes_its_partition_once(settings):
    from jobs.lake import create_tables, transact

    transact(settings, create_tables, message="create")
    calls = []

    def compute(con, run_id):
        calls.append(run_id)
        return _frames(["browsing", "carting"])

    first = run_stage(settings, "find_stages", REQUEST, "c", compute)
    second = run_stage(settings, "find_stages", REQUEST, "c", compute)

    assert calls == [first.run_id]
    assert (first.is_skipped, second.is_skipped) == (False, True)
    assert second.count_rows == {"ml.customer_stages": 2}
    con = connect(settings)
    rows = con.execute(
        "SELECT customer_id, stage, as_of_date, run_id FROM ml.customer_stages ORDER BY 1"
    ).fetchall()
    assert rows == [
        ("c0", "browsing", date(2026, 6, 30), first.run_id),
        ("c1", "carting", date(2026, 6, 30), first.run_id),
    ]


@pytest.mark.integration
def test_run_stage_returns_to_an_earlier_configuration(settings):
    from jobs.lake import create_tables, transact

    transact(settings, create_tables, message="create")
    later = StageRequest(
        as_of=AS_OF, upstream_run_id="raw1", started_at=datetime(2026, 7, 3, tzinfo=UTC)
    )
    last = StageRequest(
        as_of=AS_OF, upstream_run_id="raw1", started_at=datetime(2026, 7, 4, tzinfo=UTC)
    )
    run_stage(settings, "find_stages", REQUEST, "a", lambda con, run_id: _frames(["browsing"]))
    run_stage(settings, "find_stages", later, "b", lambda con, run_id: _frames(["carting"]))

    result = run_stage(
        settings, "find_stages", last, "a", lambda con, run_id: _frames(["browsing"])
    )

    assert not result.is_skipped
    con = connect(settings)
    assert con.execute("SELECT stage FROM ml.customer_stages").fetchall() == [("browsing",)]


@pytest.mark.integration
def test_run_stage_failing_leaves_the_former_partition(settings):
    from jobs.lake import create_tables, transact

    transact(settings, create_tables, message="create")
    run_stage(settings, "find_stages", REQUEST, "a", lambda con, run_id: _frames(["browsing"]))
    wrong = {"ml.customer_stages": pl.DataFrame({"customer_id": ["c0"]})}

    with pytest.raises(Exception, match=r"ml\.customer_stages"):
        run_stage(settings, "find_stages", REQUEST, "b", lambda con, run_id: wrong)

    con = connect(settings)
    assert con.execute("SELECT stage FROM ml.customer_stages").fetchall() == [("browsing",)]
    assert con.execute("SELECT count(*) FROM ops.runs").fetchone() == (1,)
