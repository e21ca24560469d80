"""The file formats of an export: how DuckDB writes a query's rows as CSV and as Parquet.

CSV: UTF-8 without a byte order mark, comma, header, text always quoted and nothing else, null as an empty field without
quotes, days as YYYY-MM-DD, instants as YYYY-MM-DDTHH:MM:SSZ. A text that a spreadsheet would run as a formula gets an
apostrophe in front; Parquet keeps every value as it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

# What Excel, LibreOffice and Google Sheets take for a formula, also after blanks and in full width, and the control
# characters that they drop before looking (OWASP, "CSV Injection").
_FORMULA = r"^\s*[=+\-@＝＋－＠]|^[\t\r\n]"


def write_csv(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Mapping[str, str],
    order_by: Sequence[str],
    path: Path,
) -> None:
    """Write a table or view as CSV.

    Args:
        con: where the table is.
        relation: its name.
        columns: name -> DuckDB type of what is written, in order.
        order_by: columns that put the rows in one order.
        path: file to make.
    """
    cells = ", ".join(f'{_as_text(name, type_)} AS "{name}"' for name, type_ in columns.items())
    text = ", ".join(f'"{name}"' for name, type_ in columns.items() if type_ == "VARCHAR")
    force_quote = f", FORCE_QUOTE ({text})" if text else ""
    con.execute(
        f"COPY (SELECT {cells} FROM {relation} ORDER BY {_listed(order_by, relation)}) TO {_literal(path)} "
        f"(FORMAT csv, HEADER, DELIMITER ',', QUOTE '\"', ESCAPE '\"', NULLSTR ''{force_quote})"
    )


def write_parquet(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Mapping[str, str],
    order_by: Sequence[str],
    path: Path,
) -> None:
    """Write a table or view as Parquet (zstd); arguments as of `write_csv`."""
    con.execute(
        f"COPY (SELECT {_listed(columns)} FROM {relation} ORDER BY {_listed(order_by)}) TO {_literal(path)} "
        "(FORMAT parquet, COMPRESSION zstd)"
    )


def _as_text(name: str, type_: str) -> str:
    column = f'"{name}"'
    if type_ == "VARCHAR":
        return f"CASE WHEN regexp_matches({column}, {_quoted(_FORMULA)}) THEN '''' || {column} ELSE {column} END"
    if type_.startswith("TIMESTAMP"):  # with or without a zone, the lake's times are UTC
        return f"strftime(({column}::TIMESTAMPTZ) AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ')"
    return column


def _listed(names: Sequence[str] | Mapping[str, str], relation: str = "") -> str:
    prefix = f"{relation}." if relation else ""
    return ", ".join(f'{prefix}"{name}"' for name in names)


def _literal(path: Path) -> str:
    return _quoted(str(path))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
