"""From a layout to SQL: every record becomes typed rows, or a row with the reason why it does not.

The query has layers, each over the one before: the lines as text, the fields of a record, fields derived from others, the
texts of a table's columns, their typed values, and the verdict. Names that a person wrote are quoted; values are bound.
"""

import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobs.sources.currencies import CURRENCIES
from jobs.sources.entities import ENTITIES, FREE_TEXTS, SYNONYMS, Entity
from jobs.sources.expressions import without_addresses
from jobs.sources.layout import Layout, Part

# A character that no record has: it keeps the CSV reader from splitting a line, and separates what ids are derived from.
NO_DELIMITER = "\x1f"
PATH_COLUMN = "local_path"
MAX_LINE_BYTES = 16_000_000
EARLIEST = "1990-01-01 00:00:00+00"  # before it there were no web shops
_TYPE_WORDS = {
    "DOUBLE": "a number",
    "INTEGER": "a whole number",
    "BIGINT": "a whole number",
    "BOOLEAN": "yes or no",
    "TIMESTAMP WITH TIME ZONE": "a time",
}
# A blank line is no record and no fault.
BLANK = "blank"
_IS_FILLED = "trim(line, ' \t\r') <> ''"
_LINEAGE = {"source", "file_id", "line_number"}
_WORD_KEY = r"lower(regexp_replace({}, '[^\pL\pN]', '', 'g'))"  # as jobs.consent.word_key
_INT64 = 9_223_372_036_854_775_000
_Shape = dict[str, Any]  # name -> "VARCHAR", or a shape
_EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


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


@dataclass(frozen=True)
class Limits:
    """What a source says of its records: what its money is, and between which instants they can have happened.

    `purposes` are the words for purposes of consent (without case and separators) and what they mean; empty, any word is one.
    """

    currency: str | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    loaded_at: datetime | None = None
    purposes: dict[str, str] = field(default_factory=dict)


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


def trimmed(text: str) -> str:
    """SQL of a text without blanks at its ends, null where nothing is left.

    Trimming looks at every character; nearly no value needs it, and two comparisons tell which.
    """
    return f"CASE WHEN {text} < '!' OR ends_with({text}, ' ') THEN nullif(trim({text}), '') ELSE {text} END"


def name_groups(pattern: str) -> list[str]:
    """The names of a pattern's groups in their order; those without one are called by their number."""
    compiled = re.compile(pattern)
    names = {number: name for name, number in compiled.groupindex.items()}
    return [names.get(number, f"group {number}") for number in range(1, compiled.groups + 1)]


def can_fuse(layout: Layout) -> bool:
    """True where one line gives one row at most, so that lines need no table of their own to be numbered by."""
    part = layout.parts[0]
    return (
        len(layout.parts) == 1
        and not part.where
        and not part.each
        and not layout.ignored
        and not layout.is_ordered
    )


