"""The tables that Python writes: schemas `raw`, `ml` and `ops`.

One definition serves the DDL, the dbt sources, the expectations and the tests, so names and types cannot drift apart.
Types are DuckDB's. `raw` is append-only; `ml` is replaced a partition (`as_of_date`) at a time; `ops` tells what ran.
"""

from dataclasses import dataclass

import duckdb


@dataclass(frozen=True)
class Table:
    """A table of the lake: its columns in order (name -> DuckDB type), its grain and its layout."""

    schema: str
    name: str
    grain: str
    columns: dict[str, str]
    required: tuple[str, ...] = ()
    partitioned_by: str = ""

    @property
    def full_name(self) -> str:
        """`schema.name`, as SQL and messages write it."""
        return f"{self.schema}.{self.name}"


_LINEAGE = {"as_of_date": "DATE", "model_version": "VARCHAR", "run_id": "VARCHAR"}


def _ml(name: str, grain: str, required: tuple[str, ...], columns: dict[str, str]) -> Table:
    return Table("ml", name, grain, columns | _LINEAGE, (*required, "as_of_date", "run_id"))


_DEFINITIONS = (
    Table(
        "raw",
        "files",
        "One row per file that was loaded.",
        {
            "file_id": "VARCHAR",
            "source": "VARCHAR",
            "entity": "VARCHAR",
            "path": "VARCHAR",
            "size_bytes": "BIGINT",
            "etag": "VARCHAR",
            "sha256": "VARCHAR",
            "count_rows": "BIGINT",
            "count_loaded": "BIGINT",
            "count_duplicates": "BIGINT",
            "count_rejected": "BIGINT",
            "loaded_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("file_id", "source", "entity", "path", "sha256", "loaded_at"),
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
            "user_id": "VARCHAR",
            "session_id": "VARCHAR",
            "item_id": "VARCHAR",
            "category": "VARCHAR",
            "brand": "VARCHAR",
            "price": "DOUBLE",
            "quantity": "DOUBLE",
            "discount": "DOUBLE",
            "currency": "VARCHAR",
            "order_id": "VARCHAR",
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
        # A month a folder: a laptop's history stays at tens of files, and a late event touches one of them.
        "year(occurred_at), month(occurred_at)",
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
            "raw_line": "VARCHAR",
            "rejected_at": "TIMESTAMP WITH TIME ZONE",
        },
        ("source", "entity", "file_id", "reason_code", "rejected_at"),
    ),
    Table(
        "raw",
        "items",
        "One row per item of a catalogue file.",
        {
            "source": "VARCHAR",
            "item_id": "VARCHAR",
            "title": "VARCHAR",
            "description": "VARCHAR",
            "category": "VARCHAR",
            "brand": "VARCHAR",
            "price": "DOUBLE",
            "currency": "VARCHAR",
            "is_in_stock": "BOOLEAN",
            "available_from": "TIMESTAMP WITH TIME ZONE",
            "available_until": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            "file_id": "VARCHAR",
            "line_number": "BIGINT",
        },
        ("source", "item_id", "file_id"),
    ),
    Table(
        "raw",
        "profiles",
        "One row per customer of a CRM file.",
        {
            "source": "VARCHAR",
            "user_id": "VARCHAR",
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
        ("source", "user_id", "file_id"),
    ),
    Table(
        "raw",
        "consents",
        "One row per consent decision.",
        {
            "source": "VARCHAR",
            "user_id": "VARCHAR",
            "purpose": "VARCHAR",
            "state": "VARCHAR",
            "evidence": "VARCHAR",
            "recorded_at": "TIMESTAMP WITH TIME ZONE",
            "received_at": "TIMESTAMP WITH TIME ZONE",
            "file_id": "VARCHAR",
            "line_number": "BIGINT",
        },
        ("source", "user_id", "purpose", "state", "recorded_at", "file_id"),
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
    """Make every schema and table that Python writes, where it is missing. Run it inside a transaction."""
    existing = {
        f"{schema}.{name}"
        for schema, name in con.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'lake'"
        ).fetchall()
    }
    for schema in sorted({table.schema for table in TABLES.values()}):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{schema}")
    for table in TABLES.values():
        if table.full_name in existing:
            continue
        columns = ", ".join(
            f'"{name}" {type_}{" NOT NULL" if name in table.required else ""}'
            for name, type_ in table.columns.items()
        )
        con.execute(f"CREATE TABLE lake.{table.full_name} ({columns})")
        if table.partitioned_by:
            con.execute(
                f"ALTER TABLE lake.{table.full_name} SET PARTITIONED BY ({table.partitioned_by})"
            )
