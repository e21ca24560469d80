"""`personalake keys`: make a key, see whether the lake's and the environment's go together, and rotate them."""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from jobs.cli.options import ConfigOption, LakeOption
from jobs.cli.tables import show_rows

if TYPE_CHECKING:
    from jobs.rotation import Rotation, State

keys_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help=(
        "The key behind pseudonyms, rejected lines and the vault.\n\n"
        "To rotate it: make a new one ([bold]personalake keys new[/]), write it behind the old one in PERSONALAKE_KEY with a "
        "comma between, and run [bold]personalake keys rotate[/]. Every process needs both from then on."
    ),
)
out = Console()

_MEANINGS: dict["State", str] = {
    "empty": "[yellow]The lake has no pseudonyms yet.[/] The first load writes them with the environment's keys.",
    "current": "[green]The environment's keys are the lake's.[/] There is nothing to do.",
    "due": "[yellow]The environment has a new key that the lake does not know.[/] `personalake keys rotate` rewrites the lake "
    "with it; until then nothing is loaded.",
    "unfinished": "[yellow]A rotation was interrupted:[/] the lake has the new key, and something of its former state is left. "
    "`personalake keys rotate` removes it.",
    "other": "[red]The environment's keys are not the lake's:[/] nothing is loaded. Set the lake's keys again, all of them, oldest "
    "first, with commas between.",
}


def _open(config: Path | None, lake: Path | None) -> Any:
    from jobs import pipeline
    from jobs.keys import load_keys

    payload = {
        "config": str(config) if config else None,
        "PERSONALAKE_LAKE": str(lake) if lake else None,
    }
    run = pipeline.open_run(payload, now=datetime.now(UTC))
    return run, load_keys(run.settings, run.config.people)


@keys_app.command()
def new() -> None:
    """Make a key: 64 hexadecimal digits. It stands nowhere but in this line; keep a copy apart from the backups."""
    typer.echo(secrets.token_hex(32))


@keys_app.command()
def status(config: ConfigOption = None, lake: LakeOption = None) -> None:
    """Show by their fingerprints whether the environment's keys are the lake's, and what is to be done."""
    from jobs.rotation import find_status

    run, keys = _open(config, lake)
    found = find_status(run.settings, keys)
    rows: list[tuple[Any, ...]] = [
        ("keys in the environment", found.count_keys),
        ("their fingerprint", found.environment),
        ("the lake's fingerprint", found.lake),
    ]
    show_rows(["", "value"], rows, len(rows), out)
    out.print(_MEANINGS[found.state], soft_wrap=True)


@keys_app.command()
def rotate(
    config: ConfigOption = None,
    lake: LakeOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be rewritten; change nothing.")
    ] = False,
) -> None:
    """Give every pseudonym, rejected line and clear value the newest key of PERSONALAKE_KEY, and forget the state before.

    A run that is interrupted leaves the lake as it was or as it is to be; run it again to finish. Meanwhile writers wait. Past
    snapshots go: the lake can no longer be read as it was before.
    """
    from jobs.rotation import plan_rotation
    from jobs.rotation import rotate as rotate_keys

    run, keys = _open(config, lake)
    if dry_run:
        rotation = plan_rotation(run.settings, keys)
        _show(rotation, "would be rewritten")
        return
    rotation = rotate_keys(run.settings, keys, run.started_at)
    _show(rotation, "rewritten")
    out.print(
        f"[green]The lake's keys are the environment's[/] ({keys.fingerprint}). Give all of them to every process that works on this "
        "lake, and keep a copy of the new one apart from the backups; older backups still need the older ones.",
        soft_wrap=True,
    )


def _show(rotation: "Rotation", done: str) -> None:
    rows = [
        (table.name, table.count_rows, ", ".join(column.name for column in table.columns))
        for table in rotation.tables
    ]
    if not rows:
        out.print("No table holds a pseudonym of another key.")
        return
    show_rows(["table", "rows", "columns with pseudonyms"], rows, len(rows), out)
    out.print(f"{len(rows)} tables {done}, {rotation.count_pseudonyms:,} pseudonyms.")
