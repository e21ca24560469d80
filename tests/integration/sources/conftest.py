from datetime import UTC, datetime

import pytest

from jobs.lake import connect
from jobs.run_config import load_run_config
from jobs.sources.extraction import extract

STARTED_AT = datetime(2026, 7, 1, 3, tzinfo=UTC)
MAPPING = """
file_type: {file_type}
time_zone: Europe/Berlin
columns:
  occurred_at: time
  event_type: kind
  user_id: customer
  item_id: sku
  price: price
user_agent: agent
event_names: {{view: product_view, buy: purchase}}
"""


class Shop:
    """A folder of logs with a run configuration, and its lake."""

    def __init__(self, folder, settings, file_type):
        self.folder, self.settings, self.file_type = folder, settings, file_type
        (folder / "logs").mkdir(parents=True)
        self.config_path = folder / "run.yml"
        self.mapping_path = folder / "mapping.yml"
        self.mapping_path.write_text(MAPPING.format(file_type=file_type))
        self.write_config(f"logs/*.{file_type}*")

    def write_config(self, path, name="shop"):
        self.config_path.write_text(
            f"name: {name}\nsources:\n  - name: web\n    path: '{path}'\n    mapping: mapping.yml\n"
        )

    def write(self, name, *lines):
        head = ["time,kind,customer,sku,price,agent"] if self.file_type == "csv" else []
        (self.folder / "logs" / name).write_text("\n".join([*head, *lines]) + "\n")

    def extract(self):
        config = load_run_config(self.config_path)
        return extract(self.settings, config, self.config_path, started_at=STARTED_AT)

    def query(self, text):
        con = connect(self.settings)
        try:
            return con.execute(text).fetchall()
        finally:
            con.close()


@pytest.fixture
def csv_shop(tmp_path, settings):
    return Shop(tmp_path / "shop", settings, "csv")


@pytest.fixture
def jsonl_shop(tmp_path, settings):
    return Shop(tmp_path / "shop", settings, "jsonl")
