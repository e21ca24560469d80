"""Write the exports of a day: CSV and Parquet of each `exports` table, and the manifest.

Reads `exports.segments` and `exports.recommendations` at `as_of_date`, and for the proof of consent `raw.consents`,
`identity.identifiers`, `core.customers`, `marts.segment_memberships` and `marts.recommendations`, all in one snapshot. Writes
`<exports>/<as_of_date>/` and its rows in `ops.export_ledger`. A rerun with the same inputs writes the same bytes and changes no table
but the record of who opened the vault.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl

from jobs.errors import InputDataError
from jobs.exports.formats import write_csv, write_parquet
from jobs.exports.manifest import (
    MANIFEST_NAME,
    Blocked,
    Column,
    ExportFile,
    Manifest,
    hash_file,
)
from jobs.exports.publishing import publish_folder
from jobs.keys import KeyRing, load_keys
from jobs.lake import TABLES, connect, create_tables, replace_partition, transact
from jobs.lake.connection import encrypt_spills
from jobs.settings import Settings
from jobs.stages import StageRequest
from jobs.vault import name_customers, open_clear_values

logger = logging.getLogger(__name__)

LEDGER = "ops.export_ledger"

# From the decisions themselves, recorded after `as_of` or not, and not from what dbt made of them: one that was loaded
# since dbt ran counts too. Of two at one instant the refusal counts; who decides on everything decides on the purpose.
_CONSENTING = """
    SELECT customers.customer_id FROM lake.core.customers AS customers LEFT JOIN (
        SELECT
            coalesce(
                users.customer_id, emails.customer_id, phones.customer_id, devices.customer_id,
                consents.user_id, consents.email, consents.phone, consents.anonymous_id
            ) AS customer_id,
            arg_max(state, row(recorded_at, state <> 'granted')) AS state,
            max(recorded_at) AS recorded_at
        FROM lake.raw.consents AS consents
        LEFT JOIN lake.identity.identifiers AS users ON consents.user_id = users.identifier
        LEFT JOIN lake.identity.identifiers AS emails ON consents.email = emails.identifier
        LEFT JOIN lake.identity.identifiers AS phones ON consents.phone = phones.identifier
        LEFT JOIN lake.identity.identifiers AS devices ON consents.anonymous_id = devices.identifier
        WHERE purpose IN ($consent_purpose, 'all')
        GROUP BY 1
    ) AS latest USING (customer_id)
    WHERE CASE
        WHEN latest.state <> 'granted' THEN false
        WHEN latest.state = 'granted' AND coalesce(latest.recorded_at + to_days($consent_days) > $as_of, true) THEN true
        ELSE ($consent_default = 'granted') <> coalesce(list_contains($consent_exceptions, upper(trim(customers.country))), false)
    END
"""


@dataclass(frozen=True)
class ExportTable:
    """A table that leaves.

    Attributes:
        name: of the files, and of the table in the schema `exports`.
        columns: what may leave, in order; a column that the table gains stays at home until it is listed here.
        key: columns that order the rows, and no two rows share.
        mart: where the rows come from before consent is asked.
        is_current: condition on the mart's rows that would be exported; `$as_of_date` is the day.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    mart: str
    is_current: str

    @property
    def full_name(self) -> str:
        """The table in the lake."""
        return f"exports.{self.name}"


EXPORT_TABLES = (
    ExportTable(
        name="segments",
        columns=(
            "customer_id",
            "segment_id",
            "segment_name",
            "kind",
            "member_since",
            "reason",
            "as_of_date",
        ),
        key=("customer_id", "segment_id"),
        mart="marts.segment_memberships",
        is_current="valid_to IS NULL AND valid_from <= $as_of_date",
    ),
    ExportTable(
        name="recommendations",
        columns=(
            "customer_id",
            "rank",
            "item_id",
            "title",
            "category",
            "brand",
            "price",
            "reason_code",
            "reason",
            "anchor_item_id",
            "expires_at",
            "as_of_date",
        ),
        key=("customer_id", "rank"),
        mart="marts.recommendations",
        is_current="as_of_date = $as_of_date",
    ),
)


@dataclass(frozen=True)
class ExportResult:
    """Where an export lies, and its files as the manifest lists them."""

    directory: Path
    files: tuple[ExportFile, ...]


