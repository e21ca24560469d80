"""The SQL that reads one file by its mapping: every line becomes a typed row, or a row with the reason why it does not.

Names that a person wrote (headers, paths) are quoted as identifiers or bound; values are always bound.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobs.lake.tables import TABLES
from jobs.sources.mapping import REQUIRED, Mapping

# Words of crawlers that say what they are, and of the tools that scripts use; kept short, since a false hit hides a person.
BOT_USER_AGENTS = r"bot\b|bot/|crawl|spider|slurp|headless|scrapy|curl/|wget/|python-requests|httpclient|lighthouse"
# A value that no real record has, and that CSV and JSON text cannot hold: it keeps the reader from splitting a line.
NO_DELIMITER = "\x1f"
PATH_COLUMN = "personalake_path"  # a name that no log's header has
MAX_LINE_BYTES = 16_000_000
EARLIEST = "1990-01-01 00:00:00+00"  # before it there were no web shops
# Columns that say when something happened (others, such as available_until, may lie ahead).
_HAPPENED = {
    "events": ("occurred_at", "received_at"),
    "items": ("received_at",),
    "profiles": ("updated_at", "received_at"),
    "consents": ("recorded_at", "received_at"),
}
_LIMITS = {"price": 0.0, "discount": 0.0, "quantity": 0.0}
_TYPE_WORDS = {
    "DOUBLE": "a number",
    "INTEGER": "a whole number",
    "BOOLEAN": "yes or no",
    "TIMESTAMP WITH TIME ZONE": "a time",
}
_DERIVED = {"source", "file_id", "line_number"}


@dataclass
class Statement:
    """SQL text and its bound values; `bind` adds a value and gives its placeholder."""

    values: dict[str, Any] = field(default_factory=dict)
    text: str = ""

    def bind(self, value: Any) -> str:
        """Bind a value and return the placeholder that stands for it."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"${name}"


