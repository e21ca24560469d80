"""Rotate the keys: give every pseudonym in the lake and the vault a new key on top of the older ones, and forget the former state.

Reads and writes: every table of the lake that holds a pseudonym, `raw.rejects`, `vault.inbox`, `ops.key_rings`, and the vault's
file. The environment holds the lake's keys and a new one. First the new vault is written beside the old one, then the lake is
rewritten in one transaction, whose commit is the switch: which vault counts follows from the ring that the lake has on record.
Last, what is left of the former state goes: snapshots, files, the old vault. A run that is killed leaves the old state or the new
one; another run finishes it.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl

from jobs.errors import ConfigError, InputDataError
from jobs.keys import RINGS, KeyRing, decrypt_texts, encrypt_texts, find_ring
from jobs.lake import TABLES, connect, transact, write_lock
from jobs.lake.connection import check_folder, vault_lock
from jobs.lake.maintenance import forget_history
from jobs.settings import Settings
from jobs.sources.entities import IDENTIFIERS
from jobs.sources.pseudonyms import PREFIXES, hash_sql, set_keys
from jobs.sources.writing import REJECTS
from jobs.vault import (
    INBOX,
    append_chunk,
    copy_vault,
    read_chunks,
    remove_vault,
    seal_values,
    unseal_values,
)
from jobs.vault import PURPOSE as VAULT

logger = logging.getLogger(__name__)

REJECTS_TABLE = "raw.rejects"
_DIGITS = "[0-9a-f]{32}"
_ANY = rf"\b(?:{'|'.join(PREFIXES.values())}){_DIGITS}\b"
# What a source says of goods and orders may look like a pseudonym (an md5 behind `p_`); the loader writes there only the pseudonyms
# of texts that a mapping calls personal.
_OF_TEXT = rf"\b{PREFIXES['text']}{_DIGITS}\b"
_WORDS_OF_SOURCES = tuple(
    {column for table in TABLES.values() if table.schema == "raw" for column in table.columns}
    - set(IDENTIFIERS)
)

# What pseudonyms can be rewritten in.
_TYPES = ("VARCHAR", "VARCHAR[]", "JSON")

State = Literal["empty", "current", "due", "unfinished", "other"]


@dataclass(frozen=True)
class RingStatus:
    """How the environment's keys and the lake's go together.

    Attributes:
        environment: fingerprint of the keys in the environment.
        count_keys: how many they are.
        lake: fingerprint of the ring that the lake has on record; None for a lake without pseudonyms.
        state: `current`; `due`, the environment has a new key; `unfinished`, the lake is rotated and something of its former
            state is left; `other`, the keys are not the lake's; `empty`, the lake has no ring yet.
    """

    environment: str
    count_keys: int
    lake: str | None
    state: State


@dataclass(frozen=True)
class TextColumn:
    """A column that holds pseudonyms: as whole values, or in lists and longer texts."""

    name: str
    type: str
    pattern: str
    are_whole: bool


@dataclass(frozen=True)
class RewrittenTable:
    """A table that a rotation writes anew."""

    name: str
    comment: str | None  # dbt writes its descriptions there
    count_rows: int
    columns: tuple[TextColumn, ...]


@dataclass(frozen=True)
class Rotation:
    """What a rotation did, or would do.

    Attributes:
        status: of the keys before it.
        tables: the lake's tables that are written anew; none for one that was only finished.
        count_pseudonyms: distinct ones that are whole values.
    """

    status: RingStatus
    tables: tuple[RewrittenTable, ...] = ()
    count_pseudonyms: int = 0


def find_status(settings: Settings, keys: KeyRing) -> RingStatus:
    """Compare the environment's keys with the lake's.

    Raises:
        ConfigError: there is no lake.
        TransientError: its catalog does not answer.
    """
    con = connect(settings)
    try:
        return _compare(con, settings, keys)
    finally:
        con.close()


def plan_rotation(settings: Settings, keys: KeyRing) -> Rotation:
    """What `rotate` would do; nothing is written.

    Raises:
        ConfigError: the keys are not the lake's and a new one.
    """
    con = connect(settings)
    try:
        status = _compare(con, settings, keys)
        if not _is_due(status):
            return Rotation(status)
        tables = _find_tables(con)
        return Rotation(status, tables, _collect(con, keys, tables))
    finally:
        con.close()


def rotate(settings: Settings, keys: KeyRing, started_at: datetime) -> Rotation:
    """Rotate the lake and the vault to the newest of the keys, or finish what another run has begun.

    Args:
        settings: where the lake and the vault are.
        keys: the lake's, and a new one.
        started_at: the run's time, on record with the new ring.

    Returns:
        What was done.

    Raises:
        ConfigError: there is no lake, the keys are not its own and a new one, or a record is encrypted with yet another one.
        InputDataError: a column of a nested type holds pseudonyms.
        TransientError: another process has the vault or the lake for too long.
    """
    check_folder(settings, read_only=True)  # a lake that is not there is not to be made
    # Nobody writes to the lake meanwhile, with PostgreSQL neither: whoever waits finds another ring, and stops.
    with vault_lock(settings), write_lock(settings, alone=True):
        con = connect(settings, read_only=False)
        try:
            status = _compare(con, settings, keys)
            rotation = Rotation(status)
            if _is_due(status):
                _marker(settings, keys).touch(mode=0o600)
                rotation = _rotate(con, settings, keys, started_at, status)
        finally:
            con.close()
        if status.state != "current":
            forget_history(settings)
            if keys.former is not None:
                remove_vault(settings, keys.former.fingerprint)
            _marker(settings, keys).unlink()
    return rotation


def _compare(con: duckdb.DuckDBPyConnection, settings: Settings, keys: KeyRing) -> RingStatus:
    lake = find_ring(con)
    state: State = "other"
    if lake is None:
        state = "empty"
    elif lake == keys.fingerprint:
        state = "unfinished" if _marker(settings, keys).exists() else "current"
    elif keys.former is not None and keys.former.fingerprint == lake:
        state = "due"
    return RingStatus(keys.fingerprint, len(keys.secrets), lake, state)


def _marker(settings: Settings, keys: KeyRing) -> Path:
    """Stands beside the vault from before the lake is rewritten until nothing of its former state is left."""
    return settings.vault_dir / f".rotating-{keys.fingerprint}"


def _is_due(status: RingStatus) -> bool:
    """Whether the lake is to be rewritten.

    Raises:
        ConfigError: that cannot be told, for the keys do not fit.
    """
    if status.state == "empty":
        raise ConfigError(
            "rotating keys: this lake has no pseudonyms yet; load logs with the key that it is to have from the start"
        )
    if status.state == "other":
        raise ConfigError(
            f"rotating keys: the lake's ring is {status.lake}, and PERSONALAKE_KEY makes the ring {status.environment} "
            f"({status.count_keys} keys); it must hold the lake's keys as they were, a comma, and one new key "
            "(`personalake keys new`)"
        )
    if status.state == "current" and status.count_keys == 1:
        raise ConfigError(
            "rotating keys: PERSONALAKE_KEY holds the lake's key and no new one; make one with `personalake keys new`, and put "
            "it behind the old one with a comma between"
        )
    return status.state == "due"


def _rotate(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    keys: KeyRing,
    started_at: datetime,
    status: RingStatus,
) -> Rotation:
    former = keys.former
    assert former is not None  # noqa: S101 - else a rotation is never due
    tables = _find_tables(con)
    count = _collect(con, keys, tables)
    newest = KeyRing(keys.secrets[-1:])
    copy_vault(con, settings, former, keys, partial(hash_sql, newest))
    _reseal_rejects(con, former, keys)
    _reseal_inbox(con, former, keys)

    def rewrite(con: duckdb.DuckDBPyConnection) -> None:
        for table in tables:
            _rewrite(con, table, newest)
        con.execute(
            f"INSERT INTO lake.{RINGS} BY NAME SELECT $fingerprint AS fingerprint, $since::TIMESTAMPTZ AS since",
            {"fingerprint": keys.fingerprint, "since": started_at},
        )

    transact(settings, rewrite, message=f"rotate keys to {keys.fingerprint}", con=con)
    logger.info("rewrote %d tables with %d pseudonyms", len(tables), count)
    return Rotation(status, tables, count)


def _find_tables(con: duckdb.DuckDBPyConnection) -> tuple[RewrittenTable, ...]:
    """The tables that hold pseudonyms, or records that are encrypted.

    DuckLake counts in `estimated_size` every row that a table was given, those that were deleted too; to look into the many tables
    that were given none would take longer than all else.

    Raises:
        InputDataError: a column of a nested type holds pseudonyms.
    """
    rows = con.execute(
        """
        SELECT schema_name || '.' || table_name, duckdb_tables.comment, column_name, data_type
        FROM duckdb_columns() JOIN duckdb_tables() USING (database_name, schema_name, table_name)
        WHERE database_name = 'lake' AND (contains(data_type, 'VARCHAR') OR contains(data_type, 'JSON'))
            AND estimated_size > 0
        ORDER BY schema_name, table_name, column_index
        """
    ).fetchall()
    columns: dict[tuple[str, str | None], list[tuple[str, str]]] = {}
    for name, comment, column, type_ in rows:
        columns.setdefault((name, comment), []).append((column, type_))
    found = (_look_at(con, name, comment, told) for (name, comment), told in columns.items())
    return tuple(
        table for table in found if table.columns or (table.name in _RECORDS and table.count_rows)
    )


def _look_at(
    con: duckdb.DuckDBPyConnection,
    table: str,
    comment: str | None,
    columns: list[tuple[str, str]],
) -> RewrittenTable:
    """Which columns of a table hold pseudonyms."""
    # `item_id`, and so `similar_item_id`.
    patterns = [_OF_TEXT if name.endswith(_WORDS_OF_SOURCES) else _ANY for name, _ in columns]
    asked = ", ".join(
        f"""bool_or(regexp_matches("{name}"::VARCHAR, '{pattern}')), """
        f"""bool_or(NOT regexp_full_match("{name}"::VARCHAR, '{pattern}')) """
        f"""FILTER (regexp_matches("{name}"::VARCHAR, '{pattern}'))"""
        for (name, _), pattern in zip(columns, patterns, strict=True)
    )
    row = con.execute(f"SELECT count(*), {asked} FROM lake.{table}").fetchone()
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    told = zip(columns, patterns, row[1::2], row[2::2], strict=True)
    found = tuple(
        TextColumn(name, type_, pattern, are_whole=not is_longer)
        for (name, type_), pattern, is_there, is_longer in told
        if is_there
    )
    if nested := [column.name for column in found if column.type not in _TYPES]:
        raise InputDataError(
            f"rotating keys: {table} holds pseudonyms in {', '.join(nested)}, whose type cannot be rewritten "
            f"(expected {', '.join(_TYPES)}); drop the table, rotate, and build it again"
        )
    return RewrittenTable(table, comment, row[0], found)


def _collect(
    con: duckdb.DuckDBPyConnection, keys: KeyRing, tables: tuple[RewrittenTable, ...]
) -> int:
    """Hash each pseudonym once, into the temporary table `pseudonyms` (former, pseudonym); tells how many there are."""
    newest = KeyRing(keys.secrets[-1:])
    set_keys(con, newest)
    selects = [
        f'SELECT DISTINCT "{column.name}" AS former FROM lake.{table.name} '
        f"""WHERE regexp_matches("{column.name}", '{column.pattern}')"""
        for table in tables
        for column in table.columns
        if column.are_whole
    ]
    told = " UNION ".join(selects) or "SELECT NULL::VARCHAR AS former WHERE false"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE pseudonyms AS SELECT former, {hash_sql(newest, 'former')} AS pseudonym "
        f"FROM ({told})"
    )
    row = con.execute("SELECT count(*) FROM pseudonyms").fetchone()
    return row[0] if row else 0


def _rewrite_sql(newest: KeyRing, pattern: str, text: str) -> str:
    """SQL of a text with another key on top of each pseudonym in it; `set_keys` has given the connection the newest key alone."""
    # A text is cut into pseudonyms, and stretches in which none begins.
    letters = "".join(prefix[0] for prefix in PREFIXES.values())
    cut = f"regexp_extract_all({text}, '(?s){pattern}|[^{letters}]+|.')"
    part = f"CASE WHEN regexp_full_match(part, '{pattern}') THEN {hash_sql(newest, 'part')} ELSE part END"
    return (
        f"CASE WHEN regexp_matches({text}, '{pattern}') "
        f"THEN array_to_string(list_transform({cut}, lambda part: {part}), '') ELSE {text} END"
    )


def _reseal_rejects(con: duckdb.DuckDBPyConnection, former: KeyRing, keys: KeyRing) -> None:
    """Encrypt rejected lines with the newest key, into the temporary table `resealed_rejects`."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE reject_records AS SELECT DISTINCT raw_record AS former "
        f"FROM lake.{REJECTS_TABLE} WHERE raw_record IS NOT NULL"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE resealed_rejects (former BLOB, record BLOB)")
    for chunk in read_chunks(con, "reject_records"):
        texts = decrypt_texts(former.derive(REJECTS), chunk["former"].to_list(), "rejected lines")
        records = encrypt_texts(keys.derive(REJECTS), texts)
        sealed = chunk.with_columns(pl.Series("record", records, pl.Binary))
        append_chunk(con, "resealed_rejects", sealed)


