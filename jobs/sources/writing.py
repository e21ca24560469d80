"""From the staged rows of a batch to the lake: new rows, rejects, the manifest, and the days that changed."""

import logging
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb
import polars as pl

from jobs.keys import KeyRing, encrypt_texts
from jobs.sources.bots import bot_pattern
from jobs.sources.entities import ENTITIES, IDENTIFIERS, VAULT_ONLY
from jobs.sources.staging import Staged, located
from jobs.vault import keep_clear_values

logger = logging.getLogger(__name__)

REJECTS = "rejects"  # the purpose that their key is derived for
_DAY_US = 86_400_000_000
# Of a batch that failed, so many rejects a reason are kept: enough to see what is wrong with it.
KEPT_OF_FAILED = 100


@dataclass
class BatchCounts:
    """What a batch did, in rows and files.

    Attributes:
        of_entity: entity -> (rows, rejected).
        failed_files: of a batch that failed, its manifest rows.
        failed_rejects: of a batch that failed, some of its rejects.
    """

    files_loaded: int = 0
    files_known: int = 0
    rows: int = 0
    loaded: int = 0
    duplicates: int = 0
    rejected: int = 0
    withdrawn: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    of_entity: dict[str, tuple[int, int]] = field(default_factory=dict)
    failed_files: pl.DataFrame | None = None
    failed_rejects: pl.DataFrame | None = None

    def keep_failed(self, con: duckdb.DuckDBPyConnection) -> None:
        """Take out of a transaction that is to be rolled back what tells why."""
        self.failed_files = con.execute("SELECT * FROM batch_files").pl()
        self.failed_rejects = con.execute(
            "SELECT * FROM batch_rejects "
            "QUALIFY row_number() OVER (PARTITION BY reason_code ORDER BY path, line_number) <= ?",
            [KEPT_OF_FAILED],
        ).pl()


def write_batch(
    con: duckdb.DuckDBPyConnection,
    source: str,
    staged: list[Staged],
    keys: KeyRing,
    loaded_at: datetime,
    withdrawn: dict[tuple[str, date], int],
    counts: BatchCounts,
) -> None:
    """Write what `stage` has read. Run it inside the batch's transaction.

    Args:
        con: the lake, with the staged views.
        source: the source's name.
        staged: what `stage` gave.
        keys: of rejected lines and of the vault.
        loaded_at: the run's time.
        withdrawn: rows that were taken back for this batch, by entity and day.
        counts: is filled.
    """
    _forget_failed(con, source)
    con.execute("CREATE OR REPLACE TEMP TABLE batch_counts (entity VARCHAR, file_id VARCHAR, "
                "count_rows BIGINT, count_duplicates BIGINT, count_rejected BIGINT)")  # fmt: skip
    counts.withdrawn = sum(withdrawn.values())
    for item in staged:
        mark_duplicates(con, source, item)
        insert_rows(con, source, item, located(con, item.view))
        _count(con, item)
        note_days(con, source, item, loaded_at, withdrawn)
    keep_people(con, keys, source, staged, loaded_at)
    _write_rejects(con, source, staged, keys, loaded_at)
    _write_files(con, source, staged, loaded_at)
    for entity, rows, rejected, duplicates in con.execute(
        "SELECT entity, sum(count_rows)::BIGINT, sum(count_rejected)::BIGINT, sum(count_duplicates)::BIGINT "
        "FROM batch_files GROUP BY 1"
    ).fetchall():
        counts.of_entity[entity] = (rows, rejected)
        counts.rows += rows
        counts.rejected += rejected
        counts.duplicates += duplicates
    counts.loaded = counts.rows - counts.rejected - counts.duplicates
    counts.reasons = dict(
        con.execute(
            "SELECT reason_code, count(*) FROM batch_rejects GROUP BY 1 ORDER BY 1"
        ).fetchall()
    )