def build_read(
    layout: Layout, header: list[str], paths: list[str], *, limit: int | None = None
) -> str:
    """Build the SELECT that reads files of one header, as text; its rows come in the order of paths and lines.

    Args:
        layout: says how the files are written.
        header: the files' columns (CSV and Parquet).
        paths: local paths.
        limit: read at most so many records.

    Returns:
        SQL whose rows have `local_path` and what `build_part` reads: the columns `c0, c1...` of a CSV file, or `line` and `f`,
        the fields' texts. Lines that the CSV reader refuses go to DuckDB's `reject_errors` and `reject_scans`.
    """
    listed = f"[{', '.join(map(quote_literal, paths))}]"
    end = f" LIMIT {limit}" if limit else ""
    if layout.file_type == "parquet":
        record = ", ".join(
            f"{quote_identifier(name)} := {quote_identifier(name)}" for name in header
        )
        line = _without_nul(f"to_json(struct_pack({record}))::VARCHAR")
        lines = (
            f"SELECT {line} AS line, {PATH_COLUMN} "
            f"FROM read_parquet({listed}, filename = '{PATH_COLUMN}', hive_partitioning = false)"
        )
        return f"SELECT *, {build_fields(layout)} AS f FROM ({lines}){end}"
    is_csv = layout.file_type == "csv"
    names = [f"c{index}" for index in range(len(header))] if is_csv else ["line"]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    quote = layout.quote if is_csv else ""
    lines = (
        f"FROM read_csv({listed}, filename = '{PATH_COLUMN}', columns = {{{columns}}}, auto_detect = false, "
        f"header = {'true' if is_csv and not layout.header else 'false'}, "
        f"delim = {quote_literal(layout.delimiter if is_csv else NO_DELIMITER)}, "
        f"quote = '{quote}', escape = '{quote}', max_line_size = {MAX_LINE_BYTES + 16}, hive_partitioning = false, nullstr = '', "
        f"skip = {0 if is_csv else layout.skipped_lines}, store_rejects = true, rejects_limit = 0)"
    )
    if is_csv:
        return f"SELECT * {lines}{end}"
    if layout.file_type == "jsonl":
        lines = f"FROM (SELECT * REPLACE ({_without_nul('line')} AS line) {lines})"
    return f"SELECT *, {build_fields(layout)} AS f {lines}{end}"


def _without_nul(line: str) -> str:
    """SQL of a JSON text whose strings hold no NUL: DuckDB's own text of such a value is no SQL that DuckLake can read."""
    nul = "'\\u0000'"
    return (
        f"CASE WHEN contains({line}, {nul}) THEN replace({line}, {nul}, '\\ufffd') ELSE {line} END"
    )


def build_fields(layout: Layout) -> str:
    """SQL of the list of the fields' texts in a line; null where the line is no record."""
    if layout.file_type == "text":
        if not layout.pattern:
            return "[line]"
        pattern, names = quote_literal(layout.pattern), name_groups(layout.pattern)
        groups = ", ".join(quote_literal(name) for name in names)
        taken = ", ".join(f"m.{quote_identifier(group)}" for group in layout.fields.values())
        return (
            f"CASE WHEN regexp_full_match(line, {pattern}) "
            f"THEN list_transform([regexp_extract(line, {pattern}, [{groups}])], lambda m: [{taken}])[1] END"
        )
    # One pass over the line takes every value; asking path by path would parse it once for each.
    shape = _record_shape(layout)
    if shape is not None:
        parsed = f"from_json(line, {quote_literal(json.dumps(shape))})"
        # A line with both braces is nearly always whole, and TRY costs nothing until a line is not; other lines are checked.
        return (
            f"CASE WHEN starts_with(line, '{{') AND ends_with(line, '}}') THEN TRY({parsed}) "
            f"WHEN json_valid(line) THEN {parsed} END"
        )
    paths = ", ".join(quote_literal(json_path(name)) for name in layout.fields.values())
    return f"CASE WHEN json_valid(line) THEN json_extract_string(line, [{paths}]) END"


def _record_shape(layout: Layout) -> _Shape | None:
    """The nested names of the fields, as `from_json` takes them: half the work of a list of paths.

    None where a path goes through a list, or where two names of one level differ by case only, or one path lies in another:
    no struct has these.
    """
    if not layout.fields:
        return None
    shape: _Shape = {}
    for path in layout.fields.values():
        *parents, name = path.split(".")
        level = shape
        for parent in parents:
            inner = level.setdefault(parent, {})
            if not isinstance(inner, dict):
                return None
            level = inner
        if level.setdefault(name, "VARCHAR") != "VARCHAR":
            return None
    return shape if _is_struct(shape) else None


def _is_struct(shape: _Shape) -> bool:
    names = {name.lower() for name in shape}
    return (
        len(names) == len(shape)
        and all(name and "[" not in name for name in names)
        and all(_is_struct(inner) for inner in shape.values() if isinstance(inner, dict))
    )


