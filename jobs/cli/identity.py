"""`personalake identity`: look at a customer's identifiers, and decide what the rules cannot know."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import typer
from rich.console import Console
from rich.markup import escape

from jobs.cli.options import ConfigOption, LakeOption
from jobs.cli.tables import show_rows

if TYPE_CHECKING:
    from jobs.identity.evidence import Decision

identity_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help=(
        "Who is who: show a customer's identifiers and why they are one person's; merge and split.\n\n"
        "A customer is named by its id (core.customers), by any identifier, or by what the shop calls them: a number, an "
        "e-mail address, a telephone number (+49...).\n\n"
        "A decision outlives every later run until it is taken back; [bold]--dry-run[/] shows what it would change."
    ),
)
out = Console()
err = Console(stderr=True)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; stays on record.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change; decide nothing.")
]
LaterOption = Annotated[
    bool,
    typer.Option(
        "--later", help="Only write the decision down: the next scheduled run follows it."
    ),
]
_AFTER = ("build_features", "train_models", "export_audiences")
_SHOWN = 40


def _open(config: Path | None, lake: Path | None) -> Any:
    """The run whose point in time the identities in the lake are of, and its keys."""
    from jobs import pipeline
    from jobs.keys import load_keys

    payload: dict[str, Any] = {
        "config": str(config) if config else None,
        "PERSONALAKE_LAKE": str(lake) if lake else None,
    }
    run = pipeline.open_run(payload, now=datetime.now(UTC))
    return run, load_keys(run.settings, run.config.people)


def _connect(run: Any) -> duckdb.DuckDBPyConnection:
    from jobs.errors import InputDataError
    from jobs.lake import connect

    con = connect(run.settings)
    try:
        found = con.execute("SELECT 1 FROM lake.identity.identifiers LIMIT 1").fetchone()
    except duckdb.CatalogException:
        found = None
    if found is None:
        con.close()
        raise InputDataError(
            "looking at identities: this lake has none yet; `personalake run` finds out who is who"
        )
    return con


@identity_app.command()
def show(
    customer: Annotated[str, typer.Argument(help="Its id, an identifier, a number or an address.")],
    config: ConfigOption = None,
    lake: LakeOption = None,
) -> None:
    """Show a customer's identifiers, what joins them, what was cut, and what has changed."""
    from jobs.identity.deciding import customer_of

    run, keys = _open(config, lake)
    con = _connect(run)
    try:
        customer_id = customer_of(con, keys, customer)
        out.print(f"Customer [bold]{customer_id}[/]")
        for title, query in _VIEWS.items():
            cursor = con.execute(query, {"customer_id": customer_id})
            names = [column[0] for column in cursor.description or []]
            rows = cursor.fetchmany(_SHOWN + 1)
            if rows or title == "Identifiers":
                show_rows(names, rows, _SHOWN, out, title=title)
    finally:
        con.close()


_VIEWS = {
    "Identifiers": """
        SELECT kind, identifier, first_known_at AS "first known", linked_at AS "this customer's since", link_kind AS "linked by"
        FROM lake.identity.identifiers WHERE customer_id = $customer_id ORDER BY first_known_at, kind DESC, identifier
    """,
    "Links that join others, or were cut": """
        SELECT links.identifier, other_identifier AS "other identifier", link_kind AS link, count_told AS told,
            cut_reason AS "cut because"
        FROM lake.identity.links WHERE cut_reason IS NOT NULL AND (
            links.identifier IN (SELECT identifier FROM lake.identity.identifiers WHERE customer_id = $customer_id)
            OR other_identifier IN (SELECT identifier FROM lake.identity.identifiers WHERE customer_id = $customer_id))
        ORDER BY ALL
    """,
    "Changes": """
        SELECT change, customer_id AS "customer", new_customer_id AS "went to", count_identifiers AS identifiers, cause,
            changed_at AS "seen at"
        FROM lake.identity.changes WHERE $customer_id IN (customer_id, new_customer_id) ORDER BY changed_at, customer_id, new_customer_id
    """,
    "Decisions": """
        SELECT decision_id AS decision, decision AS what, reason, decided_at AS "decided at", withdrawn_at AS "taken back at"
        FROM lake.identity.decisions WHERE list_has_any(identifiers, (
            SELECT list(identifier) FROM lake.identity.identifiers WHERE customer_id = $customer_id))
        ORDER BY decided_at
    """,
}


@identity_app.command()
def merge(
    one: Annotated[str, typer.Argument(help="A customer.")],
    other: Annotated[str, typer.Argument(help="Another one, who is the same person.")],
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    later: LaterOption = False,
    config: ConfigOption = None,
    lake: LakeOption = None,
) -> None:
    """Decide that two customers are one person; the older id stays."""
    from jobs.identity.deciding import plan_merge

    _decide(
        lambda con, keys: plan_merge(con, keys, one, other),
        reason,
        dry_run=dry_run,
        later=later,
        places=(config, lake),
    )


