import csv
import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from jobs.errors import InputDataError
from jobs.exports import verify_exports, write_exports, writing
from jobs.lake import connect, create_tables, transact
from jobs.settings import Settings
from jobs.stages import StageRequest

pytestmark = pytest.mark.integration

GOLDEN = Path(__file__).parent / "golden"
REQUEST = StageRequest(
    as_of=datetime(2026, 2, 1, tzinfo=UTC),
    upstream_run_id="up",
    started_at=datetime(2026, 2, 1, 6, tzinfo=UTC),
)
# What dbt makes; only what an export reads is filled.
TABLES = """
CREATE SCHEMA lake.core; CREATE SCHEMA lake.marts; CREATE SCHEMA lake.exports;
CREATE TABLE lake.core.customers (customer_id VARCHAR, country VARCHAR);
CREATE TABLE lake.marts.segment_memberships (customer_id VARCHAR, segment_id VARCHAR, segment_name VARCHAR,
    kind VARCHAR, rule_version VARCHAR, valid_from DATE, valid_to DATE, reason VARCHAR);
CREATE TABLE lake.marts.recommendations (customer_id VARCHAR, rank INTEGER, item_id VARCHAR, title VARCHAR,
    category VARCHAR, brand VARCHAR, price DOUBLE, score DOUBLE, reason_code VARCHAR, reason VARCHAR,
    anchor_item_id VARCHAR, source VARCHAR, as_of_date DATE, expires_at TIMESTAMPTZ, model_version VARCHAR);
CREATE TABLE lake.exports.segments (customer_id VARCHAR, segment_id VARCHAR, segment_name VARCHAR, kind VARCHAR,
    member_since DATE, reason VARCHAR, as_of_date DATE);
CREATE TABLE lake.exports.recommendations (customer_id VARCHAR, rank INTEGER, item_id VARCHAR, title VARCHAR,
    category VARCHAR, brand VARCHAR, price DOUBLE, reason_code VARCHAR, reason VARCHAR, anchor_item_id VARCHAR,
    expires_at TIMESTAMPTZ, as_of_date DATE);
"""
ROWS = """
INSERT INTO lake.core.customers VALUES ('c1', 'DE'), ('c2', 'DE'), ('c3', 'DE'), ('c4', 'US');
INSERT INTO lake.raw.consents BY NAME
    SELECT concat_ws(' ', user_id, purpose, state) AS consent_id, 'crm' AS source, user_id, purpose, state, day::TIMESTAMPTZ AS recorded_at, 'f' AS file_id, 1 AS line_number
    FROM (VALUES ('c1', 'marketing', 'granted', '2026-01-01 00:00:00+00'),
        ('c1', 'analytics', 'withdrawn', '2026-01-02 00:00:00+00'),
        ('c2', 'marketing', 'denied', '2026-01-01 00:00:00+00'),
        ('c2', 'marketing', 'granted', '2026-01-02 00:00:00+00'),
        ('c3', 'marketing', 'granted', '2026-01-01 00:00:00+00'),
        ('c3', 'marketing', 'denied', '2026-01-01 00:00:00+00'),
        ('c9', 'marketing', 'granted', '2026-01-01 00:00:00+00')) AS rows(user_id, purpose, state, day);
INSERT INTO lake.marts.segment_memberships BY NAME
    SELECT customer_id, segment_id, DATE '2026-01-30' AS valid_from, valid_to
    FROM (VALUES ('c1', 'carts', NULL), ('c2', 'carts', NULL), ('c3', 'carts', NULL), ('c3', 'loyal', NULL),
        ('c4', 'loyal', NULL), ('c3', 'old', DATE '2026-01-31'), ('c9', 'carts', NULL))
        AS rows(customer_id, segment_id, valid_to);
INSERT INTO lake.marts.recommendations BY NAME
    SELECT customer_id, rank, 'i' AS item_id, as_of_date
    FROM (VALUES ('c1', 1, DATE '2026-01-31'), ('c3', 1, DATE '2026-01-31'), ('c3', 2, DATE '2026-01-31'),
        ('c3', 1, DATE '2026-01-30')) AS rows(customer_id, rank, as_of_date);
INSERT INTO lake.exports.segments VALUES
    ('c2', 'carts', 'Abandoned carts', 'rule', '2026-01-30', '1 open cart, "Hat, blue"', '2026-01-31'),
    ('c1', 'loyal', 'Loyal & 漢字 🛒', 'rfm', '2025-12-01', NULL, '2026-01-31'),
    ('c1', 'carts', 'Abandoned carts', 'rule', '2026-01-31', '=HYPERLINK("http://x.example")', '2026-01-31'),
    ('c1', 'carts', 'Abandoned carts', 'rule', '2026-01-30', 'yesterday', '2026-01-30');
INSERT INTO lake.exports.recommendations VALUES
    ('c2', 1, 'i-1', '@home lamp', 'light', '', 0.1, 'popular', NULL, NULL, '2026-02-08 00:00:00+00', '2026-01-31'),
    ('c1', 10, 'i-3', 'Two' || chr(10) || 'lines', 'light', NULL, 1234567.5, 'viewed', 'because', 'i-1',
        '2026-02-08 01:30:00+01', '2026-01-31'),
    ('c1', 2, 'i-2', 'Café "Noir", 1 kg', 'food', '-brand', NULL, 'viewed', 'because', 'i-1', NULL, '2026-01-31');
"""