def build_part(
    layout: Layout,
    part: Part,
    source: str,
    header: list[str],
    relation: str,
    limits: Limits,
    *,
    is_numbered: bool = True,
) -> Statement:
    """Build the SELECT that types and judges one raw table's rows.

    Args:
        layout: how the files are written.
        part: the table.
        source: the source's name, part of every id.
        header: the files' columns (CSV only).
        relation: SQL of what `build_read` gave; with `row_number` where `is_numbered`.
        limits: what the source says of its records.
        is_numbered: the relation has `row_number`, and records may be dropped or multiplied.

    Returns:
        A statement whose rows have `local_path` (and `row_number`), each column of the raw table except `source`, `file_id`
        and `line_number`, `is_derived` (the id was made from the values), `user_agent`, and `reason_code`, `reason`,
        `raw_text` (null where the row is good).
    """
    entity = ENTITIES[part.entity]
    statement = Statement()
    is_main = part is layout.parts[0]
    texts = {name: sql for name, sql in part.columns.items() if name in entity.told_columns}
    if "recorded_at" in entity.required and "recorded_at" not in texts and limits.loaded_at:
        # A list of today's consents: told now, and a consent that comes back is told anew.
        texts["recorded_at"] = quote_literal(limits.loaded_at.isoformat())
        part = replace(part, time_formats=part.time_formats | {"recorded_at": "iso"})
    keys = f"{PATH_COLUMN}, row_number" if is_numbered else PATH_COLUMN
    query = _layer_fields(layout, header, relation, keys)
    for name, sql in layout.derived.items():
        query = f"SELECT *, nullif(trim({sql}), '') AS {quote_identifier(name)} FROM ({query})"
    conditions = [f"NOT coalesce({layout.ignored}, false)"] if layout.ignored else []
    if is_numbered and layout.file_type in {"jsonl", "text"}:
        conditions.append(_IS_FILLED)
    if part.where:
        told = f"coalesce({part.where}, false)"
        conditions.append(f"(NOT is_record OR {told})" if is_main else f"is_record AND {told}")
    elif not is_main:
        conditions.append("is_record")
    if conditions:
        query = f"SELECT * FROM ({query}) WHERE {' AND '.join(conditions)}"
    if part.each:
        query = _layer_elements(part, query)
    query = _layer_texts(layout, part, texts, query, keys)
    query = _layer_types(layout, part, entity, texts, statement, query, limits, keys)
    query = _layer_ids(part, entity, source, texts, query)
    query = _layer_verdict(part, entity, texts, statement, query, limits, keys)
    statement.text = query
    return statement


def _layer_fields(layout: Layout, header: list[str], relation: str, keys: str) -> str:
    """The fields of a record by their names, trimmed; `raw_text`, `is_record`."""
    picked = []
    if layout.file_type == "csv":
        position = {name: index for index, name in enumerate(header)}
        for name, column in layout.fields.items():
            at = position.get(column)
            text = "NULL::VARCHAR" if at is None else trimmed(f"c{at}")
            picked.append(f"{text} AS {quote_identifier(name)}")
        raw, is_record = _csv_line(layout, len(header)), "true"
        raw_line = ""
    else:
        names = [name for name in layout.fields if name != "line"]
        # Taken out of the list once each: the trimming looks at a text several times.
        is_struct = layout.file_type in {"jsonl", "parquet"} and _record_shape(layout) is not None
        taken = "".join(
            f", {_in_struct(path) if is_struct else f'f[{index}]'} AS x{index}"
            for index, (name, path) in enumerate(layout.fields.items(), start=1)
            if name != "line"
        )
        relation = f"(SELECT *{taken} FROM {relation})"
        position = {name: index for index, name in enumerate(layout.fields, start=1)}
        picked = [f"{trimmed(f'x{position[name]}')} AS {quote_identifier(name)}" for name in names]
        raw, raw_line = "line", ", line"
        is_record = "f IS NOT NULL"
        if layout.file_type == "jsonl":
            is_record = (
                "CASE WHEN f IS NULL THEN false WHEN starts_with(line, '{') THEN true "
                "ELSE json_type(line) = 'OBJECT' END"
            )
    if layout.is_ordered:  # a line alone does not say what it means, so its fields are kept
        names = [*layout.fields, *layout.derived]
        pairs = ", ".join(f"{quote_literal(name)}, {quote_identifier(name)}" for name in names)
        raw = f"json_object({pairs})::VARCHAR"
        # Worked out by the verdict, once the derived fields are there.
        return f"SELECT {keys}{raw_line}, {is_record} AS is_record, {', '.join(picked) or '0 AS nothing'} FROM {relation}"
    fields_text = f", {', '.join(picked)}" if picked else ""
    return f"SELECT {keys}{raw_line}, {raw} AS raw_text, {is_record} AS is_record{fields_text} FROM {relation}"


