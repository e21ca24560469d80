import dataclasses
import gc
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from jobs.errors import ConfigError, InputDataError, QualityGateError
from jobs.lake import TABLES, connect
from jobs.quality import checking, run_gate
from jobs.settings import Settings

from .conftest import REQUEST, fill

pytestmark = pytest.mark.integration

EVENTS = """
    INSERT INTO lake.raw.events BY NAME
    SELECT 'shop' AS source, 'e' || i AS event_id, 'product_view' AS event_type,
        TIMESTAMPTZ '2026-01-31 12:00:00Z' AS occurred_at, TIMESTAMPTZ '2026-01-31 12:00:01Z' AS received_at,
        'a@shop.example' AS user_id, 9.5 AS price, 1 AS quantity, false AS is_bot, 'f' AS file_id, i AS line_number
    FROM range(10) AS numbers(i)
"""
SCORES = """
    INSERT INTO lake.ml.scores BY NAME
    SELECT 'c' || i AS customer_id, 'purchase' AS score_name, {probability} AS probability, 1 AS decile,
        DATE '{day}' AS as_of_date, 'r' AS run_id
    FROM range(8) AS numbers(i)
"""


def read_results(settings: Settings, columns: str = "*") -> list[tuple[object, ...]]:
    con = connect(settings)
    try:
        return con.execute(f"SELECT {columns} FROM ops.quality_results ORDER BY ALL").fetchall()
    finally:
        con.close()


def count_snapshots(settings: Settings) -> int:
    con = connect(settings)
    try:
        row = con.execute("SELECT count(*) FROM ducklake_snapshots('lake')").fetchone()
    finally:
        con.close()
    assert row
    return int(row[0])


def write_suite(folder: Path, table: str, text: str) -> Path:
    path = folder / "expectations" / f"{table.replace('.', '/')}.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return folder / "expectations"


def test_run_gate_good_table_passes_and_is_recorded(settings: Settings) -> None:
    fill(settings, EVENTS)
    result = run_gate(settings, ["raw.events"], REQUEST, "r1")
    assert result.warnings == ()
    rows = read_results(settings, "run_id, table_name, is_success, offending_ids, checked_at")
    expected = ("r1", "raw.events", True, None, REQUEST.started_at)
    assert rows == [expected] * len(result.outcomes)


def test_run_gate_critical_failure_stops_and_is_recorded(settings: Settings) -> None:
    fill(
        settings,
        EVENTS,
        "UPDATE lake.raw.events SET price = -1 WHERE line_number < 7",
        "UPDATE lake.raw.events SET event_type = 'looked' WHERE event_id = 'e9'",
    )
    with pytest.raises(QualityGateError) as caught:
        run_gate(settings, ["raw.events"], REQUEST, "r1")
    message = str(caught.value)
    assert message.startswith("2 critical expectations failed: raw.events: ")
    assert (
        "expect_column_values_to_be_between(column=price, min_value=0): observed 7 of 10 rows (rows: "
        "source=shop event_id=e0; source=shop event_id=e1; source=shop event_id=e2; source=shop event_id=e3; "
        "source=shop event_id=e4)"
    ) in message
    assert "observed 1 of 10 rows (rows: source=shop event_id=e9)" in message
    assert "WHERE run_id = 'r1'" in message
    assert "clear this task" in message
    failed = [row for row in read_results(settings, "severity, is_success") if not row[1]]
    assert failed == [("critical", False)] * 2


def test_run_gate_warning_passes_and_is_recorded(settings: Settings) -> None:
    fill(settings, EVENTS, "UPDATE lake.raw.events SET quantity = 0 WHERE event_id = 'e3'")
    result = run_gate(settings, ["raw.events"], REQUEST, "r1")
    assert [(o.expectation, o.offending_ids) for o in result.warnings] == [
        ("quantity is above 0", ("source=shop event_id=e3",))
    ]
    assert ("quantity is above 0", "warning", False) in read_results(
        settings, "expectation, severity, is_success"
    )


def test_run_gate_repeated_event_is_named_once(settings: Settings) -> None:
    fill(settings, EVENTS, EVENTS.replace("range(10)", "range(4, 6)"))
    with pytest.raises(
        QualityGateError, match="an event is there once: observed 2 unexpected rows"
    ) as e:
        run_gate(settings, ["raw.events"], REQUEST, "r1")
    assert "(rows: source=shop event_id=e4; source=shop event_id=e5)" in str(e.value)


