"""A rotation of the keys that is killed at any moment leaves the lake and the vault wholly as they were, or wholly as they are to be.

`PERSONALAKE_CRASHES=500` asks for at least so many kills.
"""

import hashlib
import hmac
import random
import re
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from pydantic import SecretStr

from jobs.keys import KeyRing, decrypt_text, find_ring, load_keys
from jobs.lake import connect, transact
from jobs.lake.connection import attach_encrypted
from jobs.rotation import find_status, rotate
from jobs.run_config import load_run_config
from jobs.settings import Settings
from jobs.sources.extraction import extract
from jobs.vault import DEFAULT_FIELDS, deliver, keep_clear_values, unseal_values, vault_path
from tests.integration.sources.loading import SAMPLES
from tests.robustness import effort, quick_duckdb
from tests.robustness.loader import FORKS, KILLED, STARTED_AT, keep_traceback

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

SEED = 20260702
COUNT = 20
OLD, NEW = "11" * 32, "22" * 32
ROTATED_AT = datetime(2026, 7, 2, tzinfo=UTC)
SOURCES = [
    {"name": "crm", "path": "shopify/customers_export.csv", "format": "shopify_customers"},
    {"name": "app", "path": "segment/calls.jsonl", "format": "segment"},
]
GOODS = "p_" + "ab" * 16  # looks like a pseudonym and is none
_PSEUDONYM = re.compile(r"\b[uegpdsnx]_[0-9a-f]{32}\b")


@dataclass(frozen=True)
class State:
    """All that a lake and its vault hold, clear where it is encrypted."""

    ring: str
    tables: dict[str, list[tuple[Any, ...]]]
    vault: dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Shop:
    """A lake that is ready to be rotated."""

    settings: Settings  # with the old key and the new one
    state: State

    def copy(self, folder: Path) -> Settings:
        """The settings of another lake like this one."""
        shutil.copytree(self.settings.data_dir, folder)
        return self.settings.model_copy(update={"data_dir": folder})


def run_rotation(settings: Settings, report: Path) -> None:
    """The whole life of a child process."""
    keep_traceback(report)
    quick_duckdb.install()
    rotate(settings, load_keys(settings), ROTATED_AT)


def start(settings: Settings) -> BaseProcess:
    report = settings.data_dir / "words.err"
    process = FORKS.Process(target=run_rotation, args=(settings, report), daemon=True)
    process.start()
    return process


def read_state(settings: Settings) -> State:
    """Read everything with the keys of the ring that the lake has on record."""
    both = load_keys(settings)
    assert both.former is not None
    con = connect(settings)
    try:
        con.execute("BEGIN")
        keys = {ring.fingerprint: ring for ring in (both, both.former)}[find_ring(con)]
        tables = {
            name: con.execute(f"FROM lake.{name}").fetchall()
            for (name,) in con.execute(
                "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
                "WHERE database_name = 'lake' AND estimated_size > 0"
            ).fetchall()
        }
        columns = [name for name, *_ in con.execute("DESCRIBE lake.raw.rejects").fetchall()]
        at = columns.index("raw_record")
        tables["raw.rejects"] = [
            (*row[:at], decrypt_text(keys.derive("rejects"), row[at], "rejects"), *row[at + 1 :])
            for row in tables["raw.rejects"]
        ]
        inbox = unseal_values(keys.derive("vault"), con.execute("FROM lake.vault.inbox").pl())
        tables["vault.inbox"] = inbox.rows()
    finally:
        con.close()
    rows = {name: sorted(found, key=repr) for name, found in tables.items()}
    return State(keys.fingerprint, rows, read_vault(settings, keys))


def read_vault(settings: Settings, keys: KeyRing) -> dict[str, list[tuple[Any, ...]]]:
    path = vault_path(settings, keys.fingerprint)
    with duckdb.connect() as con:
        attach_encrypted(con, path, "clear", keys.derive("vault"), read_only=True)
        return {
            name: sorted(con.execute(f"FROM clear.{name}").fetchall(), key=repr)
            for name in ("kept", "people")
        }


def rehash(state: State, new: Settings) -> State:
    """What the rotation must make of a state, told without its SQL."""
    newest = KeyRing(load_keys(new).secrets[-1:])
    [key] = newest.derive_all("pseudonyms")

    def hashed(match: re.Match[str]) -> str:
        text = match[0]
        if text == GOODS:
            return text
        return text[:2] + hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]

    def renamed(cell: Any) -> Any:
        if isinstance(cell, list):
            return [renamed(part) for part in cell]
        return _PSEUDONYM.sub(hashed, cell) if isinstance(cell, str) else cell

    def rewritten(tables: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: sorted((tuple(map(renamed, row)) for row in rows), key=repr)
            for name, rows in tables.items()
        }

    fingerprint = load_keys(new).fingerprint
    tables = rewritten(state.tables)
    tables["ops.key_rings"] = sorted(
        [*tables["ops.key_rings"], (fingerprint, ROTATED_AT)], key=repr
    )
    return State(fingerprint, tables, rewritten(state.vault))


