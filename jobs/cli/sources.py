"""What the terminal tells of sources: what they are, what they would give, what they gave, and which of them fail."""

import re
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import duckdb
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jobs.cli.tables import cell, show_rows
from jobs.keys import KeyRing, decrypt_text
from jobs.pipeline import PipelineRun
from jobs.sources.formats import FORMATS
from jobs.sources.writing import REJECTS

if TYPE_CHECKING:
    from jobs.cli.drafting import Draft
    from jobs.sources.replaying import ReplayResult
    from jobs.sources.sampling import SourceSample, TableSample

# The last state of each file: a version that failed counts no more once another one of its path is in.
_NEWEST_STATES = """
    SELECT * FROM raw.files
    QUALIFY row_number() OVER (PARTITION BY source, entity, path ORDER BY rowid DESC) = 1
"""

# What names a person, wherever it stands in a line.
_MASKS = (
    (r"[^\s\"'<>,;:=]+@[^\s\"'<>,;:=]+", "[e-mail]"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "[address]"),
    (r"\b[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){4,7}\b", "[address]"),
    (r"\+\d[\d ()/-]{6,}\d", "[telephone]"),
)
_SHOWN_LENGTH = 4000


def show_draft(draft: "Draft", console: Console) -> None:
    """Print what was recognised, what was written, and what to do next."""
    table = Table(title="Recognised", title_justify="left", header_style="bold")
    for name in ("source", "format", "gives", "path"):
        table.add_column(name, overflow="fold")
    table.add_column("files", justify="right")
    for name, found in draft.sources.items():
        known = FORMATS.get(found.format)
        format_ = f"{found.format} ({known.title})" if known else found.format
        gives = found.guess.entity if found.guess else "see the format"
        cells = (name, format_, gives, found.path, str(len(found.files)))
        table.add_row(*map(escape, cells))
    console.print(table)
    for found in draft.left_out:
        console.print(f"[yellow]Left out[/] {escape(found.problem)}", soft_wrap=True)
    for name, found in draft.sources.items():
        if found.guess and found.guess.unknown_names:
            count = len(found.guess.unknown_names)
            console.print(
                f"[yellow]{escape(name)}[/]: {count} names of events were not understood; its mapping lists them"
            )
    for path in draft.texts:
        console.print(f"Written: {escape(str(path))}", soft_wrap=True)
    console.print(
        f"\nLook them over, then: [bold]personalake validate --config {escape(str(draft.config_path))}[/]",
        soft_wrap=True,
    )


def show_samples(samples: list["SourceSample"], hints: dict[str, str], console: Console) -> None:
    """Print what a sample of each source gives, table by table, column by column.

    Args:
        samples: of the sources that can be read.
        hints: source -> a doubt about its format.
        console: where to.
    """
    for sample in samples:
        console.print(
            f"[bold]{escape(sample.name)}[/]  format {escape(sample.format)}, {sample.count_files} files; "
            f"sample of {escape(sample.file)}",
            soft_wrap=True,
        )
        if sample.name in hints:
            console.print(f"[yellow]{escape(hints[sample.name])}[/]", soft_wrap=True)
        for table in sample.tables:
            _show_table_sample(table, console)
        if not sample.count_good:
            console.print("[red]No row of the sample would be loaded.[/]")


def _show_table_sample(sample: "TableSample", console: Console) -> None:
    if not sample.count_rows:
        console.print(f"raw.{sample.entity}: no row in the sample")
        return
    table = Table(
        title=f"raw.{sample.entity}: {sample.count_good} of {sample.count_rows} rows good",
        title_justify="left",
        header_style="bold",
    )
    for name in ("column", "read from", "type"):
        table.add_column(name, overflow="fold")
    table.add_column("filled", justify="right")
    for column in sample.columns:
        cells = (column.name, column.source, column.type, f"{column.filled_rate:.0%}")
        table.add_row(*map(escape, cells))
    console.print(table)
    for (code, reason), count in sample.rejects.items():
        console.print(
            f"[yellow]{count} rows would be rejected[/]: {cell(code)}: {cell(reason)}",
            soft_wrap=True,
        )


def show_failures(failures: dict[str, str], console: Console) -> None:
    """Name the sources that failed while the others went on."""
    for name, message in failures.items():
        told = message.removeprefix(f"source {name}: ")
        console.print(
            f"[bold red]Source {escape(name)} failed:[/] {escape(told)}",
            highlight=False,
            soft_wrap=True,
        )


