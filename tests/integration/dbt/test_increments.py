"""Builds that recompute only what changed leave the tables that a full build makes, row for row."""

import shutil
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.lake import connect, transact
from jobs.lake.maintenance import compact
from jobs.pipeline.increments import plan_build, record_build
from jobs.settings import Settings
from tests.integration.dbt.conftest import hash_tables, resolve_identities, run_dbt
from tests.integration.dbt.random_shop import FIRST_DAY, N_DAYS, make_shop

pytestmark = pytest.mark.integration

# Tables of an increment's own.
SCRATCH = {
    "intermediate.int_changed_records",
    "intermediate.int_touched",
    "intermediate.int_touched_events",
    "intermediate.int_actor_links",  # may keep pairs that nobody tells any more
    # Windows of the customers that are computed anew; all of them are in the features.
    "intermediate.int_customer_carts",
    "intermediate.int_customer_habits",
    "intermediate.int_customer_interests",
    "intermediate.int_customer_rhythms",
    "intermediate.int_customer_session_windows",
    "intermediate.int_customer_view_windows",
    "intermediate.int_customer_windows",
}


def variables_at(as_of: datetime) -> dict[str, Any]:
    today = (as_of - timedelta(microseconds=1)).date()
    dates = [today - timedelta(days=days) for days in (0, 1, 30, 60)]
    return {
        "as_of": as_of.isoformat(),
        "cutoff_dates": sorted(day.isoformat() for day in dates),
        "consented_sources": ["web"],
        "slice_event_bytes": 4_000_000,  # three slices of customers
    }


def build(
    settings: Settings,
    folder: Path,
    as_of: datetime,
    *,
    is_full: bool = False,
    is_tested: bool = False,
) -> dict[str, Any]:
    variables = variables_at(as_of)
    resolve_identities(settings, variables)
    plan = plan_build(settings, f"build of {as_of:%m-%d %H:%M}", variables)
    if is_full:
        plan.pop("since_snapshot")
    untested = [] if is_tested else ["--exclude-resource-type", "test", "unit_test"]
    run_dbt(folder, variables | plan, "build", "--selector", "features", *untested)
    record_build(settings, plan["build_id"], variables | plan)
    return plan


def computed(settings: Settings) -> dict[str, str]:
    """Digests of the tables whose rows a build leaves behind."""
    return {
        name: digest
        for name, digest in hash_tables(settings).items()
        if name not in SCRATCH and not name.startswith("staging.")
    }


@pytest.mark.parametrize("seed", [1])
def test_increments_of_a_random_shop_equal_full_builds(seed: int, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path / "a")
    settings.data_dir.mkdir()
    shop = make_shop(seed)
    noon = FIRST_DAY + timedelta(days=N_DAYS - 4, hours=12)
    # The next morning, two days later, and later on that day: another day makes some tables anew, so the same day comes last.
    ends = [
        noon,
        noon + timedelta(hours=18),
        noon + timedelta(days=3),
        noon + timedelta(days=3, hours=5),
    ]
    transact(settings, shop.until(ends[0]).put, message="rows of the test")
    assert build(settings, settings.data_dir, ends[0]).get("since_snapshot") is None
    for before, end in pairwise(ends):
        transact(settings, shop.until(end, before).put, message="rows of the test")
        if end == ends[1]:
            transact(settings, _take_back, message="rows of the test")
        # Rows in merged files are still known by the snapshots in which they came.
        compact(settings, now=end, keep_days=3650)
        plan = build(settings, settings.data_dir, end, is_tested=end == ends[-1])
        assert "since_snapshot" in plan
        assert bool(plan["built_dates"]) == (end != ends[2])
        assert plan["is_same_day"] == (end == ends[3])
    # What an increment gets wrong stays wrong, so the last one tells of all.
    copy = tmp_path / "full"
    shutil.copytree(settings.data_dir, copy)
    again = Settings(_env_file=None, data_dir=copy)
    build(again, copy, ends[-1], is_full=True)
    assert computed(settings) == computed(again)
    _check_that_it_was_worth_it(settings)


def _take_back(con: duckdb.DuckDBPyConnection) -> None:
    """A file is withdrawn, and half of it told anew in another."""
    name = f"events-{FIRST_DAY + timedelta(days=50):%m-%d}"
    con.execute("DELETE FROM lake.raw.events WHERE file_id = ? AND hash(event_id) % 2 = 0", [name])
    con.execute("UPDATE lake.raw.events SET price = price + 1 WHERE file_id = ?", [name])


def _check_that_it_was_worth_it(settings: Settings) -> None:
    """The shop has the hard cases, and the last increment left most of it alone."""
    con = connect(settings)
    try:
        counts = dict(
            con.execute(
                """
                SELECT 'touched customers', count(DISTINCT customer_id) FROM core.customers
                WHERE customer_id IN (SELECT touched_key FROM intermediate.int_touched)
                UNION ALL SELECT 'customers', count(*) FROM core.customers
                UNION ALL SELECT 'bots', count(*) FROM intermediate.int_bots WHERE is_whole_actor
                UNION ALL SELECT 'borrowed', count(*) FROM intermediate.int_borrowed_visits
                UNION ALL SELECT 'refused', count(*) FROM intermediate.int_refused_events
                UNION ALL SELECT 'set aside', count(*) FROM intermediate.int_set_aside_events
                UNION ALL SELECT 'refunds', count(*) FROM intermediate.int_refunds
                UNION ALL SELECT 'versions', count(*) - count(DISTINCT (item_id, attribute)) FROM intermediate.int_item_versions
                """
            ).fetchall()
        )
    finally:
        con.close()
    assert counts.pop("touched customers") < 0.8 * counts["customers"]
    assert all(counts.values()), counts