def _in_struct(path: str) -> str:
    """SQL of a field of what `from_json` gave."""
    return ".".join(["f", *map(quote_identifier, path.split("."))])


def _csv_line(layout: Layout, count: int) -> str:
    """SQL of a CSV record's text, quoted where it must be."""
    if not layout.quote:
        cells = ", ".join(f"coalesce(c{index}, '')" for index in range(count))
    else:
        odd = quote_literal(f"[{re.escape(layout.delimiter)}{layout.quote}\\r\\n]")
        cells = ", ".join(
            f"CASE WHEN regexp_matches(c{index}, {odd}) "
            f"THEN '\"' || replace(c{index}, '\"', '\"\"') || '\"' ELSE coalesce(c{index}, '') END"
            for index in range(count)
        )
    return f"concat_ws({quote_literal(layout.delimiter)}, {cells})"


def _layer_elements(part: Part, query: str) -> str:
    """One row for each element of a list, and one without an element where there is none."""
    paths = ", ".join(quote_literal(json_path(name)) for name in part.each_fields.values())
    names = ", ".join(
        f"{trimmed(f'g[{index}]')} AS {quote_identifier(name)}"
        for index, name in enumerate(part.each_fields, start=1)
    )
    listed = f"SELECT *, coalesce({part.each}, []::JSON[]) AS elements FROM ({query})"
    opened = (
        "SELECT * EXCLUDE (elements), "
        "unnest(CASE WHEN len(elements) = 0 THEN [NULL::JSON] ELSE elements END) AS element, "
        "unnest(range(1, greatest(len(elements), 1) + 1)) AS element_number, len(elements) AS count_elements "
        f"FROM ({listed})"
    )
    if not part.each_fields:
        return opened
    taken = f"SELECT *, json_extract_string(element, [{paths}]) AS g FROM ({opened})"
    return f"SELECT * EXCLUDE (g), {names} FROM ({taken})"


def _layer_texts(layout: Layout, part: Part, texts: dict[str, str], query: str, keys: str) -> str:
    """The text of each column of the table: `t_<column>`, trimmed, null where blank."""
    fields = {*layout.fields, *layout.derived, *part.each_fields}
    picked = [
        f"{sql if sql.strip(chr(34)) in fields else f'nullif(trim({sql}), {chr(39) * 2})'} AS t_{name}"
        for name, sql in texts.items()
    ]
    if part.user_agent:
        picked.append(f"{part.user_agent} AS user_agent")
    if part.properties:
        pairs = ", ".join(f"{quote_literal(name)}, {sql}" for name, sql in part.properties.items())
        # A merge patch leaves out what is null.
        picked.append(f"json_merge_patch('{{}}', json_object({pairs})) AS t_properties")
    if part.each:
        picked += ["element_number", "element IS NOT NULL AS is_element"]
    for index, (test, _, _) in enumerate(part.rejected_if):
        picked.append(f"coalesce({test}, false) AS is_refused_{index}")
    raw = "raw_text"
    if layout.is_ordered:
        names = [*(layout.fields or {"line": ""}), *layout.derived]
        pairs = ", ".join(f"{quote_literal(name)}, {quote_identifier(name)}" for name in names)
        raw = f"json_object({pairs})::VARCHAR AS raw_text"
    return f"SELECT {keys}, {raw}, is_record, {', '.join(picked)} FROM ({query})"


