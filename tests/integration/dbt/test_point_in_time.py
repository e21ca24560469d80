"""Features of a past day, computed today, are those that a lake which stops on that day computes.

What is of today on purpose (docs/features.md) is left out of the comparison: who turned out to be one person, or no person, later;
who refused later; what the shop said of an order after the tracker had; and scores, which compare a customer with the others.
"""

from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from jobs.lake import connect, transact
from jobs.settings import Settings
from tests.integration.dbt.conftest import resolve_identities, run_dbt
from tests.integration.dbt.random_shop import FIRST_DAY, KIOSK, N_DAYS, Rows, make_shop

pytestmark = pytest.mark.integration

END = FIRST_DAY + timedelta(days=N_DAYS)
SCORES = ["recency_score", "frequency_score", "monetary_score", "rfm_segment"]
KEYS = ["customer_id", "as_of_date"]


def build(rows: Rows, folder: Path, as_of: datetime, days: list[date]) -> Settings:
    """A lake of these rows with the features of these days."""
    folder.mkdir()
    settings = Settings(_env_file=None, data_dir=folder)
    transact(settings, rows.put, message="rows of the test")
    variables: dict[str, Any] = {
        "as_of": as_of.isoformat(),
        "cutoff_dates": [day.isoformat() for day in days],
        "consented_sources": ["web"],
    }
    resolve_identities(settings, variables)
    run_dbt(
        folder, variables, "build", "--select", "+ftr_customer_features", "+ftr_customer_affinities",
        "--exclude-resource-type", "test", "unit_test",
    )  # fmt: skip
    return settings


def read(settings: Settings, sql: str, **values: Any) -> pl.DataFrame:
    con = connect(settings)
    try:
        return con.execute(sql, values or None).pl()
    finally:
        con.close()


def of_today(settings: Settings, day: date) -> set[str]:
    """Customers of whom something is of today on purpose, and later than the end of `day`."""
    found = read(
        settings,
        """
        WITH later AS (
            SELECT identifier FROM lake.identity.identifiers WHERE linked_at > $end
            UNION SELECT user_id FROM lake.raw.consents WHERE purpose = 'analytics'
            UNION SELECT anonymous_id FROM lake.raw.events WHERE anonymous_id IN ($kiosk, 'd-fast')
            UNION SELECT user_id FROM lake.raw.events WHERE anonymous_id = $kiosk
            UNION
            SELECT unnest([events.anonymous_id, events.user_id, orders.user_id])
            FROM lake.raw.orders JOIN lake.raw.events USING (order_id)
            WHERE orders.received_at > $end AND events.received_at <= $end
        ),
        found AS (
            SELECT identifier AS customer_id FROM later
            UNION SELECT customer_id FROM lake.identity.identifiers JOIN later USING (identifier)
        )
        SELECT customer_id FROM found
        UNION SELECT identifier FROM lake.identity.identifiers JOIN found USING (customer_id)
        """,
        end=datetime.combine(day, datetime.min.time(), FIRST_DAY.tzinfo) + timedelta(days=1),
        kiosk=KIOSK,
    )
    return set(found["customer_id"].drop_nulls())


@pytest.mark.parametrize("seed", [1])
def test_features_of_a_past_day_are_those_of_a_lake_that_stops_there(
    seed: int, tmp_path: Path
) -> None:
    shop = make_shop(seed)
    days = sorted(
        FIRST_DAY.date() + timedelta(days=n) for n in Random(seed).sample(range(40, N_DAYS - 1), 2)
    )
    today = build(shop, tmp_path / "today", END, days)
    for day in days:
        stop = datetime.combine(day, datetime.min.time(), FIRST_DAY.tzinfo) + timedelta(days=1)
        stopped = build(shop.until(stop), tmp_path / f"stops at {day}", stop, [day])
        left_out = of_today(today, day)
        for table, n_keys in (("customer_features", 2), ("customer_affinities", 4)):
            sql = f"SELECT * FROM lake.features.{table} WHERE as_of_date = $day"
            now, then = (
                read(settings, sql, day=day)
                .filter(~pl.col("customer_id").is_in(list(left_out)))
                .drop(SCORES, strict=False)
                for settings in (today, stopped)
            )
            order = now.columns[:n_keys]
            assert now.height > 10
            differing = differences(now.sort(order), then.sort(order), order)
            assert not differing, f"{table} of {day}: {differing}"


def differences(now: pl.DataFrame, then: pl.DataFrame, keys: list[str]) -> list[str]:
    """What differs between two frames, in words: keys of one alone, else the columns and their first pair of values."""
    alone = [
        f"{frame.height} rows only {name}: {frame.select(keys).rows()[:3]}"
        for name, frame in (
            ("today", now.join(then, on=keys, how="anti")),
            ("then", then.join(now, on=keys, how="anti")),
        )
        if frame.height
    ]
    both = now.join(then, on=keys, suffix="_then")
    for column in now.columns:
        if column not in keys:
            unequal = both.filter(pl.col(column).ne_missing(pl.col(f"{column}_then")))
            if unequal.height:
                values = unequal.select(*keys, column, f"{column}_then").rows()[:2]
                alone.append(f"{column} of {unequal.height}: {values}")
    return alone
