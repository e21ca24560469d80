import textwrap
from datetime import UTC, datetime

import pytest

from jobs.lake import connect
from jobs.run_config import load_run_config
from jobs.sources.extraction import extract
from jobs.storage import s3
from tests.revealing import reveal

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

    def query(self, text, *, reveals=True):
        con = connect(self.settings)
        try:
            rows = con.execute(text).fetchall()
        finally:
            con.close()
        return reveal(rows) if reveals else rows


@pytest.fixture
def csv_shop(tmp_path, settings):
    return Shop(tmp_path / "shop", settings, "csv")


@pytest.fixture
def jsonl_shop(tmp_path, settings):
    return Shop(tmp_path / "shop", settings, "jsonl")


class Deployment:
    """A folder with any sources, told as YAML, and a lake."""

    def __init__(self, folder, settings):
        self.folder, self.settings = folder, settings
        folder.mkdir(parents=True)
        self.config_path = folder / "run.yml"

    def configure(self, *sources, **mappings):
        """Write the run configuration: a flow mapping a source; and mapping files by name."""
        for name, text in mappings.items():
            (self.folder / f"{name}.yml").write_text(textwrap.dedent(text))
        listed = "".join(f"  - {{{source}}}\n" for source in sources)
        self.config_path.write_text(f"name: shop\nsources:\n{listed}")

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content)

    def extract(self, *sources, started_at=STARTED_AT, **options):
        return extract(
            self.settings,
            load_run_config(self.config_path),
            self.config_path,
            started_at=started_at,
            sources=sources or None,
            **options,
        )

    def replay(self, *sources):
        from jobs.sources.replaying import replay

        return replay(
            self.settings,
            load_run_config(self.config_path),
            self.config_path,
            started_at=STARTED_AT,
            sources=sources or None,
        )

    def query(self, text, *, reveals=True):
        con = connect(self.settings)
        try:
            rows = con.execute(text).fetchall()
        finally:
            con.close()
        return reveal(rows) if reveals else rows


@pytest.fixture
def deployment(tmp_path, settings):
    return Deployment(tmp_path / "shop", settings)


class BucketDeployment(Deployment):
    """The same, with the files in a bucket."""

    def __init__(self, folder, settings, server):
        super().__init__(folder, settings)
        self.bucket, self.client = server.make_bucket(), server.client()

    def configure(self, *sources, **mappings):
        placed = [source.replace("path: '", f"path: 's3://{self.bucket}/") for source in sources]
        super().configure(*placed, **mappings)

    def write(self, name, content):
        data = content if isinstance(content, bytes) else content.encode()
        self.client.put_object(Bucket=self.bucket, Key=name, Body=data)


@pytest.fixture(params=["folder", "s3"])
def anywhere(request, tmp_path, settings, monkeypatch):
    """A deployment whose files are in a folder, and one whose files are in a bucket of a real S3 server."""
    if request.param == "folder":
        yield Deployment(tmp_path / "shop", settings)
        return
    server = request.getfixturevalue("rclone_s3")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    s3.client.cache_clear()
    yield BucketDeployment(tmp_path / "shop", settings, server)
    s3.client.cache_clear()
