"""The tables that Python writes: schemas `raw`, `identity`, `ml`, `ops` and `vault`.

One definition serves the DDL, the dbt sources, the expectations and the tests, so names and types cannot drift apart.
Types are DuckDB's. `raw` is append-only; `ml` is replaced a partition (`as_of_date`) at a time; `ops` tells what ran.
"""

from dataclasses import dataclass

import duckdb

from jobs.errors import ConfigError


@dataclass(frozen=True)
class Table:
    """A table of the lake: its columns in order (name -> DuckDB type), and its grain.

    No table is partitioned: logs come in the order of time, so the statistics of files and row groups part them as well, and
    writing a partition a month costs three times the time.
    """

    schema: str
    name: str
    grain: str
    columns: dict[str, str]
    required: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """`schema.name`, as SQL and messages write it."""
        return f"{self.schema}.{self.name}"


# Decimals: sums are the same in any order. Six places hold unit prices of a fraction of a cent.
MONEY = "DECIMAL(18,6)"
QUANTITY = "DECIMAL(18,3)"
_LINE_MONEY = {
    "price": MONEY,  # of one piece
    "quantity": QUANTITY,
    "discount": MONEY,  # of the line
    "currency": "VARCHAR",
}
# Of the whole order, told again on each of its lines.
_ORDER_MONEY = {"order_discount": MONEY, "order_tax": MONEY, "order_shipping": MONEY}
# Pseudonyms of whom a record tells; the clear texts are in the vault.
_WHO = {"user_id": "VARCHAR", "email": "VARCHAR", "phone": "VARCHAR"}
_LINEAGE = {"as_of_date": "DATE", "model_version": "VARCHAR", "run_id": "VARCHAR"}


def _raw(
    name: str, grain: str, id_column: str, required: tuple[str, ...], columns: dict[str, str]
) -> Table:
    """A table of records that sources deliver: its id first, then whence it came, then what it says."""
    return Table(
        "raw",
        name,
        grain,
        {id_column: "VARCHAR", "source": "VARCHAR"}
        | columns
        | {"file_id": "VARCHAR", "line_number": "BIGINT"},
        (id_column, "source", *required, "file_id"),
    )


def _ml(name: str, grain: str, required: tuple[str, ...], columns: dict[str, str]) -> Table:
    return Table("ml", name, grain, columns | _LINEAGE, (*required, "as_of_date", "run_id"))