def _layer_types(
    layout: Layout,
    part: Part,
    entity: Entity,
    texts: dict[str, str],
    statement: Statement,
    query: str,
    limits: Limits,
    keys: str,
) -> str:
    """The typed value of each column by its name."""
    typed = {}
    for column, type_ in entity.told_columns.items():
        if column not in texts:
            continue
        text = f"t_{column}"
        if column == "event_type" and part.event_names:
            names = statement.bind(list(part.event_names))
            types = statement.bind(list(part.event_names.values()))
            found = f"map({names}, {types})[{text}]"
            if part.other_events:
                found = f"coalesce({found}, {quote_literal(part.other_events)})"
            typed[column] = found
        elif column in entity.values or column == "purpose":
            typed[column] = _closed(column, text, statement, limits)
        elif column == "currency":
            typed[column] = f"upper({text})"
        else:
            form = part.time_formats.get(column, layout.time_format)
            typed[column] = _typed(layout, type_, text, form)
            if column in FREE_TEXTS:
                typed[column] = without_addresses(typed[column])
    _add_derived_columns(entity, texts, typed)
    if "currency" in entity.columns and limits.currency:
        money = [name for name in ("price", "amount", "rate") if name in typed] or ["NULL"]
        told = typed.get("currency", "NULL")
        typed["currency"] = (
            f"coalesce({told}, CASE WHEN coalesce({', '.join(f't_{name}' if name in texts else 'NULL' for name in money)}) "
            f"IS NOT NULL THEN {quote_literal(limits.currency)} END)"
        )
    columns = "".join(
        f", ({sql})::{entity.told_columns[name]} AS {quote_identifier(name)}"
        for name, sql in typed.items()
    )
    kept = "".join(f", t_{name}" for name in texts)
    kept += ", t_properties" if part.properties else ""
    kept += ", user_agent" if part.user_agent else ""
    kept += ", element_number, is_element" if part.each else ""
    kept += "".join(f", is_refused_{index}" for index in range(len(part.rejected_if)))
    return f"SELECT {keys}, raw_text, is_record{kept}{columns} FROM ({query})"


def _closed(column: str, text: str, statement: Statement, limits: Limits) -> str:
    """SQL of a value of a closed list: as it stands there, whatever its case; by a synonym; null where unknown."""
    if column == "purpose":
        if not limits.purposes:
            return text
        words = statement.bind(list(limits.purposes))
        meant = statement.bind(list(limits.purposes.values()))
        return f"map({words}, {meant})[{_WORD_KEY.format(text)}]"
    lowered = f"lower({text})"
    synonyms = SYNONYMS.get(column)
    if not synonyms:
        return lowered
    names, values = statement.bind(list(synonyms)), statement.bind(list(synonyms.values()))
    return f"coalesce(map({names}, {values})[{lowered}], {lowered})"


def _add_derived_columns(entity: Entity, texts: dict[str, str], typed: dict[str, str]) -> None:
    """Columns that other columns say."""
    if entity.name == "orders":
        _add_order_columns(typed)
    if "name_key" in entity.columns and "first_name" in texts:
        # The first word of the first name: last names are a family's, and change.
        typed["name_key"] = "lower(split_part(t_first_name, ' ', 1))"


def _add_order_columns(typed: dict[str, str]) -> None:
    """What a line of an order is: pieces below 0 came back, a price below 0 corrects an account."""
    quantity = typed.get("quantity", "NULL")
    value = f"coalesce({typed.get('price', 'NULL')}, CASE WHEN coalesce({quantity}, 1) >= 0 THEN {typed.get('amount', 'NULL')} END)"
    found = (
        f"CASE WHEN {value} < 0 THEN 'adjustment' WHEN {quantity} < 0 THEN 'return' ELSE 'sale' END"
    )
    typed["line_type"] = (
        f"coalesce({typed['line_type']}, {found})" if "line_type" in typed else found
    )
    told = typed.get("quantity")
    typed["quantity"] = f"CASE WHEN t_quantity IS NULL THEN 1 ELSE abs({told}) END" if told else "1"
    if "amount" in typed:
        typed["amount"] = (
            f"CASE WHEN {quantity} < 0 OR {typed['line_type']} = 'return' "
            f"THEN abs({typed['amount']}) ELSE {typed['amount']} END"
        )