def write_exports(
    settings: Settings,
    request: StageRequest,
    run_id: str,
    consent_purpose: str = "marketing",
    consent_default: Literal["denied", "granted"] = "denied",
    keys: KeyRing | None = None,
    *,
    consent_exceptions: Sequence[str] = (),
    consent_days: int | None = None,
) -> ExportResult:
    """Write the files of `request.as_of_date`, replacing an earlier export of that day.

    Args:
        settings: where the lake and the exports are.
        request: the day; `started_at` goes into the ledger only; `allow_shrink` lets a table that has rows of other
            days only be exported empty.
        run_id: the run that made the tables.
        consent_purpose: what the customers must have agreed to (the run configuration's `consent.purpose`).
        consent_default: what the silence of customers without a decision in force means.
        keys: of the vault; the environment's unless given. In the files customers have the ids that the shop knows them by.
        consent_exceptions: spellings, in upper case, of the countries where silence means the opposite.
        consent_days: days after which a grant is silence again; None where it never is.

    Raises:
        InputDataError: a table or column is missing, was built for another day, or holds a customer without consent
            by the latest decision in `raw.consents`.
        ConfigError: the exports folder cannot be written.
        TransientError: another export is being written, or another process has the vault or the lake for too long.
    """
    started = time.perf_counter()
    directory = settings.exports_path / request.as_of_date.isoformat()
    consent: dict[str, object] = {
        "consent_purpose": consent_purpose,
        "consent_default": consent_default,
        "consent_exceptions": list(consent_exceptions),
        "consent_days": consent_days,
        "as_of": request.as_of,
    }
    keys = keys or load_keys(settings)
    con = connect(settings)
    try:
        encrypt_spills(con)
        con.execute("BEGIN")  # every query reads the same snapshot
        columns = {table.name: _read_columns(con, table) for table in EXPORT_TABLES}
        for table in EXPORT_TABLES:
            _check_rows(con, table, request, consent)
        blocked = {
            table.name: _count_blocked(con, table, request, consent) for table in EXPORT_TABLES
        }
        _take_rows(con, settings, keys, columns, request, run_id)
        with publish_folder(directory) as draft:
            files = tuple(
                file
                for table in EXPORT_TABLES
                for file in _write_table(con, table, columns[table.name], draft)
            )
            manifest = Manifest(
                as_of=request.as_of,
                as_of_date=request.as_of_date,
                run_id=run_id,
                consent_purpose=consent_purpose,
                blocked_by_consent=blocked,
                files=files,
            )
            (draft / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    finally:
        con.close()
    # After the files, so that the ledger never names an export that is not there.
    _record(settings, manifest, request)
    logger.info(
        "wrote %s: %d files, %d rows in %.2f s",
        directory,
        len(files),
        sum(file.rows for file in files),
        time.perf_counter() - started,
    )
    return ExportResult(directory, files)


def _read_columns(con: duckdb.DuckDBPyConnection, table: ExportTable) -> dict[str, str]:
    """Types of the columns that leave.

    Raises:
        InputDataError: the table, or one that the proof of consent needs, is missing or lacks a column.
    """
    found = _describe(con, table.full_name)
    missing = [column for column in table.columns if column not in found]
    if missing:
        raise InputDataError(
            f"exporting {table.full_name}: columns {', '.join(missing)} are missing; "
            "its columns are a contract (docs/architecture.md): build the dbt exports again"
        )
    for needed in (table.mart, "core.customers", "raw.consents"):
        _describe(con, needed)
    return {column: found[column] for column in table.columns}


def _describe(con: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    schema, name = table.split(".")
    rows = con.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_catalog = 'lake' AND table_schema = ? AND table_name = ? ORDER BY ordinal_position",
        [schema, name],
    ).fetchall()
    if not rows:
        raise InputDataError(
            f"exporting: {table} does not exist; build the dbt exports before writing files"
        )
    return dict(rows)


def _check_rows(
    con: duckdb.DuckDBPyConnection,
    table: ExportTable,
    request: StageRequest,
    consent: dict[str, object],
) -> None:
    """Refuse what must not leave.

    Raises:
        InputDataError: all rows are of other days, a key occurs twice, or a customer has not consented.
    """
    day = request.as_of_date
    total, of_day, n_keys, last_day = _fetch_one(
        con,
        f"SELECT count(*), count(*) FILTER (as_of_date = $day), "
        f"count(DISTINCT ({', '.join(table.key)})) FILTER (as_of_date = $day), max(as_of_date) "
        f"FROM lake.{table.full_name}",
        {"day": day},
    )
    if total and not of_day and not request.allow_shrink:
        raise InputDataError(
            f"exporting {table.full_name}: expected rows of {day}, found none (the latest are of {last_day}); "
            "build the dbt exports for that day, or run again with --allow-shrink to publish an empty file"
        )
    if n_keys != of_day:
        raise InputDataError(
            f"exporting {table.full_name} {day}: {of_day} rows share {n_keys} keys ({', '.join(table.key)}); "
            "build the dbt exports again"
        )
    rows, customers = _fetch_one(
        con,
        f"SELECT count(*), count(DISTINCT customer_id) FROM lake.{table.full_name} "
        f"ANTI JOIN ({_CONSENTING}) AS consenting USING (customer_id) WHERE as_of_date = $day",
        {"day": day, **consent},
    )
    if rows:
        raise InputDataError(
            f"exporting {table.full_name} {day}: {rows} rows of {customers} customers without consent by the "
            "latest decisions in raw.consents; nothing was written: build the dbt exports again"
        )


def _count_blocked(
    con: duckdb.DuckDBPyConnection,
    table: ExportTable,
    request: StageRequest,
    consent: dict[str, object],
) -> Blocked:
    """Count what the mart holds of customers who have not consented (or whom core.customers does not know)."""
    rows, customers = _fetch_one(
        con,
        f"SELECT count(*), count(DISTINCT customer_id) FROM lake.{table.mart} "
        f"ANTI JOIN ({_CONSENTING}) AS consenting USING (customer_id) WHERE {table.is_current}",
        {"as_of_date": request.as_of_date, **consent},
    )
    return Blocked(rows=rows, customers=customers)


def _take_rows(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    keys: KeyRing,
    columns: dict[str, dict[str, str]],
    request: StageRequest,
    run_id: str,
) -> None:
    """Put the day's rows of each table into `<name>_of_day`, with the customers named as the shop's own tools know them."""
    relations = [f"{name}_of_day" for name in columns]
    for name, relation in zip(columns, relations, strict=True):
        listed = ", ".join(f'"{column}"' for column in columns[name])
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {relation} AS SELECT {listed} FROM lake.exports.{name} "
            "WHERE as_of_date = $day",
            {"day": request.as_of_date},
        )
    open_clear_values(
        con,
        settings,
        keys,
        " UNION ALL ".join(f"SELECT customer_id FROM {relation}" for relation in relations),
        task="write_exports",
        reason=f"customers of the files of {request.as_of_date}",
        run_id=run_id,
        read_at=request.started_at,
    )
    for relation in relations:
        name_customers(con, relation)