def show_sources(
    con: duckdb.DuckDBPyConnection,
    run: PipelineRun,
    console: Console,
    names: tuple[str, ...] | None = None,
) -> None:
    """Print how fresh each source is, what it gave, and whether it fails.

    Args:
        con: the lake.
        run: its configuration says which sources there should be.
        console: where to.
        names: only these sources.
    """
    rows = con.execute(
        f"""
        WITH states AS (
            SELECT source, count(DISTINCT path) FILTER (state = 'failed') AS failed FROM ({_NEWEST_STATES}) GROUP BY 1
        ),
        totals AS (
            SELECT source, count(DISTINCT file_id) FILTER (state = 'loaded') AS files,
                coalesce(sum(count_loaded) FILTER (state = 'loaded'), 0)::BIGINT AS loaded,
                coalesce(sum(count_duplicates) FILTER (state = 'loaded'), 0)::BIGINT AS duplicates,
                coalesce(sum(count_rejected) FILTER (state = 'loaded'), 0)::BIGINT AS rejected,
                max(loaded_at) FILTER (state <> 'failed') AS loaded_at
            FROM raw.files GROUP BY 1
        ),
        days AS (
            SELECT source, max(day) AS newest_day,
                count(DISTINCT day) FILTER (is_late AND changed_at = last_change) AS late_days
            FROM (SELECT *, max(changed_at) OVER (PARTITION BY source) AS last_change FROM ops.changed_days) GROUP BY 1
        )
        SELECT source, failed, files, loaded, duplicates, rejected, newest_day, late_days, loaded_at
        FROM totals JOIN states USING (source) LEFT JOIN days USING (source)
        """
    ).fetchall()
    told = {row[0]: row for row in rows}
    configured = [source.name for source in run.config.sources]
    # Narrow, so that it fits into a terminal of 80 columns.
    table = Table(
        title="Sources",
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE,
        show_edge=False,
        padding=0,
    )
    table.add_column("source", overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("files", "loaded", "duplicates", "rejected"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("newest day", no_wrap=True)
    table.add_column("late days", justify="right", overflow="fold")
    table.add_column("last new", no_wrap=True)
    for name in dict.fromkeys([*configured, *sorted(told)]):
        if names is not None and name not in names:
            continue
        if name not in told:
            table.add_row(escape(name), "[yellow]empty[/]")
            continue
        _, failed, *counts, newest_day, late_days, loaded_at = told[name]
        state = f"[bold red]{failed} failed[/]" if failed else "[green]ok[/]"
        late = f"[yellow]{late_days}[/]" if late_days else ""
        age = _describe_age(loaded_at, run.started_at)
        table.add_row(escape(name), state, *map(cell, counts), str(newest_day or ""), late, age)
    console.print(table)
    if any(row[1] for row in rows):
        console.print("[red]Files of some sources failed:[/] `personalake rejects` tells why.")


def _describe_age(instant: datetime | None, now: datetime) -> str:
    """How long ago something new was loaded."""
    if instant is None:
        return ""
    hours = (now - instant).total_seconds() / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} d ago"
    return f"{hours:.0f} h ago" if hours >= 1 else f"{hours * 60:.0f} min ago"


def show_rejects(
    con: duckdb.DuckDBPyConnection,
    console: Console,
    *,
    sources: tuple[str, ...] = (),
    limit: int = 20,
    keys: KeyRing | None = None,
) -> None:
    """Print which sources failed, and the reasons why lines were rejected, the most frequent first.

    Args:
        con: the lake.
        console: where to.
        sources: only these; all unless given.
        limit: at most so many reasons.
        keys: to print one line of each reason, cut and with addresses masked; None for none.
    """
    wanted = list(sources)
    failed = con.execute(
        f"""
        SELECT source, count(DISTINCT path), message FROM ({_NEWEST_STATES})
        WHERE state = 'failed' AND (len($sources) = 0 OR source IN (SELECT unnest($sources)))
        GROUP BY source, message ORDER BY source, message
        """,
        {"sources": wanted},
    ).fetchall()
    for source, count, message in failed:
        console.print(
            f"[bold red]{escape(source)} failed[/] ({count} files): {escape(message or '')}",
            highlight=False,
            soft_wrap=True,
        )
    rows = con.execute(
        """
        SELECT source, entity, reason_code AS code, reason, count(*) AS lines, count(DISTINCT path) AS files,
            arg_min(path, (path, line_number)) AS path, arg_min(line_number, (path, line_number)) AS line_number,
            arg_min(raw_record, (path, line_number)) AS record
        FROM raw.rejects WHERE len($sources) = 0 OR source IN (SELECT unnest($sources))
        GROUP BY ALL ORDER BY lines DESC, source, entity, code, reason
        """,
        {"sources": wanted},
    ).fetchall()
    if not rows:
        console.print("[green]No rejected line is on record.[/]")
        return
    names = ["source", "table", "code", "reason", "lines", "files", "first at"]
    shown = [
        (
            *row[:6],
            f"{PurePosixPath(row[6] or '').name}:{row[7]}",
            *([_read_line(keys, row[8])] if keys else []),
        )
        for row in rows
    ]
    show_rows([*names, *(["line"] if keys else [])], shown[:limit], limit, console, title="Rejects")
    if len(rows) > limit:
        console.print(f"[dim]The first {limit} of {len(rows)} reasons; --limit gives more.[/]")
    console.print(
        "Mend the mapping, then `personalake replay` reads these lines again; files of a failed source are loaded by the "
        "next run.",
        soft_wrap=True,
    )


def _read_line(keys: KeyRing, record: bytes) -> str:
    """A rejected line for whoever has the key: what names a person is masked, as far as it can be told."""
    line = decrypt_text(keys.derive(REJECTS), record, "rejected lines")[:_SHOWN_LENGTH]
    for pattern, word in _MASKS:
        line = re.sub(pattern, word, line)
    return line


def show_replay(results: list["ReplayResult"], console: Console) -> None:
    """Print what became of each source's rejected lines."""
    names = ["source", "lines read again", "loaded", "duplicates", "still rejected"]
    rows = [
        (result.source, result.rows, result.loaded, result.duplicates, result.rejected)
        for result in results
    ]
    show_rows(names, rows, len(rows), console, title="Replay")
    if any(result.loaded for result in results):
        console.print("The next `personalake run` computes with them.")