def _time(layout: Layout, text: str, time_format: str) -> str:
    """SQL of an instant. Of a local time that a clock change skips or repeats, see docs/your-logs.md."""
    if time_format == "epoch" or time_format in _EPOCHS:
        # A whole number is cast a hundred times faster than a decimal, and nearly every one is whole.
        decimal = _instant(f"TRY_CAST({text} AS DECIMAL(38,6))", time_format)
        whole = _instant(f"TRY_CAST({text} AS BIGINT)", time_format)
        return f"CASE WHEN contains({text}, '.') THEN {decimal} ELSE {whole} END"
    zone = quote_literal(layout.time_zone)
    if time_format == "iso":
        local = f"timezone({zone}, TRY_CAST({text} AS TIMESTAMP))"
        # Without seconds (10:00Z) an instant is no text that DuckDB casts.
        short = quote_literal(r"(\d[T ]\d\d:\d\d)(Z|[+-]\d\d)")
        offset_time = (
            f"coalesce(TRY_CAST({text} AS TIMESTAMPTZ), "
            f"TRY_CAST(regexp_replace({text}, {short}, '\\1:00\\2') AS TIMESTAMPTZ))"
        )
        if layout.time_zone == "UTC":
            return offset_time
        offset = r"(?i)(z|utc|[+-]\d{2}(:?\d{2})?)$"
        return (
            f"CASE WHEN regexp_matches({text}[11:], {quote_literal(offset)}) "
            f"THEN {offset_time} ELSE {local} END"
        )
    pattern = quote_literal(time_format)
    if "%z" in time_format:
        return f"TRY_CAST(try_strptime({text}, {pattern}) AS TIMESTAMPTZ)"
    return f"timezone({zone}, try_strptime({text}, {pattern})::TIMESTAMP)"


def _instant(number: str, time_format: str) -> str:
    """SQL of the instant that a number of seconds (or parts of them) since 1970 means; null where it means none."""
    if time_format == "epoch":
        # Told apart by size: of one instant each unit gives a thousand times the number of the one before.
        return (
            f"CASE WHEN {number} BETWEEN -99999999999 AND 99999999999 THEN make_timestamptz(({number} * 1000000)::BIGINT) "
            f"WHEN {number} BETWEEN -99999999999999 AND 99999999999999 THEN make_timestamptz(({number} * 1000)::BIGINT) "
            f"WHEN {number} BETWEEN -99999999999999999 AND 99999999999999999 THEN make_timestamptz(({number})::BIGINT) "
            f"WHEN {number} BETWEEN {-_INT64} AND {_INT64} THEN make_timestamptz(({number} // 1000)::BIGINT) END"
        )
    factor = _EPOCHS[time_format]
    limit = _INT64 // factor
    return f"CASE WHEN {number} BETWEEN {-limit} AND {limit} THEN make_timestamptz(({number} * {factor})::BIGINT) END"


def _typed(layout: Layout, type_: str, text: str, time_format: str) -> str:
    if type_ == "VARCHAR":
        return text
    if type_ == "JSON":
        return f"CASE WHEN json_valid({text}) THEN {text} END"
    if type_ == "BOOLEAN":
        return (
            f"CASE WHEN lower({text}) IN ('true', 't', 'yes', 'y', '1') THEN true "
            f"WHEN lower({text}) IN ('false', 'f', 'no', 'n', '0') THEN false END"
        )
    if type_.startswith("TIMESTAMP"):
        return _time(layout, text, time_format)
    if layout.decimal_mark == ",":
        text = f"replace(replace({text}, '.', ''), ',', '.')"
    return f"TRY_CAST({text} AS {type_})"


