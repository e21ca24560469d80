"""Load sample files through the real loader."""

from datetime import UTC, datetime
from pathlib import Path

import yaml

from jobs.lake import connect
from jobs.run_config import load_run_config
from jobs.sources.extraction import extract
from tests.revealing import reveal

SAMPLES = Path(__file__).parents[2] / "samples"
STARTED_AT = datetime(2026, 7, 1, 3, tzinfo=UTC)


class Load:
    """A lake and what is loaded into it, source by source."""

    def __init__(self, settings, folder):
        self.settings, self.config_path = settings, folder / "run.yml"

    def __call__(self, path, *, started_at=STARTED_AT, name="shop", **source):
        source = {"name": name, "path": str(path), **source}
        self.config_path.write_text(yaml.safe_dump({"name": "shop", "sources": [source]}))
        config = load_run_config(self.config_path)
        return extract(self.settings, config, self.config_path, started_at=started_at)

    def query(self, text, *, reveals=True):
        con = connect(self.settings)
        try:
            rows = con.execute(text).fetchall()
        finally:
            con.close()
        return reveal(rows) if reveals else rows


def counts(result):
    """Rows, loaded, duplicates, rejected."""
    return result.rows, result.loaded, result.duplicates, result.rejected