def test_run_gate_same_again_changes_nothing(settings: Settings) -> None:
    fill(settings, EVENTS)
    run_gate(settings, ["raw.events"], REQUEST, "r1")
    rows, snapshots = read_results(settings), count_snapshots(settings)
    later = dataclasses.replace(REQUEST, started_at=datetime(2026, 2, 2, tzinfo=UTC))
    run_gate(settings, ["raw.events"], later, "r1")
    assert (read_results(settings), count_snapshots(settings)) == (rows, snapshots)


def test_run_gate_after_mending_replaces_its_own_rows_only(settings: Settings) -> None:
    fill(settings, EVENTS, "UPDATE lake.raw.events SET price = -1 WHERE event_id = 'e0'")
    for run_id in ("r1", "r2"):
        with pytest.raises(QualityGateError):
            run_gate(settings, ["raw.events"], REQUEST, run_id)
    fill(settings, "UPDATE lake.raw.events SET price = 1")
    run_gate(settings, ["raw.events"], REQUEST, "r2")
    counts = "run_id, count(*) FILTER (NOT is_success), count(*) = count(DISTINCT expectation)"
    con = connect(settings)
    rows = con.execute(
        f"SELECT {counts} FROM ops.quality_results GROUP BY ALL ORDER BY 1"
    ).fetchall()
    con.close()
    assert rows == [("r1", 1, True), ("r2", 0, True)]


def test_run_gate_looks_at_the_day_asked_for(settings: Settings) -> None:
    fill(settings, SCORES.format(probability="2.0", day="2026-01-30"))
    fill(settings, SCORES.format(probability="0.5", day="2026-01-31"))
    assert run_gate(settings, ["ml.scores"], REQUEST, "r1").warnings == ()
    before = dataclasses.replace(REQUEST, as_of=datetime(2026, 1, 31, tzinfo=UTC))
    with pytest.raises(QualityGateError, match="observed 8 of 8 rows"):
        run_gate(settings, ["ml.scores"], before, "r1")