def quote_identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Quote a text for SQL, where a parameter is not possible (options of a table function)."""
    return "'" + text.replace("'", "''") + "'"


def json_path(dotted: str) -> str:
    """Turn `product.id` into `$."product"."id"`; `items[0].id` keeps its index."""
    parts = []
    for part in dotted.split("."):
        name, bracket, index = part.partition("[")
        parts.append('."' + name.replace('"', '\\"') + '"' + bracket + index)
    return "$" + "".join(parts)


def source_columns(mapping: Mapping) -> list[str]:
    """Every source column that a mapping reads, each once, in order."""
    names = [name for column in mapping.columns for name in mapping.sources_of(column)]
    names += [*mapping.properties.values()]
    if mapping.user_agent:
        names.append(mapping.user_agent)
    return list(dict.fromkeys(names))


def _time(mapping: Mapping, text: str) -> str:
    formats = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
    if mapping.time_format in formats:
        return f"TRY(make_timestamptz(TRY_CAST({text} AS BIGINT) * {formats[mapping.time_format]}))"
    zone = quote_literal(mapping.time_zone)
    if mapping.time_format == "iso":
        local = f"timezone({zone}, TRY_CAST({text} AS TIMESTAMP))"
        if mapping.time_zone == "UTC":
            return f"TRY_CAST({text} AS TIMESTAMPTZ)"
        offset = r"(?i)(z|utc|[+-]\d{2}(:?\d{2})?)$"
        return (
            f"CASE WHEN regexp_matches({text}[11:], {quote_literal(offset)}) "
            f"THEN TRY_CAST({text} AS TIMESTAMPTZ) ELSE {local} END"
        )
    pattern = quote_literal(mapping.time_format)
    if "%z" in mapping.time_format:
        return f"TRY(strptime({text}, {pattern})::TIMESTAMPTZ)"
    return f"timezone({zone}, try_strptime({text}, {pattern})::TIMESTAMP)"


def _typed(mapping: Mapping, type_: str, text: str) -> str:
    if type_ == "VARCHAR":
        return text
    if type_ == "BOOLEAN":
        return (
            f"CASE WHEN lower({text}) IN ('true', 't', 'yes', 'y', '1') THEN true "
            f"WHEN lower({text}) IN ('false', 'f', 'no', 'n', '0') THEN false END"
        )
    if type_.startswith("TIMESTAMP"):
        instant = _time(mapping, text)
        return f"CASE WHEN isfinite({instant}) THEN {instant} END"
    if type_ == "DOUBLE":
        return f"CASE WHEN isfinite(TRY_CAST({text} AS DOUBLE)) THEN TRY_CAST({text} AS DOUBLE) END"
    return f"TRY_CAST({text} AS {type_})"


def build_read(
    mapping: Mapping, header: list[str], paths: list[str], *, limit: int | None = None
) -> str:
    """Build the SELECT that reads files of one header, as text.

    Args:
        mapping: says how the files are written.
        header: the files' columns (CSV only).
        paths: local paths; their rows come in this order.
        limit: read at most so many lines.

    Returns:
        SQL whose rows have `local_path`, `row_number` (1-based over all accepted lines), and the line (`line`) or its
        fields by header. Lines that the reader refuses go to DuckDB's tables `reject_errors` and `reject_scans`.
    """
    names = header if mapping.file_type == "csv" else ["line"]
    columns = ", ".join(f"{quote_literal(name)}: 'VARCHAR'" for name in names)
    delimiter = mapping.delimiter if mapping.file_type == "csv" else NO_DELIMITER
    quote = '"' if mapping.file_type == "csv" else ""
    return (
        f"SELECT row_number() OVER () AS row_number, * RENAME ({PATH_COLUMN} AS local_path) "
        f"FROM read_csv([{', '.join(map(quote_literal, paths))}], filename = '{PATH_COLUMN}', "
        f"columns = {{{columns}}}, auto_detect = false, "
        f"header = {'true' if mapping.file_type == 'csv' else 'false'}, "
        f"delim = {quote_literal(delimiter)}, quote = '{quote}', escape = '{quote}', "
        f"max_line_size = {MAX_LINE_BYTES}, nullstr = '', store_rejects = true, rejects_limit = 0)"
        + (f" LIMIT {limit}" if limit else "")
    )


def build_select(
    mapping: Mapping,
    source: str,
    header: list[str],
    relation: str,
    *,
    latest: datetime | None = None,
) -> Statement:
    """Build the SELECT that types and judges the lines that `build_read` gave.

    Args:
        mapping: where the columns stand.
        source: the source's name, part of derived event ids.
        header: the files' columns (CSV only).
        relation: the table that holds the lines.
        latest: a time after this cannot be true of something that has happened; None to let all pass.

    Returns:
        A statement whose rows have `local_path`, `row_number`, each column of the raw table except `source`, `file_id` and
        `line_number`, and `reason_code`, `reason`, `raw_line` (null where the row is good).
    """
    statement = Statement()
    position = {name: index for index, name in enumerate(source_columns(mapping))}
    raw_line, values = _line(mapping, header)
    picked = ", ".join(f"nullif(trim(f[{i + 1}]), '') AS s{i}" for i in position.values())
    texts = _texts(mapping, position, statement)
    table = TABLES[f"raw.{mapping.entity}"]
    typed = {
        column: _typed(mapping, type_, texts[column])
        for column, type_ in table.columns.items()
        if column in texts
    }
    checks = _checks(mapping, texts, typed)
    checks += _time_checks(mapping, typed, statement, latest)
    if mapping.entity == "events":
        _add_event_columns(mapping, source, statement, texts, typed, checks, position)

    code = " ".join(f"WHEN {test} THEN '{name}'" for test, name, _ in checks)
    reason = " ".join(f"WHEN {test} THEN {text}" for test, _, text in checks)
    columns = ", ".join(
        f"{typed.get(column, 'NULL')}::{type_} AS {quote_identifier(column)}"
        for column, type_ in table.columns.items()
        if column not in _DERIVED
    )
    statement.text = f"""
        WITH parsed AS (SELECT local_path, row_number, {raw_line} AS raw_text, {values} AS f FROM {relation}),
        fields AS (SELECT * EXCLUDE (f), f IS NOT NULL AS is_record, {picked} FROM parsed),
        judged AS (
            SELECT local_path, row_number, {columns}, CASE {code} END AS reason_code, CASE {reason} END AS reason, raw_text
            FROM fields
        )
        SELECT * EXCLUDE (raw_text), CASE WHEN reason_code IS NOT NULL THEN raw_text END AS raw_line FROM judged
    """
    return statement


def _line(mapping: Mapping, header: list[str]) -> tuple[str, str]:
    """SQL of the raw line, and of the list of its source columns' values (null where the line is no record)."""
    sources = source_columns(mapping)
    if mapping.file_type == "csv":
        delimiter = quote_literal(mapping.delimiter)
        all_columns = ", ".join(f"coalesce({quote_identifier(name)}, '')" for name in header)
        values = ", ".join(
            quote_identifier(name) if name in header else "NULL::VARCHAR" for name in sources
        )
        return f"concat_ws({delimiter}, {all_columns})", f"[{values}]"
    paths = ", ".join(quote_literal(json_path(name)) for name in sources)
    # One pass over the line takes every value; asking path by path would parse it once for each.
    values = (
        "CASE WHEN json_valid(line) THEN CASE WHEN json_type(line) = 'OBJECT' "
        f"THEN json_extract_string(line, [{paths}]) END END"
    )
    return "line", values


