"""The clear values of people: what an export needs to name somebody to the shop's own tools.

The loader never opens the vault: it puts encrypted rows into `vault.inbox`, in the transaction of the batch that told them. A task
of the export DAG delivers them into a DuckDB file beside the lake, encrypted as a whole (AES-256-GCM): `kept`, one row per
identifier, field, value and source, and `people`, one row per customer. Exports and erasure open it; each opening is a row of
`ops.vault_reads`.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import polars as pl

from jobs.errors import ConfigError
from jobs.keys import KeyRing, check_ring, decrypt_texts, encrypt_texts
from jobs.lake import append_rows, open_for_writing, transact
from jobs.lake.connection import attach_encrypted, vault_lock
from jobs.settings import Settings

logger = logging.getLogger(__name__)

Field = Literal["user_id", "email", "phone", "first_name", "last_name", "country", "postal_code"]
FIELDS: tuple[Field, ...] = (
    "user_id",
    "email",
    "phone",
    "first_name",
    "last_name",
    "country",
    "postal_code",
)
# The fields by which a shop's tools know a customer, the best one first.
NAMES: tuple[Field, ...] = ("user_id", "email", "phone")
DEFAULT_FIELDS = NAMES  # what an export needs, and nothing more

Reader = Literal["write_exports", "erase_customers"]

PURPOSE = "vault"
INBOX = "vault.inbox"
READS = "ops.vault_reads"
PEOPLE = "clear_people"
# Of one person's mail, address or number: told again within a day it is not noted again.
_TOLD_AGAIN = "INTERVAL 1 DAY"
_CHUNK_ROWS = 200_000  # texts that Python holds at once: some 100 MB

_KEPT = {
    "identifier": "VARCHAR NOT NULL",
    "field": "VARCHAR NOT NULL",
    "value": "VARCHAR NOT NULL",
    "source": "VARCHAR NOT NULL",
    "told_at": "TIMESTAMPTZ",
    "known_at": "TIMESTAMPTZ NOT NULL",
}
_PEOPLE = {"customer_id": "VARCHAR"} | {
    name: type_
    for field in FIELDS
    for name, type_ in (
        (field, "VARCHAR"),
        (f"{field}_source", "VARCHAR"),
        (f"{field}_told_at", "TIMESTAMPTZ"),
    )
}


def vault_path(settings: Settings, fingerprint: str) -> Path:
    """The vault's file of a key ring; which one counts follows from the ring that the lake has on record."""
    return settings.vault_dir / f"people-{fingerprint}.duckdb"


