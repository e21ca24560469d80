"""Rows as tables in the terminal."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def cell(value: Any) -> str:
    """A value as markup."""
    if value is None:
        return "[dim]null[/]"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return escape(str(value))


def _numeric(rows: list[tuple[Any, ...]], index: int) -> bool:
    values = [row[index] for row in rows if row[index] is not None]
    return bool(values) and all(isinstance(value, int | float) for value in values)


def show_rows(
    names: list[str], rows: list[tuple[Any, ...]], limit: int, console: Console, title: str = ""
) -> None:
    """Print rows as a table, at most `limit` of them."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for index, name in enumerate(names):
        table.add_column(
            escape(name), justify="right" if _numeric(rows, index) else "left", overflow="fold"
        )
    for row in rows[:limit]:
        table.add_row(*(cell(value) for value in row))
    console.print(table)
    if len(rows) > limit:
        console.print(f"[dim]The first {limit} rows; use --csv, or LIMIT, for more or fewer.[/]")
