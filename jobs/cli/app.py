"""Commands: what a person or a script can ask for. Each says what it did; a fault is one line and exit status 1."""

import csv
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from jobs.cli.identity import identity_app
from jobs.cli.keys import keys_app
from jobs.cli.options import ConfigOption, LakeOption
from jobs.errors import PersonalakeError

app = typer.Typer(
    name="personalake",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=(
        "From a shop's logs to customer segments and recommendations worth sending.\n\n"
        "Start with [bold]personalake demo[/], then bring your own logs: [bold]personalake init --from FOLDER[/] writes a "
        "run configuration, [bold]personalake validate --config FILE[/] checks it, and "
        "[bold]personalake run --config FILE[/] runs it."
    ),
)
app.add_typer(identity_app, name="identity")
app.add_typer(keys_app, name="keys")
out = Console()
err = Console(stderr=True)

SourcesOption = Annotated[
    list[str] | None,
    typer.Option("--source", "-s", help="Only this source; may be given several times."),
]
MAX_SHOWN_ROWS = 100  # what a terminal can show; --csv gives all


def _open_run(
    config: Path | None, lake: Path | None, as_of: str | None = None, **asked: Any
) -> Any:
    from jobs import pipeline

    payload: dict[str, Any] = {"as_of": as_of, **asked}
    if config is not None:
        payload["config"] = str(config)
    if lake is not None:
        payload["PERSONALAKE_LAKE"] = str(lake)
    return pipeline.open_run(payload, now=datetime.now(UTC))


@app.command()
def demo(
    customers: Annotated[int | None, typer.Option(help="Customers of the demo shop.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the demo shop.")] = None,
    logs_only: Annotated[
        bool,
        typer.Option("--logs-only", help="Write the logs and stop: Airflow is to run the chain."),
    ] = False,
) -> None:
    """Write the logs of a demo shop and run the whole chain on them."""
    from jobs.cli.running import run_chain, write_demo_shop
    from jobs.cli.showing import show_outcome

    pipeline_run = _open_run(None, None)
    directory = write_demo_shop(pipeline_run, err, n_customers=customers, seed=seed)
    if logs_only:
        out.print(f"The demo shop's logs are in {escape(str(directory))}", soft_wrap=True)
        return
    outcome = run_chain(pipeline_run, err)
    show_outcome(outcome, pipeline_run, out)
    if outcome.failures:
        raise typer.Exit(1)


