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
from jobs.demo_shop.crm import account_rows, consents_frame, profiles_frame, timestamps
from jobs.demo_shop.customers import ARCHETYPE_NAMES, DAY_MS, Customers, build_customers
from jobs.demo_shop.events import Events, Step, add_aftermath, concat_events, take_events
from jobs.demo_shop.journeys import simulate_journeys
from jobs.demo_shop.log_lines import LineRenderer, anonymous_ids, user_ids
from jobs.demo_shop.noise import (
    DAMAGES,
    LATE_FROM_MS,
    N_BOTS,
    Lines,
    arrange_lines,
    break_some,
    make_bots,
    receive,
)
from jobs.errors import ConfigError

logger = logging.getLogger(__name__)

MANIFEST = "demo_shop.json"
# About 45 MB of text at a time: large enough for full speed, small enough for a laptop.
LINES_PER_BATCH = 100_000


@dataclass(frozen=True, eq=False)
class _Shop:
    """All that is known about the shop once the simulation is over."""

    catalogue: Catalogue
    customers: Customers
    events: Events  # as logged: valid events first, then those that are sent broken
    received_ms: Array
    discounts_pct: Array
    damages: Array
    future: Events  # order lines after the last day
    signed_up_ms: Array
    lines: Lines
    rng: np.random.Generator


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
    end_ms = config.n_days * DAY_MS
    is_past = events.occurred_ms < end_ms
    future = take_events(events, ~is_past & (events.steps == Step.ORDER))
    events, discounts_pct = take_events(events, is_past), discounts_pct[is_past]
    bots = make_bots(config, len(events.steps), rng)
    events = concat_events(events, bots)
    discounts_pct = np.concatenate([discounts_pct, np.zeros(len(bots.steps), dtype=np.uint8)])
    received_ms = receive(config, events, rng)
    # What the collector gets after the last day is in tomorrow's file, which does not exist yet.
    arrived = received_ms < end_ms
    events, discounts_pct = take_events(events, arrived), discounts_pct[arrived]
    received_ms = received_ms[arrived]
    n_sound = len(events.steps)
    broken, kinds = break_some(config, events, rng)
    received_ms = np.concatenate([received_ms, received_ms[broken]])
    return _Shop(
        catalogue=catalogue,
        customers=customers,
        events=concat_events(events, take_events(events, broken)),
        received_ms=received_ms,
        discounts_pct=np.concatenate([discounts_pct, discounts_pct[broken]]),
        damages=np.concatenate([np.zeros(n_sound, dtype=np.uint8), kinds]),
        future=future,
        signed_up_ms=signed_up_ms,
        lines=arrange_lines(config, received_ms, n_sound, rng),
        rng=rng,
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
    spend = _net_spend(shop)
    profiles = profiles_frame(config, shop.customers, shop.signed_up_ms, spend, shop.rng)
    profiles.write_csv(directory / "crm" / "profiles.csv")
    consents = consents_frame(config, shop.customers, shop.signed_up_ms, shop.rng)
    consents.write_csv(directory / "crm" / "consents.csv")
    people = _people_frame(config, shop)
    people.write_csv(directory / "truth" / "customers.csv")
    purchases = _next_purchases_frame(config, shop)
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
    names, lines, n_lines = file_names(config), shop.lines, len(shop.lines.rows)
    renderer = LineRenderer(
        config, shop.catalogue, shop.customers, shop.events, shop.received_ms,
        shop.discounts_pct, shop.damages,
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


def _net_spend(shop: _Shop) -> Array:
    """Return what each customer paid less what came back, EUR, discounts left aside."""
    events = take_events(shop.events, shop.damages == 0)
    sign = np.select([events.steps == Step.ORDER, events.steps == Step.REFUND], [1.0, -1.0], 0.0)
    rows = np.flatnonzero(sign)
    amount = shop.catalogue.prices[events.arguments[rows]] * events.quantities[rows] * sign[rows]
    return np.bincount(events.customers[rows], amount, minlength=len(shop.customers))


def _people_frame(config: DemoShopConfig, shop: _Shop) -> pl.DataFrame:
    """Return `truth/customers.csv`: everybody who left a trace in the logs or in the CRM."""
    n = len(shop.customers)
    has_account = np.zeros(n, dtype=bool)
    has_account[account_rows(config, shop.customers, shop.signed_up_ms)] = True
    seen = np.bincount(shop.events.customers[shop.damages == 0], minlength=n)[:n] > 0
    rows = np.flatnonzero(has_account | seen)
    users, anonymous = user_ids(n), anonymous_ids(2 * n + N_BOTS, config.seed)
    return pl.DataFrame(
        {
            "user_id": [users[row] if has_account[row] else None for row in rows],
            "anonymous_id": [anonymous[2 * row] for row in rows],
            "archetype": [ARCHETYPE_NAMES[shop.customers.archetypes[row]] for row in rows],
        },
        schema_overrides={"user_id": pl.String},
    )


def _next_purchases_frame(config: DemoShopConfig, shop: _Shop) -> pl.DataFrame:
    """Return `truth/next_purchases.csv`: order lines after the last day, of people with an account.

    Guests are left out: nothing that they get could be addressed to them.
    """
    has_account = np.isin(
        shop.future.customers, account_rows(config, shop.customers, shop.signed_up_ms)
    )
    future = take_events(shop.future, has_account)
    users = user_ids(len(shop.customers))
    return pl.DataFrame(
        {
            "user_id": [users[c] for c in future.customers],
            "item_id": [shop.catalogue.item_ids[i] for i in future.arguments],
            "purchased_at": timestamps(config, future.occurred_ms),
        },
        schema_overrides={"user_id": pl.String, "item_id": pl.String},
    ).sort("user_id", "purchased_at", "item_id")


def _count_lines(config: DemoShopConfig, shop: _Shop) -> dict[str, Any]:
    is_valid = shop.damages == 0
    events = take_events(shop.events, is_valid)
    orders = events.orders[events.steps == Step.ORDER]
    waited = shop.received_ms[is_valid] - events.occurred_ms
    return {
        "count_files": len(file_names(config)),
        "count_lines": len(shop.lines.rows),
        "count_events": int(is_valid.sum()),
        "count_duplicates": len(shop.lines.rows) - len(shop.damages),
        "count_broken": {
            kind: int((shop.damages == number).sum()) for number, kind in enumerate(DAMAGES) if kind
        },
        "count_bot_events": int((events.customers >= len(shop.customers)).sum()),
        "count_late_events": int((waited >= LATE_FROM_MS).sum()),
        "count_orders": len(np.unique(orders)),
        "count_order_lines": len(orders),
        "count_refunds": int((events.steps == Step.REFUND).sum()),
    }