_DEFINITIONS = (
    Table(
        "raw",
        "files",
        "One row per version of a file and table that it gives rows to.",
        {
            "file_id": "VARCHAR",
            "source": "VARCHAR",
            "entity": "VARCHAR",
            "path": "VARCHAR",
            "delivery": "VARCHAR",  # what a newer version replaces: the path, or a day of a rewritten export
            "size_bytes": "BIGINT",
            "etag": "VARCHAR",
            "sha256": "VARCHAR",
            "header": "VARCHAR[]",  # of a CSV file; its rejected lines are read again by it
            "state": "VARCHAR",  # loaded, failed (too many rejects; nothing of it is in), superseded (by a newer version)
            "message": "VARCHAR",  # why it failed
            "count_rows": "BIGINT",
            "count_loaded": "BIGINT",
            "count_duplicates": "BIGINT",
            "count_rejected": "BIGINT",
            "loaded_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("file_id", "source", "entity", "path", "delivery", "sha256", "state", "loaded_at"),
    ),
    Table(
        "raw",
        "events",
        "One row per event of a tracker.",
        {
            "event_id": "VARCHAR",
            "source": "VARCHAR",
            "event_type": "VARCHAR",
            "occurred_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            "anonymous_id": "VARCHAR",
            **_WHO,
            "session_id": "VARCHAR",
            "item_id": "VARCHAR",
            "title": "VARCHAR",
            "category": "VARCHAR",
            "brand": "VARCHAR",
            **_LINE_MONEY,
            "order_id": "VARCHAR",
            **_ORDER_MONEY,
            "search_query": "VARCHAR",
            "url_path": "VARCHAR",
            "referrer": "VARCHAR",
            "channel": "VARCHAR",
            "campaign": "VARCHAR",
            "device": "VARCHAR",
            "country": "VARCHAR",
            "region": "VARCHAR",
            "consent_flags": "VARCHAR",
            "properties": "JSON",
            "is_bot": "BOOLEAN",
            "bot_rule": "VARCHAR",
            "file_id": "VARCHAR",
            "line_number": "BIGINT",
        },
        ("event_id", "source", "event_type", "occurred_at", "received_at", "is_bot", "file_id"),
    ),
    Table(
        "raw",
        "rejects",
        "One row per line that does not fit its schema.",
        {
            "source": "VARCHAR",
            "entity": "VARCHAR",
            "file_id": "VARCHAR",
            "path": "VARCHAR",
            "line_number": "BIGINT",
            "reason_code": "VARCHAR",
            "reason": "VARCHAR",
            "raw_record": "BLOB",  # the line, encrypted; `personalake replay` reads it
            "rejected_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("source", "entity", "file_id", "reason_code", "rejected_at"),
    ),
    Table(
        "raw",
        "items",
        "One row per item of a catalogue file.",
        {
            "item_record_id": "VARCHAR",
            "source": "VARCHAR",
            "item_id": "VARCHAR",
            "title": "VARCHAR",
            "description": "VARCHAR",
            "category": "VARCHAR",
            "brand": "VARCHAR",
            "price": MONEY,
            "currency": "VARCHAR",
            "is_in_stock": "BOOLEAN",
            "available_from": "TIMESTAMP WITH TIME ZONE",  # the item may be sold
            "available_until": "TIMESTAMP WITH TIME ZONE",
            "valid_from": "TIMESTAMP WITH TIME ZONE",  # this record describes the item
            "valid_to": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            "file_id": "VARCHAR",
            "line_number": "BIGINT",
        },
        ("item_record_id", "source", "item_id", "file_id"),
    ),
    _raw(
        "item_properties",
        "One row per value that a property of an item took.",
        "item_property_id",
        ("item_id", "property", "valid_from"),
        {
            "item_id": "VARCHAR",
            "property": "VARCHAR",
            "value": "VARCHAR",
            "valid_from": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
        },
    ),
    _raw(
        "categories",
        "One row per category of a category tree.",
        "category_record_id",
        ("category_id",),
        {
            "category_id": "VARCHAR",
            "parent_category_id": "VARCHAR",
            "category_name": "VARCHAR",
            "received_at": "TIMESTAMP WITH TIME ZONE",
        },
    ),
    _raw(
        "orders",
        "One row per line of an order, a return or a correction, as the shop or the ERP keeps it.",
        "order_line_id",
        ("order_id", "ordered_at", "line_type"),
        {
            "order_id": "VARCHAR",
            "line_type": "VARCHAR",  # sale; return (its quantity is above 0); adjustment (no goods)
            "ordered_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            **_WHO,
            "item_id": "VARCHAR",
            "title": "VARCHAR",
            "category": "VARCHAR",
            "brand": "VARCHAR",
            **_LINE_MONEY,
            "amount": MONEY,  # of the line, where the source gives that instead of a price
            **_ORDER_MONEY,
            "status": "VARCHAR",
            "is_test": "BOOLEAN",
            "channel": "VARCHAR",
            "campaign": "VARCHAR",
            "country": "VARCHAR",
            "region": "VARCHAR",
            "properties": "JSON",
        },
    ),
    _raw(
        "messages",
        "One row per thing that happened to an e-mail, push or text message.",
        "message_event_id",
        ("message_type", "occurred_at"),
        {
            "message_type": "VARCHAR",
            "medium": "VARCHAR",
            "occurred_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            **_WHO,
            "anonymous_id": "VARCHAR",
            "message_id": "VARCHAR",
            "campaign": "VARCHAR",
            "item_id": "VARCHAR",
            "url_path": "VARCHAR",
            "device": "VARCHAR",
            "properties": "JSON",
        },
    ),
    _raw(
        "links",
        "One row per statement that two identifiers are one person's.",
        "link_id",
        ("link_kind", "linked_at"),
        {
            "link_kind": "VARCHAR",  # alias: the source knows it; match: found by likeness, with a probability
            **_WHO,
            "anonymous_id": "VARCHAR",
            "other_user_id": "VARCHAR",
            "other_email": "VARCHAR",
            "other_phone": "VARCHAR",
            "other_anonymous_id": "VARCHAR",
            "probability": "DOUBLE",
            "linked_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
        },
    ),
    _raw(
        "exposures",
        "One row per time that somebody was shown a variant of an experiment.",
        "exposure_id",
        ("experiment_id", "variant_id", "occurred_at"),
        {
            "experiment_id": "VARCHAR",
            "variant_id": "VARCHAR",
            "occurred_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            "user_id": "VARCHAR",
            "anonymous_id": "VARCHAR",
            "properties": "JSON",
        },
    ),
    _raw(
        "feedback",
        "One row per reaction to a recommended item.",
        "feedback_id",
        ("feedback_type", "occurred_at", "item_id"),
        {
            "feedback_type": "VARCHAR",
            "occurred_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            "user_id": "VARCHAR",
            "anonymous_id": "VARCHAR",
            "item_id": "VARCHAR",
            "rank": "INTEGER",
            "placement": "VARCHAR",
            "medium": "VARCHAR",
            "reason_code": "VARCHAR",
            "model_version": "VARCHAR",
            "properties": "JSON",
        },
    ),
    _raw(
        "exchange_rates",
        "One row per currency and day from which its rate holds.",
        "exchange_rate_id",
        ("currency", "valid_from", "rate"),
        {
            "currency": "VARCHAR",
            "valid_from": "TIMESTAMP WITH TIME ZONE",
            "rate": "DECIMAL(18,8)",  # units of the reporting currency for one unit of `currency`
            "received_at": "TIMESTAMP WITH TIME ZONE",
        },
    ),
    Table(
        "raw",
        "profiles",
        "One row per customer of a CRM file.",
        {
            "profile_record_id": "VARCHAR",
            "source": "VARCHAR",
            **_WHO,
            "name_key": "VARCHAR",  # pseudonym of first and last name: tells two people apart who share an address
            "country": "VARCHAR",
            "region": "VARCHAR",
            "birth_year": "INTEGER",
            "gender": "VARCHAR",
            "loyalty_tier": "VARCHAR",
            "signed_up_at": "TIMESTAMP WITH TIME ZONE",
            "updated_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            "file_id": "VARCHAR",
            "line_number": "BIGINT",
        },
        ("profile_record_id", "source", "file_id"),
    ),
    Table(
        "raw",
        "consents",
        "One row per consent decision.",
        {
            "consent_id": "VARCHAR",
            "source": "VARCHAR",
            **_WHO,
            "anonymous_id": "VARCHAR",
            "purpose": "VARCHAR",
            "state": "VARCHAR",
            "evidence": "VARCHAR",
            "recorded_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            "file_id": "VARCHAR",
            "line_number": "BIGINT",
        },
        ("consent_id", "source", "purpose", "state", "recorded_at", "file_id"),
    ),
    _ml(
        "clusters",
        "One row per cluster per as_of_date.",
        ("cluster_id", "cluster_name"),
        {
            "cluster_id": "VARCHAR",
            "cluster_name": "VARCHAR",
            "description": "VARCHAR",
            "n_customers": "BIGINT",
            "centroid": "JSON",
        },
    ),
    _ml(
        "customer_clusters",
        "One row per customer per as_of_date.",
        ("customer_id", "cluster_id"),
        {
            "customer_id": "VARCHAR",
            "cluster_id": "VARCHAR",
            "distance": "DOUBLE",
            "runner_up_cluster_id": "VARCHAR",
            "runner_up_distance": "DOUBLE",
        },
    ),
    _ml(
        "journey_patterns",
        "One row per frequent sequence of steps and its next step per as_of_date.",
        ("steps", "next_step"),
        {
            "steps": "VARCHAR[]",
            "next_step": "VARCHAR",
            "n_steps": "BIGINT",
            "n_sessions": "BIGINT",
            "support_rate": "DOUBLE",
            "confidence": "DOUBLE",
            "lift": "DOUBLE",
        },
    ),
    _ml(
        "customer_stages",
        "One row per customer per as_of_date.",
        ("customer_id", "stage"),
        {
            "customer_id": "VARCHAR",
            "stage": "VARCHAR",
            "reached_at": "TIMESTAMP WITH TIME ZONE",
        },
    ),
    _ml(
        "scores",
        "One row per customer per score per as_of_date.",
        ("customer_id", "score_name", "probability"),
        {
            "customer_id": "VARCHAR",
            "score_name": "VARCHAR",
            "probability": "DOUBLE",
            "decile": "INTEGER",
        },
    ),
    _ml(
        "recommendations",
        "One row per customer per rank per as_of_date.",
        ("customer_id", "rank", "item_id", "reason_code", "source"),
        {
            "customer_id": "VARCHAR",
            "rank": "INTEGER",
            "item_id": "VARCHAR",
            "score": "DOUBLE",
            "reason_code": "VARCHAR",
            "anchor_item_id": "VARCHAR",
            "source": "VARCHAR",
            "expires_at": "TIMESTAMP WITH TIME ZONE",
        },
    ),
    _ml(
        "item_to_items",
        "One row per item per rank per as_of_date.",
        ("item_id", "rank", "similar_item_id"),
        {
            "item_id": "VARCHAR",
            "rank": "INTEGER",
            "similar_item_id": "VARCHAR",
            "score": "DOUBLE",
            "n_customers": "BIGINT",
        },
    ),
    _ml(
        "model_runs",
        "One row per model per as_of_date.",
        ("model_name", "status"),
        {
            "job": "VARCHAR",
            "model_name": "VARCHAR",
            "algorithm": "VARCHAR",
            "status": "VARCHAR",
            "n_train": "BIGINT",
            "n_test": "BIGINT",
            "metrics": "JSON",
            "baseline_metrics": "JSON",
            "parameters": "JSON",
            "message": "VARCHAR",
        },
    ),
    _ml(
        "models",
        "One row per trained model per as_of_date.",
        ("model_name",),
        {"job": "VARCHAR", "model_name": "VARCHAR", "payload": "BLOB"},
    ),
    _ml(
        "segments",
        "One row per segment definition per as_of_date.",
        ("segment_id", "rule_version"),
        {
            "segment_id": "VARCHAR",
            "segment_name": "VARCHAR",
            "rule_version": "VARCHAR",
            "description": "VARCHAR",
            "owner": "VARCHAR",
            "purpose": "VARCHAR",
            "definition": "JSON",
            "n_customers": "BIGINT",
        },
    ),
    _ml(
        "segment_memberships",
        "One row per customer per segment per as_of_date.",
        ("customer_id", "segment_id", "rule_version"),
        {
            "customer_id": "VARCHAR",
            "segment_id": "VARCHAR",
            "rule_version": "VARCHAR",
            "reason": "VARCHAR",
            "observed_value": "DOUBLE",
            "threshold": "DOUBLE",
            "event_ids": "VARCHAR[]",
        },
    ),
    Table(
        "ops",
        "runs",
        "One row per stage run (its inputs, configuration and code give its run_id).",
        {
            "run_id": "VARCHAR",
            "stage": "VARCHAR",
            "pipeline": "VARCHAR",
            "as_of": "TIMESTAMP WITH TIME ZONE",
            "upstream_run_id": "VARCHAR",
            "config_digest": "VARCHAR",
            "code_digest": "VARCHAR",
            "started_at": "TIMESTAMP WITH TIME ZONE",
            "seconds": "DOUBLE",
            "count_rows": "JSON",
        },
        ("run_id", "stage", "as_of", "started_at"),
    ),
    Table(
        "identity",
        "identifiers",
        "One row per identifier (pseudonym of a number, an address, a telephone number or a device) that is known.",
        {
            "identifier": "VARCHAR",
            "kind": "VARCHAR",  # user, email, phone, device
            "customer_id": "VARCHAR",  # the oldest identifier of the person
            "first_known_at": "TIMESTAMP WITH TIME ZONE",
            "linked_at": "TIMESTAMP WITH TIME ZONE",  # since when it is known to be this customer's
            "link_kind": "VARCHAR",  # the last link on the way to the customer's oldest identifier; null for that one
            "run_id": "VARCHAR",
        },
        ("identifier", "kind", "customer_id", "first_known_at", "linked_at", "run_id"),
    ),
    Table(
        "identity",
        "links",
        "One row per pair of identifiers that were told together, and kind of evidence.",
        {
            "identifier": "VARCHAR",
            "other_identifier": "VARCHAR",
            "link_kind": "VARCHAR",  # login, email, phone, order, alias, match, manual
            "first_known_at": "TIMESTAMP WITH TIME ZONE",
            "count_told": "BIGINT",
            "cut_reason": "VARCHAR",  # why it joins nobody; null where it does
            "run_id": "VARCHAR",
        },
        ("identifier", "other_identifier", "link_kind", "first_known_at", "count_told", "run_id"),
    ),
    Table(
        "identity",
        "changes",
        "One row per customer whose identifiers came to be another customer's.",
        {
            "change": "VARCHAR",  # merged, split
            "customer_id": "VARCHAR",  # whose identifiers went
            "new_customer_id": "VARCHAR",  # whose they are now
            "count_identifiers": "BIGINT",
            "cause": "VARCHAR",  # the kind of the link that joins them, or why the link that joined them was cut
            "caused_at": "TIMESTAMP WITH TIME ZONE",  # since when that is known
            "as_of": "TIMESTAMP WITH TIME ZONE",
            "changed_at": "TIMESTAMP WITH TIME ZONE",
            "run_id": "VARCHAR",
        },
        (
            "change",
            "customer_id",
            "new_customer_id",
            "count_identifiers",
            "cause",
            "as_of",
            "changed_at",
            "run_id",
        ),
    ),
    Table(
        "identity",
        "decisions",
        "One row per decision of a person that identifiers are one customer's, or are not.",
        {
            "decision_id": "VARCHAR",
            "decision": "VARCHAR",  # merge, split
            "identifiers": "VARCHAR[]",  # merge: one of each customer; split: those that are somebody else's
            "reason": "VARCHAR",
            "decided_at": "TIMESTAMP WITH TIME ZONE",
            "withdrawn_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("decision_id", "decision", "identifiers", "decided_at"),
    ),
    Table(
        "vault",
        "inbox",
        "One row per source, identifier and field whose clear value waits, encrypted, to be put into the vault.",
        {
            "identifier": "VARCHAR",
            "field": "VARCHAR",  # user_id, email, phone, first_name, last_name, country, postal_code
            "record": "BLOB",  # the value, encrypted
            "source": "VARCHAR",
            "told_at": "TIMESTAMP WITH TIME ZONE",  # when the source said so; of two values the later one counts
            "known_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("identifier", "field", "record", "source", "known_at"),
    ),
    Table(
        "ops",
        "vault_reads",
        "One row per time that a task opened the vault.",
        {
            "task": "VARCHAR",
            "reason": "VARCHAR",
            "count_rows": "BIGINT",
            "run_id": "VARCHAR",
            "read_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("task", "reason", "count_rows", "read_at"),
    ),
    Table(
        "ops",
        "key_rings",
        "One row per ring of keys that the lake's pseudonyms were made with; the newest one holds.",
        {"fingerprint": "VARCHAR", "since": "TIMESTAMP WITH TIME ZONE"},
        ("fingerprint", "since"),
    ),
    Table(
        "ops",
        "changed_days",
        "One row per batch, table and day whose rows the batch changed.",
        {
            "source": "VARCHAR",
            "entity": "VARCHAR",
            "day": "DATE",
            "count_added": "BIGINT",
            "count_withdrawn": "BIGINT",
            "is_late": "BOOLEAN",  # days after it had been loaded before: what was computed from it is out of date
            "changed_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("source", "entity", "day", "is_late", "changed_at"),
    ),
    Table(
        "ops",
        "builds",
        "One row: the last build of the features that ended well, and what of the lake it had seen.",
        {
            "run_id": "VARCHAR",
            "as_of": "TIMESTAMP WITH TIME ZONE",
            "basis_digest": "VARCHAR",  # of code, settings and keys: with others every row is made anew
            "cutoff_dates": "VARCHAR",  # JSON list
            "source_snapshot": "BIGINT",  # the lake's when it began
            "built_snapshot": "BIGINT",  # and when it had ended
            "is_increment": "BOOLEAN",
        },
        ("run_id", "as_of", "basis_digest", "cutoff_dates", "source_snapshot", "built_snapshot"),
    ),
    Table(
        "ops",
        "quality_results",
        "One row per expectation per gate run.",
        {
            "run_id": "VARCHAR",
            "table_name": "VARCHAR",
            "expectation": "VARCHAR",
            "severity": "VARCHAR",
            "is_success": "BOOLEAN",
            "observed_value": "VARCHAR",
            "offending_ids": "VARCHAR",
            "checked_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("run_id", "table_name", "expectation", "severity", "is_success"),
    ),
    Table(
        "ops",
        "export_ledger",
        "One row per file of a published export.",
        {
            "run_id": "VARCHAR",
            "as_of": "TIMESTAMP WITH TIME ZONE",
            "path": "VARCHAR",
            "count_rows": "BIGINT",
            "sha256": "VARCHAR",
            "count_blocked": "BIGINT",
            "published_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("run_id", "as_of", "path", "count_rows", "sha256"),
    ),
)

TABLES: dict[str, Table] = {table.full_name: table for table in _DEFINITIONS}


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Make every schema and table that Python writes, where it is missing. Run it inside a transaction.

    Raises:
        ConfigError: the lake has a table of an earlier version of this program.
    """
    existing: dict[str, set[str]] = {}
    for schema, name, column in con.execute(
        "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE database_name = 'lake'"
    ).fetchall():
        existing.setdefault(f"{schema}.{name}", set()).add(column)
    for schema in sorted({table.schema for table in TABLES.values()}):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{schema}")
    for table in TABLES.values():
        if table.full_name in existing:
            if lacking := set(table.columns) - existing[table.full_name]:
                raise ConfigError(
                    f"the lake's table {table.full_name} has no column {', '.join(sorted(lacking))}: an earlier "
                    "version made this lake; move its folder away and load the logs again"
                )
            continue
        columns = ", ".join(
            f'"{name}" {type_}{" NOT NULL" if name in table.required else ""}'
            for name, type_ in table.columns.items()
        )
        con.execute(f"CREATE TABLE lake.{table.full_name} ({columns})")


def find_tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The names of the lake's tables and views, with their schemas, in alphabetical order."""
    rows = con.execute(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_catalog = 'lake' ORDER BY 1"
    ).fetchall()
    return [name for (name,) in rows]