def _write_table(
    con: duckdb.DuckDBPyConnection, table: ExportTable, columns: dict[str, str], folder: Path
) -> list[ExportFile]:
    relation = f"{table.name}_of_day"
    (rows,) = _fetch_one(con, f"SELECT count(*) FROM {relation}", {})
    files = []
    for format_, write in (("csv", write_csv), ("parquet", write_parquet)):
        path = folder / f"{table.name}.{format_}"
        write(con, relation, columns, table.key, path)
        files.append(
            ExportFile(
                path=path.name,
                table=table.full_name,
                format=format_,
                rows=rows,
                columns=tuple(Column(name=name, type=type_) for name, type_ in columns.items()),
                sha256=hash_file(path),
                size_bytes=path.stat().st_size,
            )
        )
    return files


def ledger_to_frame(manifest: Manifest, request: StageRequest) -> pl.DataFrame:
    """One row per file with the columns of `ops.export_ledger`."""
    day = manifest.as_of_date.isoformat()
    rows = [
        {
            "run_id": manifest.run_id,
            "as_of": manifest.as_of,
            "path": f"{day}/{file.path}",
            "count_rows": file.rows,
            "sha256": file.sha256,
            "count_blocked": manifest.blocked_by_consent[file.table.split(".")[1]].rows,
            "published_at": request.started_at,
        }
        for file in manifest.files
    ]
    return pl.DataFrame(rows)


def _record(settings: Settings, manifest: Manifest, request: StageRequest) -> None:
    frame = ledger_to_frame(manifest, request)
    columns = [column for column in TABLES[LEDGER].columns if column != "published_at"]
    con = connect(settings)
    try:
        known = con.execute(
            f"SELECT {', '.join(columns)} FROM lake.{LEDGER} WHERE run_id = ? ORDER BY path",
            [manifest.run_id],
        ).fetchall()
    except duckdb.CatalogException:
        known = []
    finally:
        con.close()
    if known == frame.select(columns).sort("path").rows():
        return  # published before, byte for byte: the first time stays on record

    def write(con: duckdb.DuckDBPyConnection) -> int:
        create_tables(con)
        return replace_partition(con, LEDGER, frame, {"run_id": manifest.run_id}, allow_shrink=True)

    transact(settings, write, message=f"export {manifest.run_id}")


def _fetch_one(
    con: duckdb.DuckDBPyConnection, query: str, parameters: dict[str, object]
) -> Sequence[int]:
    row = con.execute(query, parameters).fetchone() if parameters else con.execute(query).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return row