def keep_clear_values(
    con: duckdb.DuckDBPyConnection, keys: KeyRing, source: str, relation: str, known_at: datetime
) -> None:
    """Put the clear values that a batch tells into the inbox, encrypted, but for those that wait there already.

    Run it inside the batch's transaction. Of each source, since two loaders may meet the same person at once, and nothing but
    the source's lock keeps them apart.

    Args:
        con: the lake.
        keys: the ring.
        source: whence they came.
        relation: SQL of rows (identifier, field, value, told_at): pseudonyms, a `Field` of each, its clear text, and when the
            source said so (null where it does not tell).
        known_at: the run's time.
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE clear_values AS SELECT identifier, field, value, max(told_at) AS told_at "
        f"FROM ({relation}) WHERE identifier IS NOT NULL AND value IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE sealed_values "
        "(identifier VARCHAR, field VARCHAR, record BLOB, told_at TIMESTAMPTZ)"
    )
    for chunk in read_chunks(con, "clear_values"):
        append_chunk(con, "sealed_values", seal_values(keys.derive(PURPOSE), chunk))
    con.execute(
        f"""
        INSERT INTO lake.{INBOX} BY NAME
        SELECT told.*, $source AS source, $known_at::TIMESTAMPTZ AS known_at
        FROM sealed_values AS told
        LEFT JOIN (
            SELECT identifier, field, record, max(told_at) AS told_at, max(known_at) AS known_at
            FROM lake.{INBOX} WHERE source = $source GROUP BY ALL
        ) AS inbox ON told.identifier = inbox.identifier AND told.field = inbox.field AND told.record = inbox.record
        WHERE NOT coalesce(
            CASE WHEN told.told_at IS NULL THEN inbox.known_at >= $known_at::TIMESTAMPTZ - {_TOLD_AGAIN}
            ELSE inbox.told_at >= told.told_at - {_TOLD_AGAIN} END,
            false
        )
        """,
        {"source": source, "known_at": known_at},
    )
    for table in ("clear_values", "sealed_values"):
        con.execute(f"DROP TABLE {table}")


def deliver(
    settings: Settings,
    keys: KeyRing,
    fields: Collection[str],
    started_at: datetime,
    run_id: str | None = None,
) -> dict[str, int]:
    """Move the inbox into the vault, and make its table of people anew.

    The vault commits first, and then the rows leave the inbox: a crash between delivers them twice, which changes nothing.

    Args:
        settings: where the lake and the vault are.
        keys: the ring.
        fields: what the vault may keep; other values are dropped unread, and so are those that it has of other fields.
        started_at: the run's time, recorded as `read_at`.
        run_id: recorded too.

    Returns:
        How many rows were `delivered`, how many were `dropped`, and how many `people` the vault holds.

    Raises:
        ConfigError: a field has no such name, the key is not the lake's, or the file is another lake's.
        TransientError: another process has the vault, or the lake, for too long.
    """
    if unknown := sorted(set(fields) - set(FIELDS)):
        raise ConfigError(
            f"the vault has no field {', '.join(unknown)}; it has {', '.join(FIELDS)} (`vault: fields:` in the run "
            "configuration)"
        )
    path = vault_path(settings, keys.fingerprint)
    with vault_lock(settings), open_for_writing(settings) as con:
        check_ring(con, keys)
        con.execute(f"CREATE TEMP TABLE inbox AS SELECT rowid AS inbox_row, * FROM lake.{INBOX}")
        count_told = _count(con, "inbox")
        count_delivered = _open_inbox(con, keys.derive(PURPOSE), fields)
        attach_encrypted(con, path, "clear", keys.derive(PURPOSE), read_only=False)
        con.execute("BEGIN")
        _claim(con, path)
        con.execute(f"CREATE TABLE IF NOT EXISTS clear.kept ({_columns(_KEPT)})")
        con.execute("DELETE FROM clear.kept WHERE field NOT IN (SELECT unnest(?))", [list(fields)])
        con.execute(
            """
            MERGE INTO clear.kept USING told ON kept.identifier = told.identifier
                AND kept.field = told.field AND kept.value = told.value AND kept.source = told.source
            WHEN MATCHED THEN UPDATE SET told_at = greatest(kept.told_at, told.told_at),
                known_at = greatest(kept.known_at, told.known_at)
            WHEN NOT MATCHED THEN INSERT BY NAME
            """
        )
        con.execute(f"CREATE OR REPLACE TABLE clear.people AS {_people_sql()}")
        con.execute("COMMIT")
        count_people = _count(con, "clear.people")
        con.execute("DROP TABLE told")
        con.execute("DETACH clear")

        def empty(con: duckdb.DuckDBPyConnection) -> None:
            con.execute(f"DELETE FROM lake.{INBOX} WHERE rowid IN (SELECT inbox_row FROM inbox)")
            if count_delivered:
                _record_read(con, "deliver_vault", "delivery", count_delivered, run_id, started_at)

        if count_told:
            transact(settings, empty, message="deliver the vault's inbox", con=con)
    counts = {
        "delivered": count_delivered,
        "dropped": count_told - count_delivered,
        "people": count_people,
    }
    logger.info(
        "delivered %(delivered)d values, dropped %(dropped)d; the vault holds %(people)d people",
        counts,
    )
    return counts


def open_clear_values(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    keys: KeyRing,
    customers: str,
    *,
    task: Reader,
    reason: str,
    run_id: str,
    read_at: datetime,
) -> int:
    """Fill the temporary table `clear_people` with what the vault knows of some customers, and put that on record first.

    It has one row per customer that the vault knows: `customer_id`, and of each of `FIELDS` the value, `<field>_source` and
    `<field>_told_at`. Without a vault there is none, and nothing to put on record.

    Args:
        con: the lake; with `encrypt_spills`, for these rows may be spilled. A transaction may be under way on it.
        settings: where the lake and the vault are.
        keys: the ring.
        customers: SQL of rows (customer_id).
        task: who opens it.
        reason: what for.
        run_id: the run that asks.
        read_at: the run's time.

    Returns:
        How many rows the table has.

    Raises:
        ConfigError: the key is not the lake's, or the file is not this lake's.
        TransientError: another process has the vault, or the lake, for too long.
    """
    check_ring(con, keys)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {PEOPLE} ({_columns(_PEOPLE)})")
    path = vault_path(settings, keys.fingerprint)
    if not path.exists():
        logger.warning("there is no vault at %s: customers keep their pseudonyms", path)
        return 0
    asked = con.execute(f"SELECT DISTINCT customer_id FROM ({customers})").pl()
    # A connection of its own: the lake's would keep the file open until its transaction ends.
    with vault_lock(settings), duckdb.connect(":memory:") as vault:
        vault.execute(
            "SET temp_directory = ''"
        )  # what does not fit into memory fails, and is written nowhere
        attach_encrypted(vault, path, "clear", keys.derive(PURPOSE), read_only=True)
        _check_owner(vault, _find_beginning(con), path)
        vault.register("asked", asked.to_arrow())
        known = "FROM clear.people SEMI JOIN asked USING (customer_id)"
        count = int(_fetch_value(vault, f"SELECT count(*) {known}"))

        def record(lake: duckdb.DuckDBPyConnection) -> None:
            _record_read(lake, task, reason, count, run_id, read_at)

        transact(settings, record, message=f"{task} opens the vault")
        people = vault.execute(f"SELECT * {known}").pl()
    con.register("opened_people", people.to_arrow())
    con.execute(f"INSERT INTO {PEOPLE} BY NAME SELECT * FROM opened_people")
    con.unregister("opened_people")
    return count


def name_customers(
    con: duckdb.DuckDBPyConnection, relation: str, column: str = "customer_id"
) -> None:
    """Put what the shop calls its customers in the place of pseudonyms: their number, else e-mail address, else telephone.

    A customer whom the vault does not know, or whom the shop calls as it calls another one of them, keeps the pseudonym: a
    CRM tool would take the two for one.

    Args:
        con: with the table that `open_clear_values` has filled.
        relation: a temporary table.
        column: holds customer ids.
    """
    con.execute(
        f"""
        UPDATE {relation} SET {column} = names.name
        FROM (
            SELECT customer_id, coalesce({", ".join(NAMES)}) AS name FROM {PEOPLE} WHERE name IS NOT NULL
            QUALIFY count(*) OVER (PARTITION BY name) = 1
        ) AS names
        WHERE {relation}.{column} = names.customer_id
        """
    )


def copy_vault(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    former: KeyRing,
    keys: KeyRing,
    rewrite: Callable[[str], str],
) -> None:
    """Write the vault of a new ring beside the former ring's, and see it on the disk; without a former one there is nothing to do.

    Run it under `vault_lock`. What a killed run has left of the new one goes first.

    Args:
        con: the lake, with whatever `rewrite` needs; no transaction is under way.
        settings: where the vault is.
        former: the ring of the vault as it is.
        keys: the ring of the new one.
        rewrite: SQL of an identifier -> SQL of what it becomes.

    Raises:
        ConfigError: the former file is not that ring's, or not this lake's.
    """
    old, new = vault_path(settings, former.fingerprint), vault_path(settings, keys.fingerprint)
    remove_vault(settings, keys.fingerprint)
    if not old.exists():
        return
    attach_encrypted(con, old, "clear", former.derive(PURPOSE), read_only=False)
    attach_encrypted(con, new, "rotated", keys.derive(PURPOSE), read_only=False)
    _claim(con, old)
    con.execute("CREATE TABLE rotated.lakes AS FROM clear.lakes")
    for table, columns, column in (
        ("kept", _KEPT, "identifier"),
        ("people", _PEOPLE, "customer_id"),
    ):
        con.execute(f"CREATE TABLE IF NOT EXISTS clear.{table} ({_columns(columns)})")
        con.execute(f"CREATE TABLE rotated.{table} ({_columns(columns)})")
        con.execute(
            f"INSERT INTO rotated.{table} SELECT * REPLACE ({rewrite(column)} AS {column}) FROM clear.{table}"
        )
    con.execute("DETACH rotated")
    con.execute("DETACH clear")
    for path in (new, settings.vault_dir):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def remove_vault(settings: Settings, fingerprint: str) -> None:
    """Remove a ring's file, where it is there. Run it under `vault_lock`."""
    path = vault_path(settings, fingerprint)
    for name in (path.name, f"{path.name}.wal"):
        (path.parent / name).unlink(missing_ok=True)