def _texts(mapping: Mapping, position: dict[str, int], statement: Statement) -> dict[str, str]:
    """SQL of each mapped column's text: its source column, the first filled of several, or a constant."""
    texts = {}
    for column in TABLES[f"raw.{mapping.entity}"].columns:
        candidates = [f"s{position[name]}" for name in mapping.sources_of(column)]
        if len(candidates) == 1:
            texts[column] = candidates[0]
        elif candidates:
            texts[column] = f"coalesce({', '.join(candidates)})"
        elif column in mapping.constants:
            texts[column] = f"{statement.bind(str(mapping.constants[column]))}::VARCHAR"
    return texts


def _checks(
    mapping: Mapping, texts: dict[str, str], typed: dict[str, str]
) -> list[tuple[str, str, str]]:
    """What a row is rejected for, first match first: SQL test, reason code, SQL of the reason."""
    types = TABLES[f"raw.{mapping.entity}"].columns
    return [
        ("NOT is_record", "malformed", "'the line is not a record of this format'"),
        *(
            (f"{texts[column]} IS NULL", "missing_field", f"'{column} is empty'")
            for column in REQUIRED[mapping.entity]
        ),
        *(
            (
                f"{text} IS NOT NULL AND ({typed[column]}) IS NULL",
                "bad_type",
                f"'{column}: expected {_TYPE_WORDS[types[column]]}'",
            )
            for column, text in texts.items()
            if types[column] in _TYPE_WORDS
        ),
        *(
            (f"({typed[column]}) < {minimum}", "out_of_range", f"'{column} is below {minimum:g}'")
            for column, minimum in _LIMITS.items()
            if column in typed
        ),
    ]


def _time_checks(
    mapping: Mapping, typed: dict[str, str], statement: Statement, latest: datetime | None
) -> list[tuple[str, str, str]]:
    """Times that cannot be true: one of them would move the end of the data, or open a session of decades."""
    checks = []
    for column in _HAPPENED[mapping.entity]:
        if column in typed:
            early = f"({typed[column]}) < TIMESTAMPTZ '{EARLIEST}'"
            checks.append((early, "out_of_range", f"'{column} is before {EARLIEST[:4]}'"))
            if latest:
                late = f"({typed[column]}) > {statement.bind(latest)}::TIMESTAMPTZ"
                checks.append((late, "out_of_range", f"'{column} lies in the future'"))
    return checks


def _add_event_columns(
    mapping: Mapping,
    source: str,
    statement: Statement,
    texts: dict[str, str],
    typed: dict[str, str],
    checks: list[tuple[str, str, str]],
    position: dict[str, int],
) -> None:
    """Add what only events have: their type by name, their id, the time of arrival, bots, kept properties."""
    if mapping.event_names:
        names = statement.bind(list(mapping.event_names))
        types = statement.bind(list(mapping.event_names.values()))
        typed["event_type"] = f"map({names}, {types})[{texts['event_type']}]"
        checks.append(
            (
                f"{typed['event_type']} IS NULL",
                "unknown_event",
                f"'event name ' || left({texts['event_type']}, 60) || ' is not in event_names'",
            )
        )
    identifying = mapping.identified_by or tuple(sorted(texts))
    parts = ", ".join(f"coalesce({texts[name]}, '')" for name in identifying if name in texts)
    separator = quote_literal(NO_DELIMITER)
    derived = f"md5(concat_ws({separator}, {statement.bind(source)}, {parts}))"
    # Two sources may count from 1 both, so an id is the source's own; a line without one gets it from its values.
    given = (
        f"{statement.bind(source + ':')} || {texts['event_id']}" if "event_id" in texts else "NULL"
    )
    typed["event_id"] = f"coalesce({given}, {derived})"
    # A log without times of arrival is taken to have been known as it happened.
    arrival = typed.get("received_at", "NULL::TIMESTAMPTZ")
    typed["received_at"] = f"coalesce({arrival}, {typed['occurred_at']})"
    if mapping.user_agent:
        agent = f"s{position[mapping.user_agent]}"
        is_bot = (
            f"coalesce(regexp_matches(lower({agent}), {quote_literal(BOT_USER_AGENTS)}), false)"
        )
        typed["is_bot"] = is_bot
        typed["bot_rule"] = f"CASE WHEN {is_bot} THEN 'user_agent' END"
    else:
        typed["is_bot"] = "false"
    if mapping.properties:
        pairs = ", ".join(
            f"{quote_literal(name)}, s{position[column]}"
            for name, column in mapping.properties.items()
        )
        typed["properties"] = f"json_object({pairs})"