# Beside what `ROWS` holds: c1 changes their mind after `REQUEST.as_of`.
WITHDRAWAL = """
INSERT INTO lake.raw.consents BY NAME
    SELECT 'g1' AS consent_id, 'crm' AS source, 'c1' AS user_id, 'marketing' AS purpose, 'withdrawn' AS state,
        TIMESTAMPTZ '2026-02-03 00:00:00+00' AS recorded_at, 'g' AS file_id, 1 AS line_number
"""


def fill(settings: Settings, text: str) -> None:
    def write(con: duckdb.DuckDBPyConnection) -> None:
        for statement in text.split(";"):
            if statement.strip():
                con.execute(statement)

    transact(settings, write, message="test")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(data_dir=tmp_path)
    transact(settings, create_tables, message="test")
    fill(settings, TABLES)
    return settings


@pytest.fixture
def filled(settings: Settings) -> Settings:
    fill(settings, ROWS)
    return settings


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    con = connect(settings)
    try:
        return con.execute(sql).fetchall()
    finally:
        con.close()


def read_bytes(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("name", ["segments.csv", "recommendations.csv"])
def test_write_exports_csv_is_as_promised(filled: Settings, name: str) -> None:
    result = write_exports(filled, REQUEST, "run1")
    assert result.directory == filled.exports_path / "2026-01-31"
    assert (result.directory / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_write_exports_manifest_is_as_promised(filled: Settings) -> None:
    directory = write_exports(filled, REQUEST, "run1").directory
    manifest = json.loads((directory / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["format"] == "parquet":  # its bytes belong to DuckDB's release
            file["sha256"], file["size_bytes"] = "...", 0
    assert manifest == json.loads((GOLDEN / "manifest.json").read_text())


def test_write_exports_manifest_agrees_with_the_files(filled: Settings) -> None:
    result = write_exports(filled, REQUEST, "run1")
    verify_exports(result.directory)
    manifest = json.loads((result.directory / "manifest.json").read_text())
    listed = {file["path"]: (file["sha256"], file["size_bytes"]) for file in manifest["files"]}
    files = read_bytes(result.directory)
    del files["manifest.json"]
    assert listed == {
        name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()
    }
    rows = {
        name: pl.read_parquet(result.directory / name).height for name in files if "parquet" in name
    }
    assert rows == {"segments.parquet": 3, "recommendations.parquet": 3}


def test_write_exports_parquet_keeps_values_and_types(filled: Settings) -> None:
    directory = write_exports(filled, REQUEST, "run1").directory
    frame = pl.read_parquet(directory / "recommendations.parquet")
    assert frame.select("customer_id", "rank", "title", "brand", "price").rows() == [
        ("c1", 2, 'Café "Noir", 1 kg', "-brand", None),
        ("c1", 10, "Two\nlines", None, 1234567.5),
        ("c2", 1, "@home lamp", "", 0.1),
    ]
    assert frame["expires_at"].to_list() == [
        None,
        datetime(2026, 2, 8, 0, 30, tzinfo=UTC),
        datetime(2026, 2, 8, tzinfo=UTC),
    ]
    assert frame["as_of_date"].to_list() == [date(2026, 1, 31)] * 3


def test_write_exports_csv_reads_back_with_python(filled: Settings) -> None:
    path = write_exports(filled, REQUEST, "run1").directory / "recommendations.csv"
    with path.open(encoding="utf-8", newline="") as file:
        titles = [row["title"] for row in csv.DictReader(file)]
    assert titles == ['Café "Noir", 1 kg', "Two\nlines", "'@home lamp"]


def test_write_exports_counts_what_consent_kept_back(filled: Settings) -> None:
    """c3 refused, c4 never answered, c9 is unknown; ended memberships and other days do not count."""
    fill(filled, "UPDATE lake.raw.consents SET purpose = 'newsletter' WHERE purpose = 'marketing'")
    directory = write_exports(filled, REQUEST, "run1", consent_purpose="newsletter").directory
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["consent_purpose"] == "newsletter"
    assert manifest["blocked_by_consent"] == {
        "segments": {"rows": 4, "customers": 3},
        "recommendations": {"rows": 2, "customers": 1},
    }


def test_write_exports_counts_who_withdrew_after_as_of_as_kept_back(filled: Settings) -> None:
    fill(filled, WITHDRAWAL)
    for table in ("segments", "recommendations"):
        fill(filled, f"DELETE FROM lake.exports.{table} WHERE customer_id = 'c1'")
    directory = write_exports(filled, REQUEST, "run1").directory
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["blocked_by_consent"] == {
        "segments": {"rows": 5, "customers": 4},
        "recommendations": {"rows": 3, "customers": 2},
    }


def test_write_exports_silent_customers_leave_only_where_the_policy_says_so(
    filled: Settings,
) -> None:
    fill(
        filled,
        "INSERT INTO lake.exports.segments "
        "VALUES ('c4', 'loyal', 'Loyal', 'rfm', '2026-01-30', NULL, '2026-01-31')",
    )
    with pytest.raises(InputDataError, match="1 rows of 1 customers without consent"):
        write_exports(filled, REQUEST, "run1")
    directory = write_exports(filled, REQUEST, "run1", consent_default="granted").directory
    manifest = json.loads((directory / "manifest.json").read_text())
    assert manifest["blocked_by_consent"]["segments"] == {"rows": 3, "customers": 2}


@pytest.mark.parametrize(
    ("decisions", "options", "blocked"),
    [
        # Told by an address that is known to be c1's, beside a number that nobody knows.
        ([("n9", "e1", "marketing", "withdrawn", "2026-02-03")], {}, 1),
        # What c1's identifiers say at the same instant as the grant.
        ([(None, "e1", "all", "denied", "2026-01-01")], {}, 1),
        ([(None, "e1", "all", "denied", "2025-12-31")], {}, 0),
        ([("c1", None, "analytics", "withdrawn", "2026-01-03")], {}, 0),
        # c1's grant is of 1 January, c2's of 2 January; as_of is 1 February.
        ([], {"consent_days": 31}, 1),
        ([], {"consent_days": 32}, 0),
        ([], {"consent_days": 31, "consent_exceptions": ("DE",)}, 0),
        ([], {"consent_days": 31, "consent_default": "granted"}, 0),
        ([], {"consent_days": 31, "consent_default": "granted", "consent_exceptions": ("DE",)}, 1),
    ],
)
def test_write_exports_consent_is_asked_as_dbt_asks(
    filled: Settings,
    decisions: list[tuple[str | None, ...]],
    options: dict[str, Any],
    blocked: int,
) -> None:
    """dbt's tests of int_current_consents say the same of the model."""

    def write(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(
            "INSERT INTO lake.identity.identifiers SELECT identifier, kind, 'c1', now(), now(), NULL, 'r' "
            "FROM (VALUES ('c1', 'user'), ('e1', 'email')) AS told(identifier, kind)"
        )
        for decision in decisions:
            con.execute(
                "INSERT INTO lake.raw.consents BY NAME SELECT 'x' AS consent_id, 'crm' AS source, $1 AS user_id, $2 AS email, "
                "$3 AS purpose, $4 AS state, $5::TIMESTAMPTZ AS recorded_at, 'f' AS file_id",
                decision,
            )

    transact(filled, write, message="test")
    if blocked:
        with pytest.raises(InputDataError, match=f"of {blocked} customers without consent"):
            write_exports(filled, REQUEST, "run1", **options)
    else:
        write_exports(filled, REQUEST, "run1", **options)


def test_write_exports_again_changes_neither_files_nor_tables(filled: Settings) -> None:
    first = read_bytes(write_exports(filled, REQUEST, "run1").directory)
    snapshots = query(filled, "SELECT count(*) FROM ducklake_snapshots('lake')")
    later = dataclasses.replace(REQUEST, started_at=datetime(2026, 2, 2, tzinfo=UTC))
    assert read_bytes(write_exports(filled, later, "run1").directory) == first
    assert query(filled, "SELECT count(*) FROM ducklake_snapshots('lake')") == snapshots


def test_write_exports_records_a_ledger_row_a_file(filled: Settings) -> None:
    result = write_exports(filled, REQUEST, "run1")
    rows = query(
        filled,
        "SELECT run_id, as_of, path, count_rows, sha256, count_blocked, published_at FROM ops.export_ledger "
        "ORDER BY path DESC",
    )
    sha256 = {file.path: file.sha256 for file in result.files}
    assert rows == [
        ("run1", REQUEST.as_of, f"2026-01-31/{name}", 3, sha256[name], blocked, REQUEST.started_at)
        for name, blocked in (
            ("segments.parquet", 4),
            ("segments.csv", 4),
            ("recommendations.parquet", 2),
            ("recommendations.csv", 2),
        )
    ]


def test_write_exports_other_rows_replace_the_files_and_their_ledger(filled: Settings) -> None:
    write_exports(filled, REQUEST, "run1")
    fill(filled, "DELETE FROM lake.exports.segments WHERE customer_id = 'c2'")
    result = write_exports(filled, REQUEST, "run1")
    ledger = query(
        filled, "SELECT count_rows, sha256 FROM ops.export_ledger WHERE path LIKE '%/segments.csv'"
    )
    assert ledger == [(2, result.files[0].sha256)]
    verify_exports(result.directory)


def test_write_exports_empty_tables_give_a_header_and_no_rows(settings: Settings) -> None:
    result = write_exports(settings, REQUEST, "run1")
    assert (result.directory / "segments.csv").read_text() == (
        '"customer_id","segment_id","segment_name","kind",member_since,"reason",as_of_date\n'
    )
    assert pl.read_parquet(result.directory / "segments.parquet").height == 0
    assert [file.rows for file in result.files] == [0, 0, 0, 0]
    verify_exports(result.directory)


@pytest.mark.parametrize("fails_at", ["write_parquet", "hash_file"])
def test_write_exports_crash_in_the_middle_leaves_the_old_export(
    filled: Settings, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    directory = write_exports(filled, REQUEST, "run1").directory
    before = read_bytes(directory)
    ledger = query(filled, "SELECT * FROM ops.export_ledger ORDER BY path")
    fill(filled, "DELETE FROM lake.exports.segments WHERE customer_id = 'c2'")
    real: Callable[..., Any] = getattr(writing, fails_at)
    calls = []

    def fail_second(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise OSError("No space left on device")
        return real(*args)

    monkeypatch.setattr(writing, fails_at, fail_second)
    with pytest.raises(OSError, match="No space left"):
        write_exports(filled, REQUEST, "run2")
    assert read_bytes(directory) == before
    assert query(filled, "SELECT * FROM ops.export_ledger ORDER BY path") == ledger
    assert sorted(path.name for path in filled.exports_path.iterdir()) == [".lock", "2026-01-31"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP TABLE lake.exports.segments", r"exports\.segments does not exist"),
        ("DROP TABLE lake.core.customers", r"core\.customers does not exist"),
        ("DROP TABLE lake.marts.recommendations", r"marts\.recommendations does not exist"),
        (
            "ALTER TABLE lake.exports.recommendations DROP COLUMN reason",
            r"exports\.recommendations: columns reason are missing",
        ),
        (
            "UPDATE lake.raw.consents SET state = 'denied' WHERE user_id = 'c1'",
            r"exports\.segments 2026-01-31: 2 rows of 1 customers without consent",
        ),
        (
            WITHDRAWAL,
            r"exports\.segments 2026-01-31: 2 rows of 1 customers without consent by the latest decisions",
        ),
        (
            "DELETE FROM lake.core.customers WHERE customer_id = 'c1'",
            r"exports\.segments 2026-01-31: 2 rows of 1 customers without consent",
        ),
        (
            "DELETE FROM lake.exports.segments WHERE as_of_date = '2026-01-31'",
            "expected rows of 2026-01-31, found none .the latest are of 2026-01-30",
        ),
        (
            "INSERT INTO lake.exports.segments SELECT * FROM lake.exports.segments",
            r"exports\.segments 2026-01-31: 6 rows share 3 keys",
        ),
    ],
)
def test_write_exports_what_must_not_leave_is_refused(
    filled: Settings, change: str, message: str
) -> None:
    fill(filled, change)
    with pytest.raises(InputDataError, match=message) as caught:
        write_exports(filled, REQUEST, "run1")
    assert "c1" not in str(caught.value)
    assert not filled.exports_path.exists()


def test_write_exports_of_another_day_only_is_allowed_on_request(filled: Settings) -> None:
    fill(filled, "DELETE FROM lake.exports.segments WHERE as_of_date = '2026-01-31'")
    result = write_exports(filled, dataclasses.replace(REQUEST, allow_shrink=True), "run1")
    assert {file.path: file.rows for file in result.files}["segments.csv"] == 0


def test_write_exports_new_column_stays_at_home(filled: Settings) -> None:
    fill(filled, "ALTER TABLE lake.exports.segments ADD COLUMN email VARCHAR")
    directory = write_exports(filled, REQUEST, "run1").directory
    assert (directory / "segments.csv").read_bytes() == (GOLDEN / "segments.csv").read_bytes()
    assert "email" not in pl.read_parquet(directory / "segments.parquet").columns
