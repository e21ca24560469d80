"""A shop of literal rows: the tables that segments read, in memory."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import yaml

from jobs.segments import Segment, evaluate
from jobs.stages import Frames, StageRequest

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
REQUEST = StageRequest(as_of=AS_OF, upstream_run_id="upstream", started_at=AS_OF)

_EVENTS = (
    "event_id VARCHAR, customer_id VARCHAR, session_id VARCHAR, event_type VARCHAR, "
    "occurred_at TIMESTAMPTZ, known_at TIMESTAMPTZ, item_id VARCHAR, category VARCHAR, brand VARCHAR, "
    "price DOUBLE, quantity DOUBLE, value DOUBLE, order_id VARCHAR, search_query VARCHAR, url_path VARCHAR, "
    "channel VARCHAR, campaign VARCHAR, device VARCHAR, country VARCHAR, region VARCHAR"
)
_CUSTOMERS = "customer_id VARCHAR, is_registered BOOLEAN, country VARCHAR, birth_year INTEGER"
_FEATURES = (
    "customer_id VARCHAR, as_of_date DATE, count_orders BIGINT, days_since_first_order BIGINT, "
    "days_since_last_order BIGINT, total_value DOUBLE, monetary_score BIGINT, rfm_segment VARCHAR"
)


def ago(text: str) -> datetime:
    """The instant "<n> <unit>[ <n> <unit>...]" before AS_OF."""
    parts = re.findall(r"(\d+) (second|minute|hour|day)s?", text)
    return AS_OF - sum(
        (timedelta(**{f"{unit}s": int(number)}) for number, unit in parts), timedelta()
    )


def event(customer_id: str, event_type: str, when: str, **columns: Any) -> dict[str, Any]:
    row = {"customer_id": customer_id, "event_type": event_type, "occurred_at": ago(when)}
    return {**row, "known_at": row["occurred_at"], **columns}


def open_shop(
    events: list[dict[str, Any]] | None = None,
    features: list[dict[str, Any]] | None = None,
    customers: list[dict[str, Any]] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Fill the tables; customers are those of `customers`, or else all that events or features name."""
    con = duckdb.connect(config={"threads": 1})
    con.execute("ATTACH ':memory:' AS lake; USE lake; CREATE SCHEMA core; CREATE SCHEMA features")
    con.execute(f"CREATE TABLE features.customer_events ({_EVENTS})")
    con.execute(f"CREATE TABLE features.customer_features ({_FEATURES})")
    con.execute(f"CREATE TABLE core.customers ({_CUSTOMERS})")
    numbered = [{"event_id": f"e{n}", **row} for n, row in enumerate(events or [], start=1)]
    dated = [{"as_of_date": date(2026, 3, 1), **row} for row in features or []]
    names = {row["customer_id"] for row in numbered + dated}
    people = customers or [{"customer_id": name} for name in sorted(names)]
    _insert(con, "features.customer_events", numbered)
    _insert(con, "features.customer_features", dated)
    _insert(con, "core.customers", people)
    return con


def _insert(con: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        marks = ", ".join("?" for _ in row)
        con.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def rule(where: str, segment_id: str = "rule", **settings: Any) -> Segment:
    """A segment of the given `where`, written as in a file."""
    return Segment.model_validate(
        {
            "id": segment_id,
            "name": "Rule",
            "owner": "crm",
            "description": "A rule under test.",
            "where": yaml.safe_load(where),
            **settings,
        }
    )


def run(con: duckdb.DuckDBPyConnection, *segments: Segment) -> Frames:
    return evaluate(con, REQUEST, "run", segments)


def find_members(con: duckdb.DuckDBPyConnection, segment: Segment) -> list[str]:
    """Who is in the segment, in the order of the frame."""
    memberships = run(con, segment)["ml.segment_memberships"]
    return memberships.filter(pl.col("segment_id") == segment.id)["customer_id"].to_list()
