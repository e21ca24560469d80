"""Pull a table or a query of PostgreSQL into a local Parquet file.

Every column comes as PostgreSQL's own text of it: exact decimals, JSON and arrays as they are, instants in UTC. The loader
types and judges each value, so one date of `infinity` costs its row and not the table. One read-only snapshot is read by a
cursor, some megabytes at a time.
"""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.errors import ConfigError, InputDataError, TransientError

logger = logging.getLogger(__name__)

_FETCH_BYTES = 16_000_000
# Rows may turn wide all at once (one long document after many short ones), so few are fetched ahead.
_MAX_FETCH_ROWS = 2000
_FIRST_FETCH_ROWS = 20  # before the width of a row is known
_ROW_GROUP_BYTES = 64_000_000
_CONNECT_SECONDS = 10
# Type numbers of PostgreSQL's catalogue (pg_type.oid), the same in every server.
_DATE, _TIMESTAMP, _TIMESTAMPTZ = 1082, 1114, 1184
_TIMES = {_DATE: "date", _TIMESTAMP: "timestamp", _TIMESTAMPTZ: "timestamptz"}
_TEXTS = {18, 19, 25, 1042, 1043}  # "char", name, text, character, varchar
# A watermark of these would let no later row through.
_ENDLESS = {"infinity", "-infinity", "Infinity", "-Infinity", "NaN"}
# What a server or a proxy says of a wrong user, password or database; psycopg2 gives no code for it.
_REFUSED = (
    "authentication failed",
    "no pg_hba.conf entry",
    "does not exist",
    "no password",
    "not permitted",
)
_PASSING_CLASSES = {"08", "40", "53", "57", "58"}


@dataclass(frozen=True)
class TablePull:
    """What was pulled.

    Attributes:
        count_rows: rows in the file.
        low: the lowest watermark among them, as text (instants: UTC, ISO, microseconds); None without one.
        high: the highest, alike.
    """

    count_rows: int
    low: str | None
    high: str | None


def describe_url(url: str) -> str:
    """Give `postgresql://host:port/database` of an address: what may stand in a message or a manifest."""
    import psycopg2
    from psycopg2.extensions import parse_dsn

    try:
        facts = parse_dsn(url)
    except psycopg2.ProgrammingError:
        facts = {}
    host, port = facts.get("host", "localhost"), facts.get("port", "5432")
    database = facts.get("dbname", facts.get("user", ""))
    # An `@` or `/` that was not written as %40 or %2F puts a part of the password here.
    if not facts or not port.replace(",", "").isdigit() or set("@/?") & set(database):
        return "postgresql://(an address that cannot be read)"
    return f"postgresql://{f'[{host}]' if ':' in host else host}:{port}/{database}"


def pull_table(
    url: str,
    *,
    table: str | None,
    query: str | None,
    watermark: str | None,
    after: str | None,
    overlap_seconds: float,
    since: str | None,
    until: str | None,
    target: Path,
    limit: int | None = None,
) -> TablePull:
    """Write rows of a table or a query to a Parquet file whose columns are text, in the order of the watermark.

    Rows without a watermark come with every pull, since nothing else would ever bring them.

    Args:
        url: postgresql://user:password@host:port/database.
        table: `schema.name` or `name`, as the server writes it (lower case, mostly).
        query: a SELECT, instead of a table.
        watermark: the column that grows with each change.
        after: the highest watermark of the last pull; rows from it on come, equal ones too. None for all rows.
        overlap_seconds: how much earlier to begin than `after` where the watermark is a time: transactions that began before
            it may have ended later.
        since: ISO date or time; rows whose watermark, a time, is earlier are left out.
        until: ISO date or time; likewise from it on.
        target: the file to write.
        limit: read at most so many rows, the first ones.

    Raises:
        ConfigError: the address, the table, the watermark or the query is wrong.
        InputDataError: the server's text is not UTF-8.
        TransientError: the server cannot be reached, or there is no space for the file.
    """
    task = f"reading {table or 'the query'} of {describe_url(url)}"
    if (table is None) == (query is None):
        raise ConfigError(f"{task}: expected either a table or a query")
    with _connected(url, task) as con, _translated(task):
        source = _Source(con, _relation(table, query, task), watermark, task)
        statement = source.select(
            after=after, overlap_seconds=overlap_seconds, since=since, until=until, limit=limit
        )
        try:
            pull, count_unmarked = source.write(statement, target)
        except OSError as err:
            raise TransientError(
                f"{task}: the temporary file cannot be written ({err.strerror or 'no space'}); free some space and run again"
            ) from err
    if count_unmarked:
        logger.warning(
            "%s: %d rows have no %s and come with every pull; read a query with coalesce(%s, ...) to end that",
            task,
            count_unmarked,
            watermark,
            watermark,
        )
    return pull