@app.command()
def init(
    place: Annotated[
        str,
        typer.Option(
            "--from", help="A file, a folder or a pattern with logs; local, or s3://bucket/prefix/."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the run; from the place unless given.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File of the run configuration; config/<name>.yml unless given."),
    ] = None,
) -> None:
    """Look at logs, recognise their formats, and write a run configuration with guessed mappings. Loads nothing."""
    from jobs.cli.drafting import draft_configuration, make_name, write_draft, write_key
    from jobs.cli.looking import find_place, look_at, name_place
    from jobs.cli.sources import show_draft
    from jobs.settings import PROJECT_ROOT, load_settings

    found = look_at(find_place(place))
    run_name = make_name(name or name_place(place))
    config_path = output or PROJECT_ROOT / "config" / f"{run_name}.yml"
    draft = draft_configuration(found, run_name, config_path)
    write_draft(draft)
    show_draft(draft, out)
    if not load_settings().key.get_secret_value():
        env_path = PROJECT_ROOT / ".env"
        write_key(env_path)
        out.print(
            f"Made a key of pseudonyms in [bold]{escape(str(env_path))}[/] (PERSONALAKE_KEY). Keep a copy apart from the "
            "lake: without it nobody in it is found again.",
            soft_wrap=True,
        )


@app.command()
def validate(
    config: Annotated[Path, typer.Option("--config", "-c", help="Run configuration (YAML).")],
) -> None:
    """Check a run configuration and show what its sources would give, column by column. Loads nothing."""
    from jobs.cli.each import doubt_formats, sample_each
    from jobs.cli.sources import show_failures, show_samples
    from jobs.pipeline import find_segments_dir
    from jobs.segments import load_segments

    pipeline_run = _open_run(config, None)
    samples, faults = sample_each(pipeline_run)
    rules = load_segments(find_segments_dir(pipeline_run))
    show_samples(samples, doubt_formats(pipeline_run, samples), out)
    show_failures(faults, out)
    poor = [sample.name for sample in samples if not sample.count_good]
    if poor or faults:
        names = ", ".join([*faults, *poor])
        out.print(f"[bold red]Not ready:[/] {escape(names)} would give no row", soft_wrap=True)
        raise typer.Exit(1)
    out.print(
        f"[green]{escape(str(config))} is valid[/]: {len(samples)} sources, {len(rules)} rule segments",
        soft_wrap=True,
    )


@app.command()
def run(
    config: Annotated[Path, typer.Option("--config", "-c", help="Run configuration (YAML).")],
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", help="Date or instant up to which the world is known, e.g. 2026-07-01."
        ),
    ] = None,
    lake: LakeOption = None,
    force: Annotated[bool, typer.Option(help="Compute even what is on record.")] = False,
    allow_shrink: Annotated[
        bool, typer.Option(help="Let a partition be replaced by one with far fewer rows.")
    ] = False,
) -> None:
    """Run the whole chain once: extract, features, training, scoring, export, report.

    It goes through the same Airflow DAGs as a scheduled run, without a scheduler. Files that were loaded are not loaded
    again, and a run that is on record changes nothing.
    """
    from jobs.cli.running import run_chain
    from jobs.cli.showing import show_outcome

    pipeline_run = _open_run(config, lake, as_of, force=force, allow_shrink=allow_shrink)
    outcome = run_chain(pipeline_run, err)
    show_outcome(outcome, pipeline_run, out)
    if outcome.failures:
        raise typer.Exit(1)


@app.command()
def load(
    config: Annotated[Path, typer.Option("--config", "-c", help="Run configuration (YAML).")],
    source: SourcesOption = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="First day of a backfill: files whose path names an earlier day stay out."
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="The day after a backfill's last: files whose path names it or a later one stay out."
        ),
    ] = None,
    lake: LakeOption = None,
) -> None:
    """Load what is new at the sources and gate it, without the rest of the chain."""
    from jobs.cli.running import check_run_sources, run_dags
    from jobs.cli.sources import show_failures, show_sources
    from jobs.lake import connect

    pipeline_run = _open_run(config, lake, sources=source, since=since, until=until)
    check_run_sources(pipeline_run)
    outcome = run_dags(pipeline_run, ("extract_logs",), err)
    con = connect(pipeline_run.settings)
    try:
        show_sources(con, pipeline_run, out, names=pipeline_run.sources)
    finally:
        con.close()
    if outcome.failures:
        show_failures(outcome.failures, err)
        raise typer.Exit(1)


@app.command()
def rejects(
    source: SourcesOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many reasons.")] = 20,
    show_lines: Annotated[
        bool,
        typer.Option(
            "--show-lines",
            help="One line of each reason, cut and with addresses masked; it may be personal.",
        ),
    ] = False,
    config: ConfigOption = None,
    lake: LakeOption = None,
) -> None:
    """Show which sources failed, and why lines were rejected."""
    from jobs.cli.sources import show_rejects
    from jobs.keys import load_keys
    from jobs.lake import connect

    pipeline_run = _open_run(config, lake)
    keys = load_keys(pipeline_run.settings, pipeline_run.config.people) if show_lines else None
    con = connect(pipeline_run.settings)
    try:
        show_rejects(con, out, sources=tuple(source or ()), limit=limit, keys=keys)
    finally:
        con.close()


@app.command()
def replay(
    source: SourcesOption = None, config: ConfigOption = None, lake: LakeOption = None
) -> None:
    """Read rejected lines again, after their mapping was mended; what is good now is loaded."""
    from jobs.cli.each import replay_each
    from jobs.cli.sources import show_failures, show_replay
    from jobs.lake.connection import check_folder

    pipeline_run = _open_run(config, lake, sources=source)
    check_folder(pipeline_run.settings, read_only=True)
    results, faults = replay_each(pipeline_run)
    show_replay(results, out)
    show_failures(faults, out)
    if faults:
        raise typer.Exit(1)


