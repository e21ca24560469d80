"""Ask the lake, through Great Expectations, whether a table is as its suite expects.

The only module (with `duckdb_patch`) that touches Great Expectations, which is imported inside functions: it takes seconds
to import. All checks are SQL that DuckDB runs on the lake, read-only, or on its copies of small tables.
"""

import hashlib
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb

from jobs.errors import ConfigError
from jobs.lake import connect
from jobs.quality.duckdb_patch import keep_duckdb_connections_open
from jobs.quality.suites import ExpectationConfig, Suite
from jobs.settings import Settings
from jobs.sources.entities import IDENTIFIERS
from jobs.stages import StageRequest

logger = logging.getLogger(__name__)

MAX_OFFENDING_IDS = 5  # enough to start looking; the rest is one query away
# A wide table of that length takes tens of megabytes and a fraction of a second.
_MAX_COPIED_ROWS = 100_000
# Offenders are fetched before sorting, so that the five shown are the same in each run.
_SAMPLED_ROWS = 1000
# These name a person: shown as a digest, so that no message or table of results holds them.
_PERSONAL_COLUMNS = frozenset(
    {*IDENTIFIERS, "customer_id", "new_customer_id", "identifier", "other_identifier"}
)
_DIGEST_LENGTH = 12
_QUERY = "unexpected_rows_query"
# Where an expectation stands in its suite: results come back in another order.
_POSITION = "position"
_NOT_EVALUATED = "not evaluated"
# Faults in the suite itself; other database errors may repeat values of a row, so they are not passed on.
_SUITE_FAULT = re.compile(
    r"((?:Binder|Catalog|Parser) Error: .*?|The column .*? does not exist)(?: LINE |\.? *$|\. )"
)


@dataclass(frozen=True)
class Outcome:
    """What came of one expectation.

    Attributes:
        table: `schema.table`.
        expectation: its name.
        severity: `critical` or `warning`.
        is_success: whether it held.
        observed_value: what was found, in words.
        offending_ids: up to `MAX_OFFENDING_IDS` rows, each as `column=value`.
    """

    table: str
    expectation: str
    severity: str
    is_success: bool
    observed_value: str
    offending_ids: tuple[str, ...] = ()

    @property
    def is_evaluated(self) -> bool:
        """False when the expectation itself is at fault (an unknown column, wrong SQL)."""
        return not self.observed_value.startswith(_NOT_EVALUATED)


@dataclass(frozen=True)
class LakeSource:
    """The lake as Great Expectations sees it, and for each table the query whose rows are checked."""

    datasource: Any
    queries: dict[str, str]


@contextmanager
def open_source(
    settings: Settings, request: StageRequest, suites: dict[str, Suite]
) -> Iterator[LakeSource]:
    """Open the lake's tables that `suites` name, read-only, as a data source, and close it after use.

    SQL on it may use the variables `as_of_date` (DATE) and `as_of` (TIMESTAMP WITH TIME ZONE).
    """
    # Read when Great Expectations is imported; without it, usage is reported over the network.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    # At INFO it tells several lines an expectation about its own fields; one module sets a level of its own on import.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    from duckdb_engine import ConnectionWrapper

    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    keep_duckdb_connections_open()
    con = connect(settings)

    def make_connection() -> Any:
        # A cursor is a connection of its own to the same DuckDB: it has to be given the variables too.
        cursor = con.cursor()
        _set_variables(cursor, request)
        return ConnectionWrapper(cursor)

    _set_variables(con, request)
    # Great Expectations keeps a transaction open, which would not see a copy that is made after it began.
    queries = {table: _select_rows(con, table, suite) for table, suite in suites.items()}
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    try:
        datasource = context.data_sources.add_sql(
            "lake", connection_string="duckdb:///:memory:", kwargs={"creator": make_connection}
        )
        try:
            yield LakeSource(datasource, queries)
        finally:
            _close(datasource)
    finally:
        con.close()


def _close(datasource: Any) -> None:
    """Close what Great Expectations opened, before its garbage logs that it could not."""
    engine = datasource.get_execution_engine()
    with engine.get_connection() as connection:  # the one that the patch keeps open
        connection.close()
    engine.close()
    datasource.get_engine().dispose()


def _set_variables(con: duckdb.DuckDBPyConnection, request: StageRequest) -> None:
    con.execute("SET VARIABLE as_of_date = ?::DATE", [request.as_of_date])
    con.execute("SET VARIABLE as_of = ?::TIMESTAMPTZ", [request.as_of])


