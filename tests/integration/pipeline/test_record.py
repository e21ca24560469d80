"""Which run a table holds: reruns, backfills and two points in time on one day."""

from datetime import UTC, datetime

import pytest

from jobs.errors import InputDataError
from jobs.lake import create_tables, transact
from jobs.pipeline.record import FEATURES, find_upstream, is_done, record
from jobs.pipeline.run import PipelineRun, open_run, resolve_as_of
from jobs.run_config import RunConfig
from jobs.settings import PROJECT_ROOT

pytestmark = pytest.mark.integration
CONFIG = RunConfig(name="shop", sources=({"name": "logs", "format": "rees46", "path": "x"},))
MIDNIGHT = datetime(2026, 7, 1, tzinfo=UTC)
MORNING = datetime(2026, 6, 30, 6, tzinfo=UTC)
EARLIER = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def lake(settings):
    transact(settings, create_tables, message="create")
    return settings


def _run(settings, as_of, started_at=MIDNIGHT):
    return PipelineRun(
        settings=settings,
        config=CONFIG,
        config_path=PROJECT_ROOT,
        started_at=started_at,
        as_of=as_of,
    )


def _record(run, stage, run_id):
    record(run, stage, run_id, run.request("raw1"), "config", {}, 0.0)


def test_backfill_of_whole_tables_is_seen_by_the_run_before(lake):
    today, backfill = _run(lake, MIDNIGHT), _run(lake, EARLIER)
    _record(today, FEATURES, "today")
    assert is_done(today, FEATURES, "today")

    _record(backfill, FEATURES, "earlier")

    assert not is_done(today, FEATURES, "today")
    with pytest.raises(InputDataError, match="another point in time"):
        find_upstream(today, (FEATURES,))


def test_partition_of_another_day_leaves_this_one_done(lake):
    today, backfill = _run(lake, MIDNIGHT), _run(lake, EARLIER)
    _record(today, "find_stages", "today")
    _record(backfill, "find_stages", "earlier")

    assert is_done(today, "find_stages", "today")


def test_two_instants_of_one_day_share_a_partition(lake):
    midnight, morning = _run(lake, MIDNIGHT), _run(lake, MORNING)
    _record(midnight, "find_stages", "midnight")
    _record(morning, "find_stages", "morning")

    assert not is_done(midnight, "find_stages", "midnight")
    with pytest.raises(InputDataError, match="another point in time"):
        find_upstream(midnight, ("find_stages",))


def test_last_to_write_counts_whenever_it_was_started(lake):
    newer = _run(lake, MIDNIGHT, started_at=datetime(2026, 7, 2, tzinfo=UTC))
    cleared = _run(lake, MIDNIGHT, started_at=MIDNIGHT)
    _record(newer, FEATURES, "newer")
    _record(cleared, FEATURES, "cleared")

    assert not is_done(newer, FEATURES, "newer")


def test_missing_stage_is_named(lake):
    with pytest.raises(InputDataError, match="there is no run of build_features"):
        find_upstream(_run(lake, MIDNIGHT), (FEATURES,))


def test_payload_opens_the_same_run(lake, monkeypatch):
    monkeypatch.setenv("PERSONALAKE_DATA_DIR", str(lake.data_dir))
    run = open_run(
        {"config": str(PROJECT_ROOT / "config" / "demo.yml"), "as_of": "2026-07-01", "force": True},
        now=MIDNIGHT,
    )

    again = open_run(run.to_payload(), now=EARLIER)

    assert (again.as_of, again.started_at, again.force) == (run.as_of, run.started_at, True)
    assert again.settings.lake_dir == run.settings.lake_dir
    assert resolve_as_of(again).as_of == MIDNIGHT