def read_chunks(con: duckdb.DuckDBPyConnection, table: str) -> Iterator[pl.DataFrame]:
    """The rows of a temporary table, a number of them at a time: Python is to hold few texts.

    The table must not change meanwhile. DuckDB keeps to the order of insertion; row ids would not do, for those of a running
    transaction are provisional.
    """
    for first in range(0, _count(con, table), _CHUNK_ROWS):
        yield con.execute(f"SELECT * FROM {table} LIMIT {_CHUNK_ROWS} OFFSET {first}").pl()


def seal_values(key: bytes, values: pl.DataFrame) -> pl.DataFrame:
    """Encrypt the column `value` into `record`: each for its identifier and field alone."""
    contexts = (values["identifier"] + " " + values["field"]).to_list()
    records = encrypt_texts(key, values["value"].to_list(), contexts)
    return values.drop("value").with_columns(pl.Series("record", records, pl.Binary))


def unseal_values(key: bytes, values: pl.DataFrame) -> pl.DataFrame:
    """Decrypt the column `record` into `value`.

    Raises:
        ConfigError: the key is another one.
    """
    contexts = (values["identifier"] + " " + values["field"]).to_list()
    texts = decrypt_texts(key, values["record"].to_list(), "the vault's inbox", contexts)
    return values.drop("record").with_columns(pl.Series("value", texts, pl.String))