def _layer_ids(
    part: Part,
    entity: Entity,
    source: str,
    texts: dict[str, str],
    query: str,
) -> str:
    """The record's id: the source's own, or one made from what identifies the record."""
    identifying = [name for name in part.identified_by or sorted(texts) if name in texts]
    parts = ", ".join(f"coalesce(t_{name}, '')" for name in identifying)
    if part.each:
        parts += ", CASE WHEN is_element THEN element_number ELSE 0 END::VARCHAR"
    separator = quote_literal(NO_DELIMITER)
    # Salted: somebody who guesses what a record says could else see from its id that they are right.
    derived = (
        f"md5(concat_ws({separator}, getvariable('id_salt'), {quote_literal(source)}, {parts}))"
    )
    own = f"t_{entity.id_column}"
    # Two sources may count from 1 both, so an id is the source's own; a line without one gets it from its values.
    given = f"{quote_literal(source + ':')} || {own}"
    if part.each:
        given += " || CASE WHEN is_element THEN ':' || element_number ELSE '' END"
    if entity.id_column in texts:
        made, is_derived = f"coalesce({given}, {derived})", f"{own} IS NULL"
    else:
        made, is_derived = derived, "true"
    kept = f"* EXCLUDE ({entity.id_column})" if entity.id_column in texts else "*"
    return f"SELECT {kept}, {made} AS {entity.id_column}, {is_derived} AS is_derived FROM ({query})"


def _layer_verdict(
    part: Part,
    entity: Entity,
    texts: dict[str, str],
    statement: Statement,
    query: str,
    limits: Limits,
    keys: str,
) -> str:
    """Each column of the table, and for a row that cannot be one the reason."""
    checks = _checks(part, entity, texts, statement, limits)
    # The checks are worked out once, to the number of the first that a row fails.
    failed = " ".join(f"WHEN {test} THEN {index}" for index, (test, _, _) in enumerate(checks))
    code = " ".join(f"WHEN {index} THEN '{name}'" for index, (_, name, _) in enumerate(checks))
    reason = " ".join(f"WHEN {index} THEN {text}" for index, (_, _, text) in enumerate(checks))
    query = f"SELECT *, CASE {failed} END AS failed FROM ({query})"
    present = {*texts, entity.id_column}
    if entity.name == "orders":
        present |= {"line_type", "quantity"}
    if "first_name" in texts:
        present.add("name_key")
    if "currency" in entity.columns and limits.currency:
        present.add("currency")
    columns = []
    for column, type_ in entity.told_columns.items():
        if column in _LINEAGE:
            continue
        value = quote_identifier(column) if column in present else "NULL"
        if column == "properties" and part.properties:
            value = without_addresses("t_properties")
        if (
            column == "received_at"
            and entity.day_column
            and entity.day_column != column
            and entity.day_column in texts
        ):
            # A log without times of arrival is taken to have been known as it happened.
            value = f"coalesce({value}, {entity.day_column})"
        if column == "is_bot":
            value = "false"
        columns.append(f"{value}::{type_} AS {quote_identifier(column)}")
    agent = "user_agent" if part.user_agent else "NULL::VARCHAR AS user_agent"
    return (
        f"SELECT {keys}, {', '.join(columns)}, is_derived, {agent}, "
        f"CASE WHEN failed IS NOT NULL THEN CASE failed {code} END END AS reason_code, "
        f"CASE WHEN failed IS NOT NULL THEN CASE failed {reason} END END AS reason, "
        f"CASE WHEN failed IS NOT NULL THEN raw_text END AS raw_text FROM ({query})"
    )