def _forget_failed(con: duckdb.DuckDBPyConnection, source: str) -> None:
    """Files that failed before are told of anew."""
    failed = con.execute(
        "SELECT DISTINCT file_id FROM lake.raw.files WHERE source = ? AND state = 'failed' "
        "AND file_id IN (SELECT file_id FROM places)",
        [source],
    ).fetchall()
    for (file_id,) in failed:
        for table in ("files", "rejects"):
            con.execute(
                f"DELETE FROM lake.raw.{table} WHERE source = ? AND file_id = ?", [source, file_id]
            )


def mark_duplicates(con: duckdb.DuckDBPyConnection, source: str, item: Staged) -> None:
    """Collect the rows whose id the batch or the lake already has; the first one told is the one kept.

    Only ids that occur twice are sorted. A derived id holds its record's time, so history is read only within the batch's span
    of time; an id of the source's own may be told again with another time, and is looked for everywhere.
    """
    view, column, day = item.view, item.entity.id_column, item.entity.day_column
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE duplicates AS
        WITH repeated AS (
            SELECT hash({column}) AS key FROM {view} WHERE reason_code IS NULL
            GROUP BY key HAVING count(*) > 1
        )
        SELECT seq FROM {view}
        WHERE reason_code IS NULL AND hash({column}) IN (SELECT key FROM repeated)
        QUALIFY row_number() OVER (PARTITION BY {column} ORDER BY seq) > 1
        """
    )
    known = con.execute(
        "SELECT 1 FROM lake.raw.files WHERE source = ? AND entity = ? AND count_loaded > 0 LIMIT 1",
        [source, item.entity.name],
    ).fetchone()
    if known is None:
        return
    within = "true"
    if day is not None and not item.entity.is_state:
        row = con.execute(
            f"SELECT bool_and(is_derived), min({day}), max({day}) FROM {view} WHERE reason_code IS NULL"
        ).fetchone()
        if row is None or row[1] is None:
            return
        if row[0]:
            within = f"{day} BETWEEN $first AND $last"
    bound: dict[str, Any] = {"source": source}
    if within != "true":
        bound |= {"first": row[1], "last": row[2]} if row else {}
    con.execute(
        f"""
        INSERT INTO duplicates
        SELECT seq FROM {view}
        WHERE reason_code IS NULL AND seq NOT IN (SELECT seq FROM duplicates)
            AND {column} IN (
                SELECT known.{column} FROM lake.raw.{item.entity.name} AS known
                SEMI JOIN (SELECT DISTINCT {column} FROM {view} WHERE reason_code IS NULL) AS told USING ({column})
                WHERE known.source = $source AND {within}
            )
        """,
        bound,
    )


def insert_rows(
    con: duckdb.DuckDBPyConnection, source: str, item: Staged, located_rows: str
) -> None:
    """Write the good rows that are no duplicates.

    Args:
        con: the lake, with the staged view and the tables `duplicates` and `pseudonyms_<kind>`.
        source: the source's name.
        item: the entity.
        located_rows: SQL of the view with `file_id` and `line_number`.
    """
    entity = item.entity
    own = [name for name in entity.columns if name not in {"source", "file_id", "line_number"}]
    columns = [f"s.{name}" for name in own]
    joins = []
    for column, kind in IDENTIFIERS.items():
        if column not in own:
            continue
        columns[own.index(column)] = f"NULL::VARCHAR AS {column}"
        if con.execute(f"SELECT 1 FROM pseudonyms_{kind} LIMIT 1").fetchone():
            columns[own.index(column)] = f"of_{column}.pseudonym AS {column}"
            joins.append(
                f"LEFT JOIN pseudonyms_{kind} AS of_{column} ON s.{column} = of_{column}.text"
            )
    if entity.name == "events":
        # Each agent is judged once: there are few of them, and the list of bots is long.
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE agents AS SELECT user_agent, regexp_matches(lower(user_agent), ?) AS is_bot "
            f"FROM (SELECT DISTINCT user_agent FROM {item.view} WHERE user_agent IS NOT NULL)",
            [bot_pattern()],
        )
        joins.append(
            "LEFT JOIN (SELECT user_agent FROM agents WHERE is_bot) AS bots ON s.user_agent = bots.user_agent"
        )
        columns[own.index("is_bot")] = "bots.user_agent IS NOT NULL AS is_bot"
        columns[own.index("bot_rule")] = (
            "CASE WHEN bots.user_agent IS NOT NULL THEN 'user_agent' END AS bot_rule"
        )
    con.execute(
        f"""
        INSERT INTO lake.{entity.table} BY NAME
        SELECT $source AS source, {", ".join(columns)}, s.file_id, s.line_number
        FROM ({located_rows}) AS s
        ANTI JOIN duplicates USING (seq)
        {" ".join(joins)}
        WHERE s.reason_code IS NULL
        """,
        {"source": source},
    )


def keep_people(
    con: duckdb.DuckDBPyConnection,
    keys: KeyRing,
    source: str,
    staged: list[Staged],
    known_at: datetime,
) -> None:
    """Put what names the people of the rows into the vault's inbox: what stands behind each pseudonym, and what profiles tell.

    Args:
        con: the lake, with the staged views and the tables `pseudonyms_<kind>`.
        keys: of the vault.
        source: the source's name.
        staged: what the batch holds.
        known_at: the run's time.
    """
    selects = [
        f"SELECT pseudonym AS identifier, '{field}' AS field, canonical[3:] AS value, NULL::TIMESTAMPTZ AS told_at "
        f"FROM ({' UNION '.join(f'SELECT pseudonym, canonical FROM pseudonyms_{kind}' for kind in kinds)}) "
        f"WHERE starts_with(canonical, '{prefix}')"
        for field, prefix, kinds in (
            ("user_id", "u_", ("user",)),
            ("email", "e_", ("user", "email", "phone")),
            ("phone", "p_", ("user", "email", "phone")),
        )
    ]
    for item in staged:
        if item.entity.name != "profiles":
            continue
        # An address that a profile tells is this person's, even if others have it too.
        values = {
            "email": "emails.canonical[3:]",
            "phone": "phones.canonical[3:]",
            "country": "s.country",
            **{name: f"s.{name}" for name in VAULT_ONLY},
        }
        names = ", ".join(f"'{name}'" for name in values)
        told = "coalesce(s.updated_at, s.received_at)"
        selects.append(
            f"SELECT identifier, field, arg_max(value, row(told_at, value)) AS value, max(told_at) AS told_at FROM ("
            f"SELECT coalesce(users.pseudonym, emails.pseudonym, phones.pseudonym) AS identifier, "
            f"unnest([{names}]) AS field, unnest([{', '.join(values.values())}]) AS value, {told} AS told_at "
            f"FROM {item.good_rows} AS s LEFT JOIN pseudonyms_user AS users ON s.user_id = users.text "
            "LEFT JOIN pseudonyms_email AS emails ON s.email = emails.text "
            "LEFT JOIN pseudonyms_phone AS phones ON s.phone = phones.text) "
            "WHERE identifier IS NOT NULL AND value IS NOT NULL GROUP BY identifier, field"
        )
    keep_clear_values(con, keys, source, " UNION ALL ".join(selects), known_at)


def _count(con: duckdb.DuckDBPyConnection, item: Staged) -> None:
    con.execute(
        f"""
        INSERT INTO batch_counts
        SELECT $entity, places.file_id, sum(rows)::BIGINT, sum(repeated)::BIGINT, sum(rejected)::BIGINT
        FROM (
            SELECT local_path, count(*) AS rows, count(duplicates.seq) AS repeated, count(reason_code) AS rejected
            FROM {item.view} AS s LEFT JOIN duplicates ON s.seq = duplicates.seq GROUP BY ALL
            UNION ALL
            SELECT local_path, count(*), 0, count(*) FROM extra_rejects WHERE entity = $entity GROUP BY ALL
        ) JOIN places USING (local_path)
        GROUP BY ALL
        """,
        {"entity": item.entity.name},
    )


def note_days(
    con: duckdb.DuckDBPyConnection,
    source: str,
    item: Staged,
    changed_at: datetime,
    withdrawn: dict[tuple[str, date], int],
) -> None:
    """Write down which days the batch changed; what was computed from a late one is out of date."""
    entity, day = item.entity.name, item.entity.day_column
    if day is None:
        return
    gone = [
        (when, count)
        for (of, when), count in withdrawn.items()
        if of == entity and when is not None
    ]
    con.execute("CREATE OR REPLACE TEMP TABLE gone (day DATE, count_withdrawn BIGINT)")
    if gone:
        con.executemany("INSERT INTO gone VALUES (?, ?)", gone)
    con.execute(
        f"""
        INSERT INTO lake.ops.changed_days BY NAME
        WITH added AS (
            SELECT DATE '1970-01-01' + number AS day, count_added
            FROM (
                SELECT (epoch_us({day}) // {_DAY_US} - (epoch_us({day}) % {_DAY_US} < 0)::BIGINT)::INTEGER AS number,
                    count(*) AS count_added
                FROM {item.view} ANTI JOIN duplicates USING (seq) WHERE reason_code IS NULL AND {day} IS NOT NULL GROUP BY 1
            )
        ),
        before AS (
            SELECT max(day) AS last_day FROM lake.ops.changed_days
            WHERE source = $source AND entity = $entity AND changed_at < $changed_at::TIMESTAMPTZ
        )
        SELECT $source AS source, $entity AS entity, day, coalesce(count_added, 0) AS count_added,
            coalesce(count_withdrawn, 0) AS count_withdrawn, coalesce(day < last_day, false) AS is_late,
            $changed_at::TIMESTAMPTZ AS changed_at
        FROM added FULL JOIN gone USING (day), before
        ORDER BY day
        """,
        {"source": source, "entity": entity, "changed_at": changed_at},
    )


def _write_rejects(
    con: duckdb.DuckDBPyConnection,
    source: str,
    staged: list[Staged],
    keys: KeyRing,
    rejected_at: datetime,
) -> None:
    """Write the lines that are no rows, encrypted: whatever is personal in them, nobody knows where it stands."""
    selects = [
        f"SELECT '{item.entity.name}' AS entity, file_id, line_number, reason_code, reason, raw_text "
        f"FROM ({located(con, item.view)}) WHERE reason_code IS NOT NULL"
        for item in staged
    ]
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE batch_rejects AS
        SELECT rejects.*, places.path, coalesce(raw_text, '') AS whole, NULL::BLOB AS raw_record
        FROM (
            {" UNION ALL ".join(selects)}
            UNION ALL
            SELECT entity, file_id, line_number, reason_code, reason, raw_text FROM extra_rejects JOIN places USING (local_path)
        ) AS rejects JOIN places USING (file_id)
        """
    )
    texts = con.execute("SELECT DISTINCT whole FROM batch_rejects").pl()["whole"].to_list()
    if not texts:
        return
    lines = pl.DataFrame({"whole": texts, "record": encrypt_texts(keys.derive(REJECTS), texts)})
    con.register("encrypted_lines", lines.to_arrow())
    con.execute(
        "UPDATE batch_rejects SET raw_record = record FROM encrypted_lines "
        "WHERE batch_rejects.whole = encrypted_lines.whole"
    )
    con.unregister("encrypted_lines")
    # A log that grew tells its old rejects again; other files are delivered whole, and their newest version counts.
    states = ", ".join(f"'{name}'" for name, entity in ENTITIES.items() if entity.is_state)
    con.execute(
        f"""
        INSERT INTO lake.raw.rejects BY NAME
        SELECT $source AS source, entity, file_id, path, line_number, reason_code, reason, raw_record,
            $rejected_at::TIMESTAMPTZ AS rejected_at
        FROM batch_rejects
        WHERE entity IN ({states}) OR NOT EXISTS (
            SELECT 1 FROM lake.raw.rejects AS known
            WHERE known.source = $source AND known.path = batch_rejects.path AND known.entity = batch_rejects.entity
                AND known.line_number = batch_rejects.line_number AND known.reason = batch_rejects.reason
                AND known.raw_record IS NOT DISTINCT FROM batch_rejects.raw_record
        )
        ORDER BY path, line_number
        """,
        {"source": source, "rejected_at": rejected_at},
    )