def _reseal_inbox(con: duckdb.DuckDBPyConnection, former: KeyRing, keys: KeyRing) -> None:
    """Encrypt the vault's inbox with the newest key and for the new identifiers, into the temporary table `resealed_inbox`."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE inbox_records AS SELECT DISTINCT identifier, field, record, pseudonym "
        f"FROM lake.{INBOX} JOIN pseudonyms ON identifier = former"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE resealed_inbox (identifier VARCHAR, field VARCHAR, former BLOB, record BLOB)"
    )
    for chunk in read_chunks(con, "inbox_records"):
        values = unseal_values(former.derive(VAULT), chunk.drop("pseudonym"))
        sealed = seal_values(keys.derive(VAULT), values.with_columns(identifier=chunk["pseudonym"]))
        rows = chunk.select("identifier", "field", former="record", record=sealed["record"])
        append_chunk(con, "resealed_inbox", rows)


# Of the tables with encrypted records: the column, and where the record of the newest key is found.
_RECORDS = {
    REJECTS_TABLE: (
        "raw_record",
        "resealed_rejects AS resealed ON rows.raw_record = resealed.former",
    ),
    INBOX: (
        "record",
        "resealed_inbox AS resealed ON rows.identifier = resealed.identifier AND rows.field = resealed.field "
        "AND rows.record = resealed.former",
    ),
}


def _rewrite(con: duckdb.DuckDBPyConnection, table: RewrittenTable, newest: KeyRing) -> None:
    """Write a table anew: an UPDATE would leave the former pseudonyms in its statistics, and beside deleted rows in its files."""
    schema, name = table.name.split(".")
    columns = con.execute(
        "SELECT column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [schema, name],
    ).fetchall()
    values = {column: f'rows."{column}"' for column, *_ in columns}
    joins = []
    for number, column in enumerate(table.columns):
        value = values[column.name]
        if column.type == "VARCHAR[]":
            part = _rewrite_sql(newest, column.pattern, "said")
            values[column.name] = f"list_transform({value}, lambda said: {part})"
        elif column.are_whole:
            values[column.name] = f"coalesce(of_{number}.pseudonym, {value})"
            joins.append(f"pseudonyms AS of_{number} ON {value} = of_{number}.former")
        else:
            text = _rewrite_sql(newest, column.pattern, f"{value}::VARCHAR")
            values[column.name] = f"({text})::{column.type}"
    if table.name in _RECORDS:
        record, join = _RECORDS[table.name]
        values[record] = "resealed.record"
        joins.append(join)
    definition = ", ".join(
        f'"{column}" {type_}{"" if is_nullable else " NOT NULL"}'
        for column, type_, is_nullable in columns
    )
    former = f'"{name}__former"'
    con.execute(f'ALTER TABLE lake.{schema}."{name}" RENAME TO {former}')
    con.execute(f'CREATE TABLE lake.{schema}."{name}" ({definition})')
    con.execute(
        f'INSERT INTO lake.{schema}."{name}" SELECT {", ".join(values.values())} '
        f"FROM lake.{schema}.{former} AS rows {' '.join(f'LEFT JOIN {join}' for join in joins)}"
    )
    con.execute(f"DROP TABLE lake.{schema}.{former}")
    if table.comment is not None:
        comment = table.comment.replace("'", "''")
        con.execute(f"COMMENT ON TABLE lake.{schema}.\"{name}\" IS '{comment}'")
