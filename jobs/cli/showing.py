"""Tables for the terminal."""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from jobs.cli.running import Outcome
from jobs.cli.sources import show_failures, show_sources
from jobs.cli.tables import show_rows
from jobs.consent import load_run_policy
from jobs.lake import connect, find_tables
from jobs.pipeline import PipelineRun, resolve_as_of
from jobs.settings import PROJECT_ROOT

# What people compare first, larger is better.
_HEADLINES = (
    "auc",
    "average_precision",
    "hit_rate_at_10",
    "ndcg_at_10",
    "pair_precision",
    "pair_recall",
)


def _query(
    con: duckdb.DuckDBPyConnection, text: str, parameters: list[Any] | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    cursor = con.execute(text, parameters)
    return [column[0] for column in cursor.description or []], cursor.fetchall()


def _shown(path: Any) -> str:
    """A path as markup, relative to the project where it lies in it."""
    return escape(str(path).removeprefix(f"{PROJECT_ROOT}/"))


def show_outcome(outcome: Outcome, run: PipelineRun, console: Console) -> None:
    """Say what a run made and where it is."""
    as_of_date = resolve_as_of(run).request("").as_of_date
    con = connect(run.settings)
    try:
        names, rows = _query(
            con,
            """
            SELECT segment_name AS segment, kind, n_customers AS customers, printf('%.1f', share * 100) AS "share %",
                printf('%.2f', average_order_value) AS "average order"
            FROM marts.segment_kpis WHERE as_of_date = ? AND n_customers > 0 ORDER BY kind, n_customers DESC, segment_name
            """,
            [as_of_date],
        )
        show_rows(names, rows, 40, console, title="Segments")
        _show_models(con, console, as_of_date)
        set_aside = _count_set_aside(con)
    finally:
        con.close()
    exports = run.settings.exports_path / str(as_of_date)
    manifest = json.loads((exports / "manifest.json").read_text(encoding="utf-8"))
    places = Table(show_header=False, box=None, pad_edge=False)
    for entry in manifest["files"]:
        places.add_row(f"{entry['rows']:>9,} rows", _shown(exports / entry["path"]))
    places.add_row("manifest", _shown(exports / "manifest.json"))
    places.add_row("report", _shown(run.settings.reports_path / f"{as_of_date}.html"))
    places.add_row("lake", _shown(run.settings.lake_dir))
    places.add_row("log", _shown(outcome.log))
    console.print(places)
    if outcome.failures:
        show_failures(outcome.failures, console)
    _hint_at_consent(set_aside, run, console)
    flag = f" --config {_shown(run.config_path)}" if str(run.config.folder) != "." else ""
    if run.settings.lake is not None:
        flag = f" --lake {_shown(run.settings.lake)}"
    program = _shown(Path(sys.argv[0]).absolute())
    console.print(
        f'\nQuery it: [bold]{program} sql{flag} "SELECT * FROM marts.recommendations LIMIT 10"[/]',
        soft_wrap=True,
    )


def _count_set_aside(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int, int]]:
    """Of each source that lost events for want of consent: its name, how many, and of how many, bots left out."""
    if "marts.data_quality_daily" not in find_tables(con):
        return []
    return con.execute(
        """
        SELECT source, sum(n_without_consent)::BIGINT, sum(n_events - n_bot_events)::BIGINT FROM marts.data_quality_daily
        GROUP BY source HAVING sum(n_without_consent) > 0 ORDER BY source
        """
    ).fetchall()


def _hint_at_consent(
    set_aside: list[tuple[str, int, int]], run: PipelineRun, console: Console
) -> None:
    """Say what to do about sources most of whose events are not used."""
    sources = [source for source, count, total in set_aside if count > total / 2]
    if not sources:
        return
    policy = load_run_policy(run.config, run.config_path)
    console.print(
        f"\n[yellow]Consent[/] most events of {escape(', '.join(sources))} are set aside: nobody there is known to agree to "
        f"{policy.behaviour}. If it sends nothing without consent, write {escape(f'`consented: [{policy.behaviour}]`')} into "
        f"that source in {_shown(run.config_path)}; else see to the rules in {_shown(run.config.consent.policy)} "
        "(docs/consent.md).",
        soft_wrap=True,
    )


def _show_models(con: duckdb.DuckDBPyConnection, console: Console, as_of_date: Any) -> None:
    rows = con.execute(
        "SELECT model_name, status, metrics, baseline_metrics, message FROM ml.model_runs "
        "WHERE as_of_date = ? ORDER BY 1",
        [as_of_date],
    ).fetchall()
    table = Table(
        title="Models (measured on a later period)", title_justify="left", header_style="bold"
    )
    for name in ("model", "measure", "value", "best baseline"):
        table.add_column(name, justify="right" if name == "value" else "left")
    for model, status, metrics, baselines, message in rows:
        if status != "ok":
            table.add_row(model, status.replace("_", " "), "", escape(message or ""))
            continue
        measures = _headline(json.loads(metrics or "{}"), json.loads(baselines or "{}"))
        for index, (name, value, baseline) in enumerate(measures):
            table.add_row("" if index else model, name, value, baseline)
    console.print(table)


def _headline(metrics: dict[str, Any], baselines: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The two measures to show: those that baselines have too, with the best of these; else the first two numbers."""
    numbers = {
        name: value
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    shown = []
    for name in _HEADLINES:
        rivals = {key: of[name] for key, of in baselines.items() if name in of}
        if name in numbers and rivals:
            best = max(rivals, key=lambda key: (rivals[key], key))
            shown.append((name, f"{numbers[name]:.3f}", f"{rivals[best]:.3f} ({best})"))
    if not shown:
        shown = [(name, f"{value:.4g}", "") for name, value in numbers.items()]
    return shown[:2]


def show_status(run: PipelineRun, console: Console) -> None:
    """Print what the lake holds, what ran last and what the gates found."""
    con = connect(run.settings)
    try:
        console.print(f"[bold]{run.config.name}[/]  lake {_shown(run.settings.lake_dir)}")
        counts = []
        for table in find_tables(con):
            schema = table.split(".")[0]
            if schema in {"staging", "intermediate"}:
                continue
            row = con.execute(f"SELECT count(*) FROM lake.{table}").fetchone()
            counts.append((table, row[0] if row else 0))
        show_rows(["table", "rows"], counts, 200, console, title="Tables")
        names, rows = _query(
            con,
            """
            SELECT stage, strftime(as_of, '%Y-%m-%d %H:%M') AS "as of (UTC)",
                strftime(started_at, '%Y-%m-%d %H:%M') AS "started (UTC)", round(seconds, 1) AS seconds,
                list_sum(list_transform(json_keys(count_rows), key -> (count_rows ->> ('$."' || key || '"'))::BIGINT))::BIGINT
                    AS rows
            FROM ops.runs
            QUALIFY row_number() OVER (PARTITION BY stage ORDER BY started_at DESC) = 1 ORDER BY started_at, stage
            """,
        )
        show_rows(names, rows, 50, console, title="Last run of each stage")
        show_sources(con, run, console)
        for source, count, total in _count_set_aside(con):
            console.print(
                f"[yellow]{escape(source)}[/]: {count:,} of {total:,} events set aside for want of consent (docs/consent.md)"
            )
        names, rows = _query(
            con,
            """
            SELECT table_name, expectation, severity, observed_value, offending_ids FROM ops.quality_results
            WHERE NOT is_success ORDER BY checked_at DESC, table_name
            """,
        )
        if rows:
            show_rows(names, rows, 20, console, title="Failed expectations")
        else:
            console.print("[green]No failed expectation on record.[/]")
    finally:
        con.close()