def check_table(source: LakeSource, table: str, suite: Suite) -> list[Outcome]:
    """Check one table, and name offending rows where an expectation fails.

    Args:
        source: from `open_source`.
        table: `schema.table` of the lake.
        suite: what is expected of it.

    Raises:
        ConfigError: the suite names an unknown expectation, or gives it wrong arguments.
    """
    expectations = [
        _build(table, config, position) for position, config in enumerate(suite.expectations)
    ]
    asset = source.datasource.add_query_asset(table, source.queries[table])
    batch = asset.add_batch_definition_whole_table("all").get_batch()
    results = _validate(batch, expectations, {"result_format": "BASIC"})
    failed = [
        index
        for index, result in enumerate(results)
        if not result.success and not _raised(result) and suite.key
    ]
    # Rows are asked for in a second round, for what failed only: the first one stays a few aggregates a table.
    samples = _validate(
        batch,
        [_build(table, _sampling(suite.expectations[i], suite.key), i) for i in failed],
        {
            "result_format": "COMPLETE",
            "unexpected_index_column_names": list(suite.key),
            "partial_unexpected_count": _SAMPLED_ROWS,
        },
    )
    offending = {
        index: _name_rows(sample, suite.key) for index, sample in zip(failed, samples, strict=True)
    }
    return [
        Outcome(
            table,
            config.label,
            config.severity,
            bool(result.success),
            _describe(result),
            offending.get(index, ()),
        )
        for index, (config, result) in enumerate(zip(suite.expectations, results, strict=True))
    ]


def _select_rows(con: duckdb.DuckDBPyConnection, table: str, suite: Suite) -> str:
    """The query whose rows are checked; a small table is copied first.

    A suite asks a dozen queries, and each one on the lake costs about 25 ms of planning (3 ms on a copy).
    """
    query = f"SELECT * FROM lake.{table}" + (f" WHERE {suite.where}" if suite.where else "")
    copy = "memory.main." + table.replace(".", "_")
    con.execute(f"CREATE OR REPLACE TABLE {copy} AS {query} LIMIT {_MAX_COPIED_ROWS + 1}")
    row = con.execute(f"SELECT count(*) FROM {copy}").fetchone()
    if row is None or row[0] > _MAX_COPIED_ROWS:
        con.execute(f"DROP TABLE {copy}")
        return query
    return f"SELECT * FROM {copy}"


def _build(table: str, config: ExpectationConfig, position: int) -> Any:
    import great_expectations.expectations as gxe
    from great_expectations.compatibility import pydantic

    name = "".join(word.capitalize() for word in config.type.split("_"))
    expectation_class = getattr(gxe, name, None)
    if expectation_class is None:
        raise ConfigError(
            f"reading the expectations of {table}: Great Expectations has no {config.type}; "
            "its names are at https://greatexpectations.io/expectations"
        )
    try:
        return expectation_class(
            **config.kwargs,
            severity=config.severity,
            notes=config.notes or None,
            meta={_POSITION: position},
        )
    except (pydantic.ValidationError, TypeError) as err:
        faults = " ".join(str(err).split())
        raise ConfigError(
            f"reading the expectations of {table}: wrong arguments of {config.label}: {faults}"
        ) from err


def _sampling(config: ExpectationConfig, key: Sequence[str]) -> ExpectationConfig:
    """The expectation that shows rows: one with SQL of its own is cut down to the first few keys, in order."""
    query = config.kwargs.get(_QUERY)
    if query is None:
        return config
    first = (
        f"SELECT DISTINCT {', '.join(key)} FROM ({query}) ORDER BY ALL LIMIT {MAX_OFFENDING_IDS}"
    )
    return config.model_copy(update={"kwargs": {**config.kwargs, _QUERY: first}})


def _validate(batch: Any, expectations: Sequence[Any], result_format: dict[str, Any]) -> list[Any]:
    """Validate, and return results in the order of `expectations` (Great Expectations puts faulty ones first)."""
    import great_expectations as gx

    if not expectations:
        return []
    suite = gx.ExpectationSuite(name="suite", expectations=list(expectations))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about features of its own that are not used here
        results = batch.validate(suite, result_format=result_format).results
    return sorted(results, key=lambda result: result.expectation_config.meta[_POSITION])


def _raised(result: Any) -> str:
    """The first exception message of a result, or nothing."""
    info = result.exception_info or {}
    # One flat record, or one a metric.
    records = [info] if "raised_exception" in info else list(info.values())
    for record in records:
        if record.get("raised_exception"):
            return str(record.get("exception_message") or "unknown fault")
    return ""


def _describe(result: Any) -> str:
    fault = _raised(result)
    if fault:
        found = _SUITE_FAULT.search(" ".join(fault.split()))
        return f"{_NOT_EVALUATED}: {found[1] if found else 'its query failed'}"
    details = result.result
    if "unexpected_count" in details:
        return f"{details['unexpected_count']} of {details['element_count']} rows"
    observed = details.get("observed_value")
    if result.expectation_config.type == "unexpected_rows_expectation":
        return f"{observed} unexpected rows"
    return str(observed)


def _name_rows(result: Any, key: Sequence[str]) -> tuple[str, ...]:
    details = result.result
    rows = details.get("unexpected_index_list")
    if rows is None:
        rows = (details.get("details") or {}).get("unexpected_rows") or []
    names = {_name_row(row, key) for row in rows if isinstance(row, dict)}
    return tuple(sorted(names - {""})[:MAX_OFFENDING_IDS])


def _name_row(row: dict[str, Any], key: Sequence[str]) -> str:
    return " ".join(f"{column}={_mask(column, row[column])}" for column in key if column in row)


def _mask(column: str, value: Any) -> str:
    if value is None or column not in _PERSONAL_COLUMNS:
        return str(value)
    digest = hashlib.md5(str(value).encode(), usedforsecurity=False).hexdigest()
    return f"md5:{digest[:_DIGEST_LENGTH]}"