@contextmanager
def _connected(url: str, task: str) -> Iterator[Any]:
    import psycopg2

    try:
        con = psycopg2.connect(
            url, connect_timeout=_CONNECT_SECONDS, application_name="personalake"
        )
    except psycopg2.ProgrammingError:
        raise ConfigError(
            f"{task}: the address cannot be read; write postgresql://user:password@host:port/database, "
            "with %40 for an @ in the password"
        ) from None  # the server's text would repeat the password
    except psycopg2.OperationalError as err:
        if any(mark in str(err) for mark in _REFUSED):
            raise ConfigError(
                f"{task}: the server refuses; check the user, the password and the database"
            ) from None
        raise TransientError(
            f"{task}: the server cannot be reached; check the host, the port and the network"
        ) from None
    with closing(con):
        con.set_session(isolation_level="REPEATABLE READ", readonly=True)
        con.set_client_encoding("UTF8")
        with con.cursor() as cursor:
            cursor.execute(
                "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'iso_8601'; "
                "SET extra_float_digits = 1; SET bytea_output = 'hex'"
            )
        yield con


@contextmanager
def _translated(task: str) -> Iterator[None]:
    """Turn the server's faults into ours; its text may hold values of rows, so only texts about names are passed on."""
    import psycopg2

    try:
        yield
    except (UnicodeDecodeError, psycopg2.errors.CharacterNotInRepertoire):
        raise InputDataError(
            f"{task}: the server sent text that is not UTF-8; give the database a true encoding, "
            "or select the column with convert_from"
        ) from None
    except psycopg2.Error as err:
        code = err.pgcode or ""
        if not code or code[:2] in _PASSING_CLASSES:
            raise TransientError(
                f"{task}: the connection ended ({code or 'no code'}); run again"
            ) from None
        # Class 42: syntax, unknown names, missing rights.
        said = f" ({err.diag.message_primary})" if code.startswith("42") else ""
        raise ConfigError(
            f"{task}: {type(err).__name__}, SQLSTATE {code}{said}; check the table, the watermark and the query"
        ) from None


def _relation(table: str | None, query: str | None, task: str) -> Any:
    from psycopg2 import sql

    if query is not None:
        # On lines of its own: a query may end with a comment.
        text = query.strip().rstrip(";")
        return sql.SQL("(\n{}\n) AS source").format(sql.SQL(text))
    parts = (table or "").split(".")
    if len(parts) > 2 or not all(parts):
        raise ConfigError(f"{task}: expected a table as schema.name or name")
    return sql.SQL("{} AS source").format(sql.Identifier(*parts))


