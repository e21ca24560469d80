"""A shop whose sources are loaded as the extraction's DAG loads them, and the commands that tell of them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console
from typer.testing import CliRunner

from jobs.cli.app import app
from jobs.errors import InputDataError
from jobs.lake import connect
from jobs.pipeline import STAGES, open_run

HEADER = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
)
MAPPING = """
file_type: csv
columns: {occurred_at: ts, event_type: kind, user_id: who, item_id: sku, price: price}
event_names: {view: product_view, buy: purchase}
"""
CONFIG = """
name: shop
as_of: data_end
sources:
  - {name: web, path: 'web/*.csv', mapping: mapping.yml}
  - {name: old, path: 'old.csv', format: rees46}
  - {name: till, path: 'till.csv', format: rees46, priority: urgent}
"""


class Shop:
    """A folder with logs and a run configuration; its lake lies beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.config_path = folder / "run.yml"
        self.config_path.write_text(CONFIG)
        self.write("mapping.yml", MAPPING)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def write_events(self, name, *lines):
        self.write(name, "\n".join(["ts,kind,who,sku,price", *lines, ""]))

    def write_rees46(self, name, *events):
        """Events as (day, type) of one user."""
        lines = [f"{day} 00:00:00 UTC,{kind},1,1,,,1.5,u1,s1" for day, kind in events]
        self.write(name, "\n".join([HEADER, *lines, ""]))

    def open(self, day="2026-07-01", **asked):
        started_at = datetime.fromisoformat(day).replace(tzinfo=UTC)
        return open_run({"config": str(self.config_path), **asked}, now=started_at)

    def load(self, day="2026-07-01", **asked):
        """Do as the tasks of `extract_logs` do; tells which sources failed."""
        run = self.open(day, **asked)
        told, failed = [], []
        for name in STAGES["list_sources"](run):
            try:
                told.append(STAGES["load_source"](replace(run, sources=(name,))))
            except InputDataError:
                failed.append(name)
        STAGES["record_extraction"](replace(run, extraction=tuple(told)))
        return failed

    def query(self, text):
        con = connect(self.open().settings)
        try:
            return con.execute(text).fetchall()
        finally:
            con.close()

    def run(self, *arguments):
        """Run a command; tells its exit status and what it printed, blanks and lines of tables made one."""
        done = CliRunner().invoke(app, [*arguments, "--config", str(self.config_path)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        for line in "│┃":
            done.stdout_bytes = done.stdout_bytes.replace(line.encode(), b"|")
        return done.exit_code, [
            " ".join(line.split()) for line in done.stdout_bytes.decode().splitlines()
        ]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONALAKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("jobs.cli.app.out", Console(width=250))
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = Shop(folder)
    shop.write_events(
        "web/2026-06-01.csv",
        "2026-06-01,view,u1,s1,1.5",
        "2026-06-01,view,u2,s1,1.5",
        "2026-06-01,wink anna,u2,s1,1.5",
        "soon,view,mail@example.com,s1,1.5",
    )
    shop.write_rees46("old.csv", ("2026-05-01", "view"))
    shop.write_rees46("till.csv", ("2026-06-02", "purchase"))
    return shop
