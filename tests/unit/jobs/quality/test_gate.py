from datetime import UTC, datetime

import polars as pl

from jobs.lake import TABLES
from jobs.quality.checking import Outcome
from jobs.quality.gate import describe_failure, outcomes_to_frame
from jobs.stages import StageRequest

REQUEST = StageRequest(
    as_of=datetime(2026, 2, 1, tzinfo=UTC),
    upstream_run_id="up",
    started_at=datetime(2026, 2, 1, 6, tzinfo=UTC),
)
FAILED = Outcome(
    "raw.events", "price", "critical", False, "2 of 9 rows", ("event_id=a", "event_id=b")
)
PASSED = Outcome("raw.events", "rows", "warning", True, "9")


def test_outcomes_to_frame_has_the_columns_of_the_table() -> None:
    frame = outcomes_to_frame([FAILED, PASSED], REQUEST, "r1")
    assert frame.columns == list(TABLES["ops.quality_results"].columns)
    assert frame.drop("checked_at").rows() == [
        ("r1", "raw.events", "price", "critical", False, "2 of 9 rows", "event_id=a; event_id=b"),
        ("r1", "raw.events", "rows", "warning", True, "9", None),
    ]
    assert frame["checked_at"].to_list() == [REQUEST.started_at] * 2


def test_outcomes_to_frame_without_outcomes_keeps_types() -> None:
    assert outcomes_to_frame([], REQUEST, "r1").schema["checked_at"] == pl.Datetime("us", "UTC")


def test_describe_failure_names_table_expectation_value_and_rows() -> None:
    assert describe_failure(FAILED) == (
        "raw.events: price: observed 2 of 9 rows (rows: event_id=a; event_id=b)"
    )


def test_is_evaluated_faulty_expectation_is_not() -> None:
    faulty = Outcome("raw.events", "x", "warning", False, "not evaluated: Binder Error: no x")
    assert (faulty.is_evaluated, FAILED.is_evaluated) == (False, True)