def _write_files(
    con: duckdb.DuckDBPyConnection, source: str, staged: list[Staged], loaded_at: datetime
) -> None:
    entities = ", ".join(f"('{item.entity.name}')" for item in staged)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE batch_files AS
        SELECT places.* EXCLUDE (file_number, local_path, before), $source AS source, entities.entity,
            'loaded' AS state, NULL::VARCHAR AS message,
            coalesce(count_rows, 0) AS count_rows, coalesce(count_rejected, 0) AS count_rejected,
            coalesce(count_duplicates, 0) AS count_duplicates,
            coalesce(count_rows - count_rejected - count_duplicates, 0) AS count_loaded,
            $loaded_at::TIMESTAMPTZ AS loaded_at
        FROM places CROSS JOIN (VALUES {entities}) AS entities (entity)
        LEFT JOIN batch_counts USING (file_id, entity)
        ORDER BY file_number, entity
        """,
        {"source": source, "loaded_at": loaded_at},
    )
    con.execute("INSERT INTO lake.raw.files BY NAME SELECT * FROM batch_files")


def withdraw(
    con: duckdb.DuckDBPyConnection, source: str, file_ids: set[str]
) -> dict[tuple[str, date], int]:
    """Take back the rows of versions that a newer delivery replaces; the manifest keeps them as superseded.

    Returns:
        How many rows went, by entity and day (days of None for records of no day).
    """
    con.execute(
        "CREATE OR REPLACE TEMP TABLE replaced AS SELECT unnest(?::VARCHAR[]) AS file_id",
        [sorted(file_ids)],
    )
    entities = con.execute(
        "SELECT DISTINCT entity FROM lake.raw.files SEMI JOIN replaced USING (file_id) WHERE source = ? ORDER BY 1",
        [source],
    ).fetchall()
    gone: dict[tuple[str, date], int] = {}
    for (name,) in entities:
        entity = ENTITIES[name]
        day = f"timezone('UTC', {entity.day_column})::DATE" if entity.day_column else "NULL::DATE"
        rows = con.execute(
            f"SELECT {day}, count(*) FROM lake.{entity.table} SEMI JOIN replaced USING (file_id) "
            "WHERE source = ? GROUP BY 1",
            [source],
        ).fetchall()
        gone |= {(name, when): count for when, count in rows}
        con.execute(
            f"DELETE FROM lake.{entity.table} WHERE source = ? AND file_id IN (SELECT file_id FROM replaced)",
            [source],
        )
    con.execute(
        "DELETE FROM lake.raw.rejects WHERE source = ? AND file_id IN (SELECT file_id FROM replaced)",
        [source],
    )
    con.execute(
        "UPDATE lake.raw.files SET state = 'superseded' WHERE source = ? AND state = 'loaded' "
        "AND file_id IN (SELECT file_id FROM replaced)",
        [source],
    )
    return gone


def record_failure(
    con: duckdb.DuckDBPyConnection, source: str, counts: BatchCounts, message: str
) -> None:
    """Write down that a batch failed, with some of its rejects, for whoever mends the source."""
    if counts.failed_files is None or counts.failed_rejects is None:
        return
    con.register("failed_files", counts.failed_files.to_arrow())
    con.register("failed_rejects", counts.failed_rejects.to_arrow())
    for table in ("files", "rejects"):
        con.execute(
            f"DELETE FROM lake.raw.{table} WHERE source = ? AND file_id IN (SELECT file_id FROM failed_files)",
            [source],
        )
    con.execute(
        "INSERT INTO lake.raw.files BY NAME SELECT * REPLACE ('failed' AS state, ? AS message, "
        "0::BIGINT AS count_loaded) FROM failed_files",
        [message],
    )
    con.execute(
        "INSERT INTO lake.raw.rejects BY NAME "
        "SELECT $source AS source, rejects.entity, rejects.file_id, rejects.path, line_number, reason_code, reason, "
        "raw_record, loaded_at AS rejected_at FROM failed_rejects AS rejects "
        "JOIN failed_files USING (file_id, entity)",
        {"source": source},
    )
