"""Write the demo shop: logs, catalogue and CRM as a real shop has them, and the truth beside them.

Output, below one directory: `logs/*.jsonl`, `catalogue/items.csv`, `crm/*.csv`, `demo_shop.json`,
and `truth/`, which only tests may read. Idempotent: the same config gives the same bytes, and a
directory that already holds them is left alone. Everything is written to a sibling directory that
is renamed last, so that nobody ever sees half a shop.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jobs.demo_shop.catalogue import Array, Catalogue, build_catalogue, items_frame
from jobs.demo_shop.config import DemoShopConfig, DemoShopSummary
from jobs.demo_shop.consents import answer_banner, consents_frame, draw_withdrawals
from jobs.demo_shop.crm import profiles_frame
from jobs.demo_shop.customers import DAY_MS, Customers, account_holders, build_customers
from jobs.demo_shop.events import Events, Step, add_aftermath, concat_events, take_events
from jobs.demo_shop.identities import (
    Accounts,
    Told,
    list_accounts,
    plant_identities,
    tell_identifiers,
    user_ids,
)
from jobs.demo_shop.journeys import simulate_journeys
from jobs.demo_shop.log_lines import LineRenderer
from jobs.demo_shop.noise import (
    DAMAGES,
    LATE_FROM_MS,
    Lines,
    arrange_lines,
    break_some,
    make_bots,
    receive,
)
from jobs.demo_shop.people import People, build_people
from jobs.demo_shop.truth import customers_frame, identities_frame, next_purchases_frame
from jobs.errors import ConfigError

logger = logging.getLogger(__name__)

MANIFEST = "demo_shop.json"
# About 45 MB of text at a time: large enough for full speed, small enough for a laptop.
LINES_PER_BATCH = 100_000
_MONEY_STEPS = (Step.ORDER, Step.REFUND)


@dataclass(frozen=True, eq=False)
class _Log:
    """What the collector has received."""

    events: Events  # valid ones first, then those that are sent broken
    received_ms: Array
    discounts_pct: Array
    damages: Array
    lines: Lines


@dataclass(frozen=True, eq=False)
class _Shop:
    """All that is known about the shop once the simulation is over."""

    catalogue: Catalogue
    customers: Customers
    log: _Log
    future: Events  # order lines after the last day of people with an account
    people: People
    holders: Array  # customers with an account
    accounts: Accounts
    told: Told
    withdrawn_ms: Array
    rng: np.random.Generator  # for what is not decided yet


def generate_demo_shop(
    config: DemoShopConfig,
    directory: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> DemoShopSummary:
    """Write the shop below `directory`, unless it is there already.

    Args:
        config: What to make.
        directory: Replaced whole if it holds the shop of another config.
        on_progress: Called with lines written and lines in all, first with 0.

    Returns:
        Counts of what the directory holds.

    Raises:
        ConfigError: `directory` exists and was not written by this function.
    """
    existing = _read_manifest(directory)
    if existing is not None and existing["digest"] == config.digest():
        return DemoShopSummary.model_validate(existing["summary"])
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        summary = _write_shop(config, _simulate(config), partial, on_progress)
        manifest = {
            "digest": config.digest(),
            "config": config.model_dump(mode="json"),
            "summary": summary.model_dump(),
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        _replace(directory, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info("wrote demo shop to %s: %d lines", directory, summary.count_lines)
    return summary


def _read_manifest(directory: Path) -> dict[str, Any] | None:
    """Return the manifest of an earlier run; refuse a directory that is somebody else's."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return None
    path = directory / MANIFEST
    if not path.is_file():
        raise ConfigError(
            f"writing the demo shop to {directory}: expected a new directory or one with "
            f"{MANIFEST}, found other files; choose another directory"
        )
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def _replace(directory: Path, partial: Path) -> None:
    """Put `partial` in the place of `directory`, by renames only."""
    old = directory.with_name(f".{directory.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    partial.rename(directory)
    shutil.rmtree(old, ignore_errors=True)


def _simulate(config: DemoShopConfig) -> _Shop:
    # SFC64 is numpy's fastest generator with a fixed stream.
    rng = np.random.Generator(np.random.SFC64(config.seed))
    catalogue = build_catalogue(config, rng)
    customers = build_customers(config, catalogue, rng)
    journeys, signed_up_ms = simulate_journeys(config, catalogue, customers, rng)
    events, discounts_pct = add_aftermath(journeys, customers, rng)
    is_past = events.occurred_ms < config.n_days * DAY_MS
    holders = account_holders(config, customers, signed_up_ms)
    future = take_events(events, ~is_past & (events.steps == Step.ORDER))
    log = _log_events(config, take_events(events, is_past), discounts_pct[is_past], rng)
    # A stream of its own: whatever is planted, people do the same things at the same times.
    rng = np.random.Generator(np.random.SFC64([config.seed, 1]))
    plants = plant_identities(config, customers, log.events, signed_up_ms, holders, rng)
    people = build_people(config, customers, plants.households, holders, rng)
    return _Shop(
        catalogue=catalogue,
        customers=customers,
        log=log,
        future=take_events(future, np.isin(future.customers, holders)),
        people=people,
        holders=holders,
        accounts=list_accounts(customers, signed_up_ms, holders, plants.second_accounts),
        told=tell_identifiers(config, customers, people, log.events, plants),
        withdrawn_ms=draw_withdrawals(config, customers, signed_up_ms, rng),
        rng=rng,
    )


def _log_events(
    config: DemoShopConfig, events: Events, discounts_pct: Array, rng: np.random.Generator
) -> _Log:
    """Add the dirt of real logs to what people do."""
    bots = make_bots(config, len(events.steps), rng)
    events = concat_events(events, bots)
    discounts_pct = np.concatenate([discounts_pct, np.zeros(len(bots.steps), dtype=np.uint8)])
    received_ms = receive(config, events, rng)
    # What the collector gets after the last day is in tomorrow's file, which does not exist yet.
    arrived = received_ms < config.n_days * DAY_MS
    events, discounts_pct = take_events(events, arrived), discounts_pct[arrived]
    received_ms = received_ms[arrived]
    n_sound = len(events.steps)
    broken, kinds = break_some(config, events, rng)
    received_ms = np.concatenate([received_ms, received_ms[broken]])
    return _Log(
        events=concat_events(events, take_events(events, broken)),
        received_ms=received_ms,
        discounts_pct=np.concatenate([discounts_pct, discounts_pct[broken]]),
        damages=np.concatenate([np.zeros(n_sound, dtype=np.uint8), kinds]),
        lines=arrange_lines(config, received_ms, n_sound, rng),
    )


def _write_shop(
    config: DemoShopConfig,
    shop: _Shop,
    directory: Path,
    on_progress: Callable[[int, int], None] | None,
) -> DemoShopSummary:
    for name in ("logs", "catalogue", "crm", "truth"):
        (directory / name).mkdir()
    _write_logs(config, shop, directory / "logs", on_progress)
    items = items_frame(config, shop.catalogue)
    items.write_csv(directory / "catalogue" / "items.csv")
    profiles = profiles_frame(
        config, shop.customers, shop.people, shop.accounts, _net_spend(shop), shop.rng
    )
    profiles.write_csv(directory / "crm" / "profiles.csv")
    consents = consents_frame(config, shop.customers, shop.accounts, shop.withdrawn_ms)
    consents.write_csv(directory / "crm" / "consents.csv")
    people = customers_frame(config, shop.customers, shop.holders, shop.told)
    people.write_csv(directory / "truth" / "customers.csv")
    identities = identities_frame(shop.told, shop.people, shop.accounts, profiles)
    identities.write_csv(directory / "truth" / "identities.csv")
    purchases = next_purchases_frame(config, shop.catalogue, len(shop.customers), shop.future)
    purchases.write_csv(directory / "truth" / "next_purchases.csv")
    summary = DemoShopSummary(
        **_count_lines(config, shop),
        count_customers=people.height,
        count_profiles=profiles.height,
        count_consents=consents.height,
        count_items=items.height,
        count_next_purchases=purchases.height,
    )
    (directory / "truth" / "counts.json").write_text(summary.model_dump_json(indent=2) + "\n")
    return summary


def file_names(config: DemoShopConfig) -> list[str]:
    """Return the names of the log files in the order of their numbers."""
    days = [config.first_day + timedelta(days=n) for n in range(config.n_days)]
    names = [f"events-{day.isoformat()}" for day in days]
    return [f"{name}.jsonl" for name in (*names[:-1], f"{names[-1]}-part1", f"{names[-1]}-part2")]


def _write_logs(
    config: DemoShopConfig,
    shop: _Shop,
    directory: Path,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    names, log, lines = file_names(config), shop.log, shop.log.lines
    n_lines = len(lines.rows)
    answers = answer_banner(config, shop.customers, log.events, shop.withdrawn_ms, shop.rng)
    renderer = LineRenderer(
        config, shop.catalogue, shop.customers, log.events, shop.told, answers, log.received_ms,
        log.discounts_pct, log.damages,
    )  # fmt: skip
    if on_progress is not None:
        on_progress(0, n_lines)
    starts = np.searchsorted(lines.files, np.arange(len(names) + 1))
    # Writing takes as long as rendering and needs no interpreter: a thread hides the one behind the
    # other. One batch waits at most, so memory stays bounded.
    with ThreadPoolExecutor(max_workers=1) as writer:
        pending: Future[None] | None = None
        for first, last in _batches(starts):
            text = renderer.render(lines.rows[starts[first] : starts[last]])
            if pending is not None:
                pending.result()
            bounds = starts[first : last + 1] - starts[first]
            pending = writer.submit(_write_text, text, bounds, names[first:last], directory)
            if on_progress is not None:
                on_progress(int(starts[last]), n_lines)
        if pending is not None:
            pending.result()


def _batches(starts: Array) -> Iterator[tuple[int, int]]:
    """Yield ranges of whole files: as many as fit into a batch, but at least one."""
    n_files = len(starts) - 1
    first = 0
    while first < n_files:
        last = int(np.searchsorted(starts, starts[first] + LINES_PER_BATCH, side="right")) - 1
        last = min(max(last, first + 1), n_files)
        yield first, last
        first = last


def _write_text(lines: pl.Series, starts: Array, names: list[str], directory: Path) -> None:
    """Write each file's slice of the lines; in Arrow's layout it is one piece of memory."""
    strings = lines.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets_buffer, text_buffer = strings.buffers()
    text = memoryview(text_buffer) if text_buffer is not None else memoryview(b"")
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64, count=len(strings) + 1)
    for name, start, stop in zip(names, starts[:-1], starts[1:], strict=True):
        (directory / name).write_bytes(text[offsets[start] : offsets[stop]])


def _net_spend(shop: _Shop) -> dict[str, float]:
    """Return what each account paid less what came back, EUR, discounts left aside."""
    log, told = shop.log, shop.told
    rows = np.flatnonzero((log.damages == 0) & np.isin(log.events.steps, _MONEY_STEPS))
    events = take_events(log.events, rows)
    # In whole cents, whose sum does not depend on the order.
    cents = np.rint(shop.catalogue.prices[events.arguments] * 100).astype(int) * events.quantities
    first = pl.Series(user_ids(len(shop.customers))).gather(events.customers)
    paid = pl.DataFrame(
        {
            # Who does not sign in at the checkout is known to the CRM by the address.
            "user_id": told.combinations["user_id"].gather(told.numbers[rows]).fill_null(first),
            "cents": np.where(events.steps == Step.ORDER, cents, -cents),
        }
    )
    return dict(paid.group_by("user_id").agg(pl.col("cents").sum() / 100).iter_rows())


def _count_lines(config: DemoShopConfig, shop: _Shop) -> dict[str, Any]:
    log = shop.log
    # A slice, since they come first: a mask would copy them all.
    valid = slice(np.count_nonzero(log.damages == 0))
    events = take_events(log.events, valid)
    orders = events.orders[events.steps == Step.ORDER]
    waited = log.received_ms[valid] - events.occurred_ms
    return {
        "count_files": len(file_names(config)),
        "count_lines": len(log.lines.rows),
        "count_events": len(events.steps),
        "count_duplicates": len(log.lines.rows) - len(log.damages),
        "count_broken": {
            kind: int((log.damages == number).sum()) for number, kind in enumerate(DAMAGES) if kind
        },
        "count_bot_events": int((events.customers >= len(shop.customers)).sum()),
        "count_late_events": int((waited >= LATE_FROM_MS).sum()),
        "count_orders": len(np.unique(orders)),
        "count_order_lines": len(orders),
        "count_refunds": int((events.steps == Step.REFUND).sum()),
    }