def _checks(
    part: Part, entity: Entity, texts: dict[str, str], statement: Statement, limits: Limits
) -> list[tuple[str, str, str]]:
    """What a row is rejected for, first match first: SQL test, reason code, SQL of the reason."""
    checks = [
        (
            f"NOT is_record AND NOT coalesce({_IS_FILLED.replace('line', 'raw_text')}, false)",
            BLANK,
            "''",
        ),
        ("NOT is_record", "malformed", "'the line is not a record of this format'"),
        *(
            (f"is_refused_{index}", code, quote_literal(reason))
            for index, (_, code, reason) in enumerate(part.rejected_if)
        ),
    ]
    checks += [
        (f"t_{column} IS NULL", "missing_field", f"'{column} is empty'")
        for column in entity.required
        if column in texts
    ]
    if entity.one_of:
        told = [f"t_{column}" for column in entity.one_of if column in texts] or ["NULL"]
        reason = f"'none of {', '.join(entity.one_of)} has a value'"
        checks.append((f"coalesce({', '.join(told)}) IS NULL", "missing_field", reason))
    for column, type_ in entity.columns.items():
        word = "a number" if type_.startswith("DECIMAL") else _TYPE_WORDS.get(type_)
        if column in texts and word:
            test = f"t_{column} IS NOT NULL AND {quote_identifier(column)} IS NULL"
            if word == "a time":
                test = f"t_{column} IS NOT NULL AND NOT coalesce(isfinite({column}), false)"
            checks.append((test, "bad_type", f"'{column}: expected {word}'"))
    checks += [
        (f"{column} < {minimum}", "out_of_range", f"'{column} is below {minimum:g}'")
        for column, minimum in entity.minimums.items()
        if column in texts
    ]
    checks += _value_checks(part, entity, texts, limits)
    for column in entity.happened:
        if column not in texts:
            continue
        early = f"{column} < TIMESTAMPTZ '{EARLIEST}'"
        checks.append((early, "time_before_start", f"'{column} is before {EARLIEST[:4]}'"))
        if limits.earliest and column == entity.day_column:
            early = f"{column} < {statement.bind(limits.earliest)}::TIMESTAMPTZ"
            began = f"'{column} is before the source began (starts_at)'"
            checks.append((early, "time_before_start", began))
        if limits.latest:
            late = f"{column} > {statement.bind(limits.latest)}::TIMESTAMPTZ"
            checks.append((late, "time_in_future", f"'{column} lies in the future'"))
    return checks


def _value_checks(
    part: Part, entity: Entity, texts: dict[str, str], limits: Limits
) -> list[tuple[str, str, str]]:
    """Values of closed lists, and currencies."""
    checks = []
    for column, values in entity.values.items():
        if column not in texts:
            continue
        if column == "event_type" and part.event_names:
            shown = "CASE WHEN contains(t_event_type, '@') THEN '[e-mail]' ELSE left(t_event_type, 60) END"
            reason = f"'event name ' || {shown} || ' is not in event_names'"
            checks.append(("event_type IS NULL", "unknown_event", reason))
            continue
        listed = ", ".join(map(quote_literal, values))
        code = "unknown_event" if column == "event_type" else "unknown_value"
        test = f"t_{column} IS NOT NULL AND {column} NOT IN ({listed})"
        checks.append((test, code, quote_literal(f"{column} is none of {', '.join(values)}")))
    if "purpose" in texts and limits.purposes:
        # Where a wrong column was named, its text may be anybody's.
        shown = "CASE WHEN regexp_matches(t_purpose, '@|[0-9]{5}') THEN '[hidden]' ELSE left(t_purpose, 40) END"
        reason = f"'purpose ' || {shown} || ' is not in the consent policy'"
        checks.append(("t_purpose IS NOT NULL AND purpose IS NULL", "unknown_purpose", reason))
    if "currency" in texts or ("currency" in entity.columns and limits.currency):
        known = quote_literal("|".join(sorted(CURRENCIES)))
        # One pass of an automaton; a list would be compared code by code.
        test = f"currency IS NOT NULL AND NOT regexp_full_match(currency, {known})"
        reason = "'currency ' || left(currency, 8) || ' is no code of ISO 4217'"
        checks.append((test, "unknown_currency", reason))
    return checks
