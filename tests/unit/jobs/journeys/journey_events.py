"""A lake in memory with the columns of events that journeys read."""

from datetime import UTC, datetime

import duckdb

from jobs.stages import StageRequest

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
REQUEST = StageRequest(AS_OF, "features", AS_OF)


def open_lake() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.execute("CREATE SCHEMA features")
    con.execute(
        "CREATE TABLE features.customer_events (event_id VARCHAR, customer_id VARCHAR, session_id VARCHAR, "
        "event_type VARCHAR, occurred_at TIMESTAMPTZ, known_at TIMESTAMPTZ)"
    )
    con.execute("CREATE TABLE features.customer_features (customer_id VARCHAR, as_of_date DATE)")
    return con


def add_events(con: duckdb.DuckDBPyConnection, rows: list[tuple[str, str, str, str]]) -> None:
    """Add events (customer, session, type, time), and the customers as known on the day before AS_OF."""
    for number, (customer, session, event_type, occurred_at) in enumerate(rows):
        con.execute(
            "INSERT INTO features.customer_events VALUES (?, ?, ?, ?, ?, ?)",
            [f"e{number}", customer, session, event_type, occurred_at, occurred_at],
        )
    con.execute(
        "INSERT INTO features.customer_features SELECT DISTINCT customer_id, DATE '2026-06-30' FROM features.customer_events"
    )