@identity_app.command()
def split(
    identifiers: Annotated[
        list[str],
        typer.Argument(
            help="Identifiers of one customer that are somebody else's (all one person's)."
        ),
    ],
    reason: ReasonOption,
    dry_run: DryRunOption = False,
    later: LaterOption = False,
    config: ConfigOption = None,
    lake: LakeOption = None,
) -> None:
    """Decide that some identifiers are not this customer's; nothing will join them again."""
    from jobs.identity.deciding import plan_split

    _decide(
        lambda con, keys: plan_split(con, keys, identifiers),
        reason,
        dry_run=dry_run,
        later=later,
        places=(config, lake),
    )


@identity_app.command()
def undo(
    decision: Annotated[str, typer.Argument(help="Id of the decision.")],
    later: LaterOption = False,
    config: ConfigOption = None,
    lake: LakeOption = None,
) -> None:
    """Take a decision back; it stays on record."""
    from jobs.identity.deciding import withdraw_decision

    run, _ = _open(config, lake)
    withdraw_decision(run.settings, decision, run.started_at)
    out.print(f"Took back decision [bold]{escape(decision)}[/].")
    _run_after(run, later=later)


@identity_app.command()
def decisions(config: ConfigOption = None, lake: LakeOption = None) -> None:
    """List the decisions."""
    run, _ = _open(config, lake)
    con = _connect(run)
    try:
        cursor = con.execute(
            "SELECT decision_id AS decision, decision AS what, len(identifiers) AS identifiers, reason, "
            'decided_at AS "decided at", withdrawn_at AS "taken back at" FROM lake.identity.decisions ORDER BY decided_at'
        )
        names = [column[0] for column in cursor.description or []]
        show_rows(names, cursor.fetchall(), 1000, out, title="Decisions")
    finally:
        con.close()


def _show_effect(con: duckdb.DuckDBPyConnection, run: Any, keys: Any, decision: "Decision") -> None:
    """What a decision changes: customers, and how many of their orders and events move."""
    from jobs.identity.evidence import read_decisions
    from jobs.identity.resolving import STAGE, find_identities, pseudonyms_of_shared
    from jobs.stages import find_latest_run

    latest = find_latest_run(con, STAGE)
    as_of = latest.as_of if latest is not None else run.started_at
    config = run.config.identity
    found = find_identities(
        con,
        as_of,
        config,
        shared=pseudonyms_of_shared(config, keys),
        decisions=[*read_decisions(con), decision],
    )
    tables = ("core.orders", "features.customer_events")
    counted = [
        tuple(_count_of(con, table, customer) for table in tables)
        for customer in found.changes["customer_id"]
    ]
    changes = found.changes.select("change", "customer_id", "new_customer_id", "count_identifiers")
    rows = [(*row, *counts) for row, counts in zip(changes.iter_rows(), counted, strict=True)]
    names = ["change", "customer", "goes to", "identifiers", "its orders", "its events"]
    show_rows(names, rows, _SHOWN, out, title="What it changes")


def _count_of(con: duckdb.DuckDBPyConnection, table: str, customer: str) -> int | None:
    """Rows of a customer; None before dbt has made the table."""
    try:
        row = con.execute(
            f"SELECT count(*) FROM lake.{table} WHERE customer_id = ?", [customer]
        ).fetchone()
    except duckdb.CatalogException:
        return None
    return row[0] if row else None


def _decide(
    plan: Callable[[duckdb.DuckDBPyConnection, Any], "Decision"],
    reason: str,
    *,
    dry_run: bool,
    later: bool,
    places: tuple[Path | None, Path | None],
) -> None:
    """Show what a decision changes, write it down, and let everything follow it."""
    from jobs.identity.deciding import record_decision

    run, keys = _open(*places)
    con = _connect(run)
    try:
        decision = plan(con, keys)
        _show_effect(con, run, keys, decision)
    finally:
        con.close()
    if dry_run:
        out.print("[dim]A dry run: nothing was decided.[/]")
        return
    written = record_decision(run.settings, decision, reason, run.started_at)
    out.print(
        f"Decision [bold]{written.decision_id}[/] is on record; "
        f"[bold]personalake identity undo {written.decision_id}[/] takes it back."
    )
    _run_after(run, later=later)


def _run_after(run: Any, *, later: bool) -> None:
    """Let the history follow at once: events, orders, memberships, features."""
    from dataclasses import replace

    from jobs.cli.running import run_dags
    from jobs.identity.resolving import STAGE
    from jobs.lake import connect
    from jobs.stages import find_latest_run

    if later:
        out.print("The next run follows it.")
        return
    con = connect(run.settings)
    try:
        latest = find_latest_run(con, STAGE)
    finally:
        con.close()
    if latest is not None:
        run_dags(replace(run, as_of=latest.as_of), _AFTER, err)
        out.print("[green]History, segments, recommendations and exports follow it.[/]")