class _Source:
    """A table or a query, within one snapshot."""

    def __init__(self, con: Any, relation: Any, watermark: str | None, task: str) -> None:
        from psycopg2 import sql

        self._con = con
        self._relation = relation
        self._watermark = watermark
        self._task = task
        with con.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(relation))
            described = cursor.description or []
        self.columns = [column.name for column in described]
        self._check_columns()
        self._types = {column.name: column.type_code for column in described}

    def _check_columns(self) -> None:
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise ConfigError(
                f"{self._task}: two columns are named {twice[0]}; name them apart with AS"
            )
        if self._watermark is not None and self._watermark not in self.columns:
            raise ConfigError(
                f"{self._task}: there is no column {self._watermark}, the watermark; "
                f"there are {', '.join(self.columns)}"
            )

    def select(
        self,
        *,
        after: str | None,
        overlap_seconds: float,
        since: str | None,
        until: str | None,
        limit: int | None,
    ) -> Any:
        """The SELECT of all columns as text, and last the watermark as text that the next pull takes for `after`."""
        from psycopg2 import sql

        texts = [
            sql.SQL("{}::text").format(sql.Identifier("source", name)) for name in self.columns
        ]
        where = order = sql.Composed([])
        if self._watermark is not None:
            column = sql.Identifier("source", self._watermark)
            type_ = self._types[self._watermark]
            texts.append(self._watermark_text(column, type_))
            order = sql.SQL(" ORDER BY {} NULLS LAST").format(column)
            bounds = [
                *([self._from(column, type_, after, overlap_seconds)] if after is not None else []),
                *self._between(column, type_, since, until),
            ]
            if bounds:
                both = sql.SQL(" AND ").join(bounds)
                where = sql.SQL(" WHERE ({}) OR {} IS NULL").format(both, column)
        end = sql.SQL("" if limit is None else " LIMIT {}").format(sql.Literal(limit))
        rows = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(texts), self._relation)
        return sql.Composed([rows, where, order, end])

    @staticmethod
    def _between(column: Any, type_: int, since: str | None, until: str | None) -> list[Any]:
        from psycopg2 import sql

        if type_ not in _TIMES:
            return []
        return [
            sql.SQL(f"{{}} {sign} CAST({{}} AS {_TIMES[type_]})").format(column, sql.Literal(bound))
            for bound, sign in ((since, ">="), (until, "<"))
            if bound is not None
        ]

    @staticmethod
    def _from(column: Any, type_: int, after: str, overlap_seconds: float) -> Any:
        from psycopg2 import sql

        if type_ not in _TIMES:
            return sql.SQL("{} >= {}").format(column, sql.Literal(after))
        # A date is a whole day, so the overlap is taken from its begin and the time of day is let go.
        exact = "timestamp" if type_ == _DATE else _TIMES[type_]
        return sql.SQL("{} >= CAST(CAST({} AS {}) - make_interval(secs => {}) AS {})").format(
            column,
            sql.Literal(after),
            sql.SQL(exact),
            sql.Literal(overlap_seconds),
            sql.SQL(_TIMES[type_]),
        )

    @staticmethod
    def _watermark_text(column: Any, type_: int) -> Any:
        from psycopg2 import sql

        if type_ not in (_TIMESTAMP, _TIMESTAMPTZ):
            return sql.SQL("{}::text").format(column)
        offset = sql.SQL('+00:00"' if type_ == _TIMESTAMPTZ else '"')
        return sql.SQL(
            """CASE WHEN isfinite({0}) THEN to_char({0}, 'YYYY-MM-DD"T"HH24:MI:SS.US"{1}') ELSE {0}::text END"""
        ).format(column, offset)

    def write(self, statement: Any, target: Path) -> tuple[TablePull, int]:
        """Write the statement's rows; also tells how many have no watermark."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, pa.string()) for name in self.columns])
        count_rows = count_unmarked = 0
        low = high = None
        group: list[pa.RecordBatch] = []
        endless = _ENDLESS if self._is_measured() else set()
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for rows in self._read(statement):
                columns = list(zip(*rows, strict=True))
                if self._watermark is not None:
                    marks = [mark for mark in columns.pop() if mark is not None]
                    count_unmarked += len(rows) - len(marks)
                    finite = [mark for mark in marks if mark not in endless]
                    if finite:
                        low = finite[0] if low is None else low
                        high = finite[-1]
                count_rows += len(rows)
                arrays = [pa.array(values, pa.string()) for values in columns]
                group.append(pa.record_batch(arrays, schema=schema))
                if sum(batch.nbytes for batch in group) > _ROW_GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(group))
                    group = []
            if group:
                writer.write_table(pa.Table.from_batches(group))
        return TablePull(count_rows, low, high), count_unmarked

    def _is_measured(self) -> bool:
        return self._watermark is not None and self._types[self._watermark] not in _TEXTS

    def _read(self, statement: Any) -> Iterator[list[tuple[str | None, ...]]]:
        count = _FIRST_FETCH_ROWS
        with self._con.cursor(name="personalake") as cursor:
            cursor.execute(statement)
            while rows := cursor.fetchmany(count):
                yield rows
                size = sum(len(value) for row in rows for value in row if value is not None)
                width = max(1, size // len(rows))
                count = max(1, min(_MAX_FETCH_ROWS, _FETCH_BYTES // width))