def test_run_gate_large_table_is_read_in_place_with_the_same_result(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(settings, SCORES.format(probability="i", day="2026-01-31"))
    with pytest.raises(QualityGateError):
        run_gate(settings, ["ml.scores"], REQUEST, "r1")
    copied = read_results(settings)
    fill(settings, "DELETE FROM lake.ops.quality_results")
    monkeypatch.setattr(checking, "_MAX_COPIED_ROWS", 3)
    with pytest.raises(QualityGateError):
        run_gate(settings, ["ml.scores"], REQUEST, "r1")
    assert read_results(settings) == copied


def test_run_gate_offending_customer_is_shown_as_a_digest(settings: Settings) -> None:
    fill(settings, SCORES.format(probability="i * 0.15", day="2026-01-31"))
    digest = hashlib.md5(b"c7", usedforsecurity=False).hexdigest()[:12]
    with pytest.raises(QualityGateError) as caught:
        run_gate(settings, ["ml.scores"], REQUEST, "r1")
    assert f"(rows: customer_id=md5:{digest} score_name=purchase)" in str(caught.value)
    assert "c7" not in str(caught.value).replace(digest, "")


def test_run_gate_every_shipped_suite_can_be_evaluated(settings: Settings) -> None:
    """Empty tables fail what asks for rows and nothing else; a suite with wrong SQL ends in ConfigError."""
    fill(
        settings,
        "CREATE SCHEMA lake.intermediate",
        "CREATE SCHEMA lake.exports",
        "CREATE TABLE lake.intermediate.int_current_consents (customer_id VARCHAR, has_consent BOOLEAN)",
        "CREATE TABLE lake.exports.segments (customer_id VARCHAR, segment_id VARCHAR, segment_name VARCHAR, "
        "kind VARCHAR, member_since DATE, reason VARCHAR, as_of_date DATE)",
        "CREATE TABLE lake.exports.recommendations (customer_id VARCHAR, rank INTEGER, item_id VARCHAR, "
        "title VARCHAR, category VARCHAR, brand VARCHAR, price DOUBLE, reason_code VARCHAR, reason VARCHAR, "
        "anchor_item_id VARCHAR, expires_at TIMESTAMPTZ, as_of_date DATE)",
        "INSERT INTO lake.exports.segments VALUES "
        "('c1', 's', 'S', 'rule', '2026-01-31', NULL, '2026-01-31')",
    )
    tables = [name for name, table in TABLES.items() if table.schema != "ops"]
    with pytest.raises(QualityGateError) as caught:
        run_gate(settings, [*tables, "exports.segments", "exports.recommendations"], REQUEST, "r1")
    assert str(caught.value).startswith(
        "3 critical expectations failed: raw.files: expect_table_row"
    )
    assert "raw.events: an event or an order is there: observed 1" in str(caught.value)
    assert "exports.segments: every customer consents: observed 1 unexpected rows" in str(
        caught.value
    )
    assert {row[0] for row in read_results(settings, "table_name")} == {
        *tables,
        "exports.segments",
        "exports.recommendations",
    }


def test_run_gate_a_rejected_consent_stops_the_run(settings: Settings) -> None:
    reject = (
        "INSERT INTO lake.raw.rejects BY NAME SELECT 'crm' AS source, '{entity}' AS entity, 'f1' AS file_id, "
        "'crm.csv' AS path, {line} AS line_number, 'bad_value' AS reason_code, 'no such state' AS reason, "
        "''::BLOB AS raw_record, TIMESTAMPTZ '2026-01-31 00:00:00+00' AS rejected_at"
    )
    version = (
        "INSERT INTO lake.raw.files BY NAME SELECT '{file}' AS file_id, 'crm' AS source, 'consents' AS entity, "
        "'crm.csv' AS path, 'crm.csv' AS delivery, 'loaded' AS state, '{file}' AS sha256, TIMESTAMPTZ '{day} 00:00:00+00' AS loaded_at"
    )
    fill(settings, version.format(file="f1", day="2026-01-30"))
    fill(settings, reject.format(entity="profiles", line=1))
    run_gate(settings, ["raw.rejects"], REQUEST, "r1")
    fill(settings, reject.format(entity="consents", line=2))
    with pytest.raises(QualityGateError, match="no consent decision is rejected: observed 1"):
        run_gate(settings, ["raw.rejects"], REQUEST, "r2")

    # The file delivered again, corrected: its newest version has no reject.
    fill(settings, version.format(file="f2", day="2026-01-31"))
    run_gate(settings, ["raw.rejects"], REQUEST, "r3")


ORDER = (
    "INSERT INTO lake.raw.orders BY NAME SELECT 'till' AS source, 'l1' AS order_line_id, 'o1' AS order_id, "
    "TIMESTAMPTZ '2026-01-31 00:00:00+00' AS ordered_at, 'u1' AS user_id, 'f' AS file_id, "
    "'{line_type}' AS line_type, {quantity} AS quantity, {price} AS price"
)


@pytest.mark.parametrize(
    ("line_type", "quantity", "price", "fault"),
    [
        ("sale", 1, 0, None),
        ("return", 2, 5, None),
        ("adjustment", -1, -5, None),
        ("sale", -1, 5, "pieces of a sale or a return are not below 0"),
        ("return", -1, 5, "pieces of a sale or a return are not below 0"),
        ("sale", 1, -5, "only a correction has a price or an amount below 0"),
        ("gift", 1, 5, "expect_column_values_to_be_in_set"),
    ],
)
def test_run_gate_only_corrections_of_orders_go_below_zero(
    settings: Settings, line_type: str, quantity: int, price: int, fault: str | None
) -> None:
    fill(settings, ORDER.format(line_type=line_type, quantity=quantity, price=price))
    if fault is None:
        assert run_gate(settings, ["raw.orders"], REQUEST, "r1").warnings == ()
        return
    with pytest.raises(QualityGateError, match=f"1 critical expectation failed: .*{fault}") as e:
        run_gate(settings, ["raw.orders"], REQUEST, "r1")
    assert "(rows: source=till order_line_id=l1)" in str(e.value)


def test_run_gate_a_shop_without_a_tracker_needs_no_events(settings: Settings) -> None:
    with pytest.raises(QualityGateError, match="an event or an order is there: observed 1"):
        run_gate(settings, ["raw.events"], REQUEST, "r1")
    fill(settings, ORDER.format(line_type="sale", quantity=1, price=5))
    assert run_gate(settings, ["raw.events"], REQUEST, "r2").warnings == ()


FILE = (
    "INSERT INTO lake.raw.files BY NAME SELECT 'f{n}' AS file_id, 'web' AS source, '{entity}' AS entity, "
    "'a.csv' AS path, 'a.csv' AS delivery, 'f{n}' AS sha256, '{state}' AS state, 200 AS count_rows, "
    "{loaded} AS count_loaded, 0 AS count_duplicates, {rejected} AS count_rejected, "
    "TIMESTAMPTZ '2026-01-3{n} 00:00:00+00' AS loaded_at"
)


def test_run_gate_only_files_that_were_loaded_are_judged_by_their_counts(
    settings: Settings,
) -> None:
    """One version of a file gives rows to two tables; another failed, and one was replaced."""
    fill(
        settings,
        FILE.format(n=0, entity="events", state="superseded", loaded=0, rejected=150),
        FILE.format(n=0, entity="orders", state="failed", loaded=0, rejected=150),
        FILE.format(n=1, entity="events", state="loaded", loaded=200, rejected=0),
        FILE.format(n=1, entity="orders", state="loaded", loaded=195, rejected=5),
    )
    assert run_gate(settings, ["raw.files"], REQUEST, "r1").warnings == ()
    fill(settings, "UPDATE lake.raw.files SET state = 'loaded' WHERE state = 'superseded'")
    with pytest.raises(QualityGateError, match="2 critical expectations failed") as e:
        run_gate(settings, ["raw.files"], REQUEST, "r2")
    assert "every line of a file is loaded, a duplicate or a reject: observed 1" in str(e.value)
    assert "at most half of a file is rejected: observed 1" in str(e.value)


def test_run_gate_a_version_that_was_loaded_twice_stops_the_run(settings: Settings) -> None:
    again = FILE.format(n=1, entity="events", state="loaded", loaded=200, rejected=0)
    fill(settings, again, again)
    with pytest.raises(QualityGateError, match="there once for each table: observed 1"):
        run_gate(settings, ["raw.files"], REQUEST, "r1")


def test_run_gate_a_failed_file_is_a_warning_until_it_is_delivered_again(
    settings: Settings,
) -> None:
    fill(settings, FILE.format(n=0, entity="events", state="failed", loaded=0, rejected=150))
    warnings = run_gate(settings, ["raw.files"], REQUEST, "r1").warnings
    assert [warning.expectation for warning in warnings] == [
        "no file failed that was not delivered again"
    ]
    fill(settings, FILE.format(n=1, entity="events", state="loaded", loaded=200, rejected=0))
    assert run_gate(settings, ["raw.files"], REQUEST, "r2").warnings == ()


@pytest.mark.parametrize(("rank", "is_fine"), [("1", True), ("NULL", True), ("0", False)])
def test_run_gate_ranks_of_feedback_are_counted_from_one(
    settings: Settings, rank: str, is_fine: bool
) -> None:
    fill(
        settings,
        "INSERT INTO lake.raw.feedback BY NAME SELECT 'web' AS source, 'x1' AS feedback_id, "
        "'click' AS feedback_type, 'i1' AS item_id, 'u1' AS user_id, 'f' AS file_id, "
        f"TIMESTAMPTZ '2026-01-31 00:00:00+00' AS occurred_at, {rank} AS rank",
    )
    if is_fine:
        assert run_gate(settings, ["raw.feedback"], REQUEST, "r1").warnings == ()
        return
    with pytest.raises(QualityGateError, match=r"column=rank, min_value=1\): observed 1 of 1"):
        run_gate(settings, ["raw.feedback"], REQUEST, "r1")


def test_run_gate_missing_table_is_an_input_error(settings: Settings) -> None:
    with pytest.raises(
        InputDataError, match=r"checking exports\.segments: no such table in the lake"
    ):
        run_gate(settings, ["raw.events", "exports.segments"], REQUEST, "r1")


@pytest.mark.parametrize(
    ("type_", "kwargs", "message"),
    [
        ("expect_magic", {}, "Great Expectations has no expect_magic"),
        ("expect_column_values_to_not_be_null", {"colum": "price"}, "wrong arguments of .* column"),
        (
            "expect_column_values_to_not_be_null",
            {"column": "prise"},
            'observed not evaluated: .*"prise".* does not exist',
        ),
        (
            "unexpected_rows_expectation",
            {"unexpected_rows_query": "SELECT * FROM {batch} WHERE prise > price"},
            "observed not evaluated: Binder Error: .*prise",
        ),
        (
            "unexpected_rows_expectation",
            {"unexpected_rows_query": "SELECT * FROM {batch} WHERE user_id::DATE IS NULL"},
            r"observed not evaluated: its query failed\. Mend",
        ),
    ],
)
def test_run_gate_expectation_that_cannot_be_evaluated_is_a_config_error(
    settings: Settings, tmp_path: Path, type_: str, kwargs: dict[str, str], message: str
) -> None:
    fill(settings, EVENTS)
    suite = {"expectations": [{"type": type_, "kwargs": kwargs, "severity": "warning"}]}
    folder = write_suite(tmp_path, "raw.events", yaml.safe_dump(suite))
    with pytest.raises(ConfigError, match=message) as caught:
        run_gate(settings, ["raw.events"], REQUEST, "r1", folder)
    assert "a@shop.example" not in str(caught.value)


def test_run_gate_closes_every_connection(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    fill(settings, EVENTS)
    run_gate(settings, ["raw.events"], REQUEST, "r1")
    gc.collect()
    assert not [record for record in caplog.records if "sqlalchemy" in record.name]