def append_chunk(con: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    """Add a frame to a temporary table by column name."""
    con.register("chunk", rows.to_arrow())
    con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM chunk")
    con.unregister("chunk")


def _open_inbox(con: duckdb.DuckDBPyConnection, key: bytes, fields: Collection[str]) -> int:
    """Decrypt the rows of the table `inbox` that are wanted into the table `told`; tells how many they are."""
    con.execute(f"CREATE TEMP TABLE opened ({_columns(_KEPT)})")
    for chunk in read_chunks(con, "inbox"):
        wanted = chunk.drop("inbox_row").filter(pl.col("field").is_in(list(fields)))
        append_chunk(con, "opened", unseal_values(key, wanted))
    con.execute(
        "CREATE TEMP TABLE told AS SELECT identifier, field, value, source, max(told_at) AS told_at, "
        "max(known_at) AS known_at FROM opened GROUP BY ALL ORDER BY ALL"
    )
    count = _count(con, "opened")
    con.execute("DROP TABLE opened")
    return count


def _people_sql() -> str:
    """SQL of one row per customer; an identifier that the lake has given to nobody is somebody by itself."""
    columns = ", ".join(
        f"max({of}) FILTER (field = '{field}') AS {name}"
        for field in FIELDS
        for name, of in (
            (field, "value"),
            (f"{field}_source", "source"),
            (f"{field}_told_at", "told_at"),
        )
    )
    return f"""
        WITH latest AS (
            SELECT coalesce(identifiers.customer_id, kept.identifier) AS customer_id, field, value, source, told_at
            FROM clear.kept LEFT JOIN lake.identity.identifiers USING (identifier)
            QUALIFY row_number() OVER (
                PARTITION BY coalesce(identifiers.customer_id, kept.identifier), field
                ORDER BY told_at DESC NULLS LAST, known_at DESC, value, source
            ) = 1
        )
        SELECT customer_id, {columns} FROM latest GROUP BY customer_id ORDER BY customer_id
    """


def _claim(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write down in a new vault whose it is, and refuse another lake's: its people would be named from this lake's."""
    con.execute("CREATE TABLE IF NOT EXISTS clear.lakes (began_at TIMESTAMPTZ NOT NULL)")
    beginning = _find_beginning(con)
    if _count(con, "clear.lakes") == 0 and beginning is not None:
        con.execute("INSERT INTO clear.lakes VALUES (?)", [beginning])
    _check_owner(con, beginning, path)


def _find_beginning(con: duckdb.DuckDBPyConnection) -> datetime | None:
    """By what a lake is known: the instant of its first key ring."""
    found: datetime | None = _fetch_value(con, "SELECT min(since) FROM lake.ops.key_rings")
    return found


def _check_owner(con: duckdb.DuckDBPyConnection, beginning: datetime | None, path: Path) -> None:
    row = con.execute("SELECT began_at FROM clear.lakes").fetchone()
    if row is not None and row[0] != beginning:
        raise ConfigError(
            f"opening {path}: it is another lake's vault; give each lake its own with PERSONALAKE_VAULT"
        )


def _record_read(
    con: duckdb.DuckDBPyConnection,
    task: str,
    reason: str,
    count_rows: int,
    run_id: str | None,
    read_at: datetime,
) -> None:
    row = {
        "task": [task],
        "reason": [reason],
        "count_rows": [count_rows],
        "run_id": pl.Series([run_id], dtype=pl.String),
        "read_at": [read_at],
    }
    append_rows(con, READS, pl.DataFrame(row))


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {type_}" for name, type_ in columns.items())


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(_fetch_value(con, f"SELECT count(*) FROM {table}"))


def _fetch_value(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = con.execute(query).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return row[0]
