"""The dirt of real logs: bots, slow and repeated delivery, broken lines."""

from dataclasses import dataclass

import numpy as np

from jobs.demo_shop.catalogue import N_CATEGORIES, Array
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.customers import DAY_MS
from jobs.demo_shop.events import Events, Step

N_CRAWLERS = 6
N_BOTS = N_CRAWLERS + 1  # the last one is the scraper with a browser's user agent
LATE_FROM_MS = 2 * 3_600_000
LATE_UNTIL_MS = 48 * 3_600_000
HALF_DAY_MS = DAY_MS // 2
# 0 stands for a sound line.
DAMAGES = (
    "",
    "truncated",
    "unknown_event",
    "missing_time",
    "bad_time",
    "negative_price",
    "empty",
)
NEGATIVE_PRICE = DAMAGES.index("negative_price")
_STEPS_WITH_ITEM = (Step.VIEW, Step.WISH, Step.ADD, Step.REMOVE, Step.ORDER)
# Milliseconds from the browser to the collector: log-uniform around 300, at most 4.7 s.
_LATENCIES_MS = (300 * np.exp(np.linspace(-2.4, 2.4, 1024) * 1.15)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Lines:
    """The log lines in the order of the files; arrays of shape (n_lines,)."""

    rows: Array  # row of `Events` that the line shows
    files: Array  # number of the file that the line stands in


def make_bots(config: DemoShopConfig, n_human: int, rng: np.random.Generator) -> Events:
    """Return bot events; bot `b` has the customer number `n_customers + b`."""
    n = round(n_human * config.bot_rate / (1 - config.bot_rate))
    n_scraper = n * 3 // 10
    # A crawler takes a page every few seconds, the scraper 2.5 a second: no person reads that fast.
    crawler = _raid(n - n_scraper, 40, 8_000, config.n_days, rng)
    scraper = _raid(n_scraper, 250, 400, config.n_days, rng)
    bots = np.where(np.arange(n) < n - n_scraper, rng.integers(0, N_CRAWLERS, n), N_CRAWLERS)
    # All events of one raid come from one crawler.
    bots[: n - n_scraper] = np.repeat(bots[: n - n_scraper : 40], 40)[: n - n_scraper]
    steps = np.array([Step.PAGE, Step.LIST, Step.LIST, Step.VIEW, Step.VIEW, Step.VIEW])
    step = steps[rng.integers(0, len(steps), n)]
    limits = np.select([step == Step.VIEW, step == Step.LIST], [config.n_items, N_CATEGORIES], 1)
    zeros = np.zeros(n, dtype=np.uint8)
    return Events(
        steps=step.astype(np.uint8),
        customers=(config.n_customers + bots).astype(np.int32),
        devices=zeros,
        visits=zeros.astype(np.int32),
        is_logged_in=zeros > 0,
        arguments=rng.integers(0, limits).astype(np.int32),
        quantities=zeros,
        orders=zeros.astype(np.int32),
        channels=zeros.astype(np.int16),
        is_landing=zeros > 0,
        occurred_ms=np.concatenate([crawler, scraper]),
    )


def _raid(n: int, length: int, gap_ms: int, n_days: int, rng: np.random.Generator) -> Array:
    """Return the times of `n` events in bursts of `length` with about `gap_ms` between them."""
    burst = np.arange(n) // length
    n_bursts = n // length + 1
    longest_ms = length * gap_ms * 2
    starts = rng.integers(0, n_days * DAY_MS - longest_ms, n_bursts)
    return starts[burst] + (np.arange(n) % length) * gap_ms + rng.integers(0, gap_ms, n)


def receive(config: DemoShopConfig, events: Events, rng: np.random.Generator) -> Array:
    """Return the time at which the collector gets each event, in ms after the first midnight."""
    n = len(events.steps)
    received = events.occurred_ms + _LATENCIES_MS[rng.integers(0, 1024, n, dtype=np.uint16)]
    late = np.flatnonzero(rng.random(n, dtype=np.float32) < config.late_rate)
    received[late] = events.occurred_ms[late] + rng.integers(LATE_FROM_MS, LATE_UNTIL_MS, len(late))
    return received


def break_some(
    config: DemoShopConfig, events: Events, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Choose which events are sent once more as a broken line.

    Returns:
        Row numbers and the damage done to each, an index into `DAMAGES`.
    """
    n = len(events.steps)
    rows = np.sort(rng.integers(0, n, round(n * config.broken_rate)))
    damages = rng.integers(1, len(DAMAGES), len(rows)).astype(np.uint8)
    has_item = np.isin(events.steps[rows], _STEPS_WITH_ITEM)
    # A price that is not there cannot be negative.
    damages[(damages == NEGATIVE_PRICE) & ~has_item] = 1
    return rows, damages


def arrange_lines(
    config: DemoShopConfig, received_ms: Array, n_sound: int, rng: np.random.Generator
) -> Lines:
    """Put each event into the file of the day on which it was received, and repeat some.

    Args:
        config: Period and rate of duplicates.
        received_ms: Of all events; the first `n_sound` are valid and may be repeated.
        n_sound: Number of valid events.
        rng: Source of randomness.

    Returns:
        Lines ordered by file and time received. A repetition in a later file opens that file: it is
        the same line, so it was received before everything else there.
    """
    rows = np.arange(len(received_ms), dtype=np.int32)
    files = received_ms // DAY_MS
    # The last day is split in two, as a shipper does that rotates while the day is running.
    files += received_ms >= (config.n_days - 1) * DAY_MS + HALF_DAY_MS
    repeated = np.flatnonzero(rng.random(n_sound, dtype=np.float32) < config.duplicate_rate)
    resent = rng.random(len(repeated)) < 0.2
    repeated_files = np.minimum(files[repeated] + resent, config.n_days)
    rows = np.concatenate([rows, repeated.astype(np.int32)])
    files = np.concatenate([files, repeated_files])
    # One integer sorts by file, then time; the stable sort breaks ties by row.
    order = np.argsort((files << 36) | received_ms[rows], kind="stable")
    return Lines(rows[order], files[order])