def add_what_stages_write(con: duckdb.DuckDBPyConnection) -> None:
    """Pseudonyms in lists and in texts, a table with a comment, a view, and goods that look like people."""
    con.execute(
        """
        INSERT INTO lake.identity.decisions
        SELECT 'd1', 'merge', list(DISTINCT user_id ORDER BY user_id), 'a person said so', TIMESTAMPTZ '2026-07-01 00:00:00+00', NULL
        FROM lake.raw.profiles
        """
    )
    con.execute(
        """
        INSERT INTO lake.ops.quality_results BY NAME
        SELECT 'r1' AS run_id, 'raw.profiles' AS table_name, 'unique' AS expectation, 'warning' AS severity, false AS is_success,
            string_agg('user_id=' || user_id, '; ' ORDER BY user_id) AS offending_ids
        FROM lake.raw.profiles
        """
    )
    con.execute(
        f"""
        INSERT INTO lake.ml.item_to_items BY NAME
        SELECT '{GOODS}' AS item_id, 1 AS rank, '{GOODS}' AS similar_item_id, DATE '2026-07-01' AS as_of_date, 'r1' AS run_id
        """
    )
    con.execute("CREATE SCHEMA lake.core")
    con.execute("CREATE TABLE lake.core.customers (customer_id VARCHAR NOT NULL, facts JSON)")
    con.execute("COMMENT ON TABLE lake.core.customers IS 'One row per customer; it''s said'")
    con.execute(
        "INSERT INTO lake.core.customers SELECT DISTINCT user_id, json_object('is', user_id) FROM lake.raw.profiles"
    )
    con.execute("CREATE VIEW lake.core.everybody AS SELECT customer_id FROM lake.core.customers")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    folder = tmp_path_factory.mktemp("rotation")
    settings = Settings(
        _env_file=None, data_dir=folder / "data", key=SecretStr(OLD), memory_limit="1GB", threads=1
    )
    sources = [{**source, "path": str(SAMPLES / source["path"])} for source in SOURCES]
    (folder / "run.yml").write_text(yaml.safe_dump({"name": "shop", "sources": sources}))
    config = load_run_config(folder / "run.yml")
    extract(settings, config, folder / "run.yml", started_at=STARTED_AT)
    keys = load_keys(settings)
    deliver(settings, keys, DEFAULT_FIELDS, STARTED_AT)

    def write(con: duckdb.DuckDBPyConnection) -> None:
        add_what_stages_write(con)
        told = "SELECT user_id AS identifier, 'first_name' AS field, 'Ada' AS value, NULL AS told_at FROM lake.raw.profiles"
        keep_clear_values(con, keys, "till", told, STARTED_AT)

    transact(settings, write, message="test")
    settings = settings.model_copy(update={"key": SecretStr(f"{OLD},{NEW}")})
    return Shop(settings, read_state(settings))


def rotate_undisturbed(shop: Shop, folder: Path) -> tuple[State, int]:
    """What a rotation leaves, and how much time of the processor it takes, in nanoseconds."""
    settings = shop.copy(folder / "undisturbed")
    process = start(settings)
    used = 0
    while process.exitcode is None:
        used = max(used, read_clock(process))
        time.sleep(0.001)
    assert process.exitcode == 0, (settings.data_dir / "words.err").read_text()
    return read_state(settings), used


def read_clock(process: BaseProcess) -> int:
    """The time of the processor that a process has had, in nanoseconds: its progress, whatever else the machine does."""
    try:
        return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0])
    except OSError:
        return 0


def test_rotation_rewrites_every_pseudonym_and_nothing_else(shop, tmp_path):
    state, _ = rotate_undisturbed(shop, tmp_path)

    expected = rehash(shop.state, shop.settings)
    assert state.ring == expected.ring
    assert state.vault == expected.vault
    assert state.tables == expected.tables
    assert len(expected.vault["people"]) > 3
    assert len(expected.tables["raw.rejects"]) > 1


def test_rotation_killed_at_random_moments_leaves_the_old_state_or_the_new_one(shop, tmp_path):
    new_state, used = rotate_undisturbed(shop, tmp_path)
    chance = random.Random(SEED)
    count = effort.crashes(COUNT)
    hits = {shop.state.ring: 0, new_state.ring: 0}
    for number in range(count):
        settings = shop.copy(tmp_path / f"lake{number}")
        # Spread over the run: one kill in each of as many stretches of it as there are kills.
        moment = used * (number + chance.random()) / count
        process = start(settings)
        while process.exitcode is None and read_clock(process) < moment:
            time.sleep(0.0005)
        process.kill()
        process.join()
        if process.exitcode == KILLED:
            state = read_state(settings)
            assert state == (shop.state if state.ring == shop.state.ring else new_state)
            hits[state.ring] += 1
        again = start(settings)
        again.join()
        assert again.exitcode == 0, (settings.data_dir / "words.err").read_text()
        assert read_state(settings) == new_state
        assert find_status(settings, load_keys(settings)).state == "current"
        shutil.rmtree(settings.data_dir)
    print(
        f"{sum(hits.values())} kills hit: {hits}, undisturbed {used / 1e9:.2f} s of the processor"
    )
    assert sum(hits.values()) >= 0.8 * count
    assert all(hits.values())