@app.command()
def status(config: ConfigOption = None, lake: LakeOption = None) -> None:
    """Show what the lake holds, how fresh it is, what ran last and what the gates found."""
    from jobs.cli.showing import show_status

    show_status(_open_run(config, lake), out)


@app.command()
def sql(
    query: Annotated[
        str, typer.Argument(help="SELECT over the lake, e.g. 'SELECT * FROM core.customers'.")
    ],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Write CSV to standard output, every row.")
    ] = False,
    config: ConfigOption = None,
    lake: LakeOption = None,
) -> None:
    """Query the lake (read-only), also while a run writes."""
    import duckdb

    from jobs.cli.querying import check_query, connect_confined
    from jobs.cli.tables import show_rows

    con = connect_confined(_open_run(config, lake).settings)
    try:
        check_query(con, query)
        cursor = con.execute(query)
        names = [column[0] for column in cursor.description or []]
        if as_csv:
            writer = csv.writer(sys.stdout)
            writer.writerow(names)
            while rows := cursor.fetchmany(10_000):
                writer.writerows(rows)
        else:
            show_rows(names, cursor.fetchmany(MAX_SHOWN_ROWS + 1), MAX_SHOWN_ROWS, out)
    except duckdb.Error as fault:
        err.print(f"[red]SQL:[/] {escape(str(fault).strip())}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from fault
    finally:
        con.close()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def dbt(context: typer.Context, config: ConfigOption = None, lake: LakeOption = None) -> None:
    """Run dbt on the lake, e.g. [bold]personalake dbt build --selector features[/]."""
    from jobs.cli.running import dbt_command

    command, environment = dbt_command(_open_run(config, lake), context.args)
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


@app.command()
def maintain(config: ConfigOption = None, lake: LakeOption = None) -> None:
    """Compact the lake: merge small files, forget old snapshots, remove files that nothing names."""
    from jobs.cli.running import run_dags

    run_dags(_open_run(config, lake), ("maintain_lake",), err)
    out.print("[green]The lake is compact.[/]")


@app.command()
def up(
    config: ConfigOption = None,
    lake: LakeOption = None,
    port: Annotated[int, typer.Option(help="Port of the web page, on 127.0.0.1.")] = 8080,
) -> None:
    """Start Airflow with its web page on this machine, until Ctrl-C."""
    from jobs.cli.serving import serve

    serve(_open_run(config, lake), port, out)


def main() -> None:
    """Run a command; a known fault ends with one line on standard error and status 1."""
    os.umask(0o077)  # what is written tells of customers
    try:
        app()
    except Exception as fault:
        message = describe_fault(fault)
        if message is None:
            raise
        err.print(f"[bold red]Error:[/] {escape(message)}", soft_wrap=True, highlight=False)
        sys.exit(1)


def describe_fault(fault: Exception) -> str | None:
    """What to tell of a fault, without values of rows; None for one that is a defect of this program."""
    import duckdb

    if isinstance(fault, PersonalakeError):
        return str(fault)
    if isinstance(fault, UnicodeError):
        encoding = getattr(fault, "encoding", "UTF-8")
        return f"a text is not valid {encoding}; save it as UTF-8"
    if isinstance(fault, duckdb.Error):
        # These speak of SQL, files and memory; others may repeat a row.
        speaking = (
            duckdb.BinderException,
            duckdb.CatalogException,
            duckdb.IOException,
            duckdb.OutOfMemoryException,
            duckdb.ParserException,
            duckdb.PermissionException,
        )
        line = str(fault).split("\n", 1)[0]
        # PostgreSQL's answer may repeat the connection string.
        is_safe = isinstance(fault, speaking) and line and "password" not in line
        return f"DuckDB: {line if is_safe else type(fault).__name__}"
    if isinstance(fault, OSError):
        reason = fault.strerror or type(fault).__name__
        return f"{fault.filename}: {reason}" if fault.filename else reason
    return None
