"""`personalake init` on a bucket and on real logs: what it writes reads the files."""

import gzip
import random
from datetime import UTC, datetime

import boto3
import polars as pl
import pytest
from typer.testing import CliRunner

from jobs.cli.app import app
from jobs.cli.looking import HEAD_BYTES, read_head
from jobs.run_config import load_run_config
from jobs.sources.sampling import sample_sources
from jobs.storage import list_files, s3

pytestmark = pytest.mark.integration
NOW = datetime(2026, 7, 1, tzinfo=UTC)


def _init(place, output):
    done = CliRunner().invoke(app, ["init", "--from", str(place), "--output", str(output)])
    assert done.exit_code == 0, done.output or done.exception
    config = load_run_config(output)
    return config, sample_sources(config, output, NOW)


@pytest.fixture
def bucket(moto_s3, monkeypatch):
    for name, value in moto_s3.environment.items():
        monkeypatch.setenv(name, value)
    s3.client.cache_clear()
    yield moto_s3.make_bucket()
    s3.client.cache_clear()


def test_init_on_a_bucket_groups_its_objects(bucket, tmp_path):
    client = boto3.client("s3")
    for day in ("2026-06-01", "2026-06-02"):
        lines = f"ts,event,user_id,sku\n{day},view,u1,s1\n"
        client.put_object(
            Bucket=bucket, Key=f"logs/dt={day}/web.csv.gz", Body=gzip.compress(lines.encode())
        )
    pl.DataFrame({"sku": ["s1"], "title": ["Mug"], "price": [2.5]}).write_parquet(tmp_path / "i")
    client.upload_file(str(tmp_path / "i"), bucket, "logs/items.parquet")

    config, samples = _init(f"s3://{bucket}/logs/", tmp_path / "run.yml")

    assert sorted(source.path for source in config.sources) == [
        f"s3://{bucket}/logs/dt=*/web.csv.gz",
        f"s3://{bucket}/logs/items.parquet",
    ]
    assert {sample.tables[0].entity: sample.count_good for sample in samples} == {
        "events": 1,
        "items": 1,
    }


def test_read_head_of_a_large_object_fetches_its_beginning_only(bucket, monkeypatch):
    noise = random.Random(1).randbytes(3 * HEAD_BYTES).hex()
    lines = "\n".join(noise[start : start + 99] for start in range(0, len(noise), 99))
    boto3.client("s3").put_object(
        Bucket=bucket, Key="big.csv.gz", Body=gzip.compress(lines.encode())
    )
    monkeypatch.setattr(s3, "fetch_object", lambda *_: pytest.fail("fetched as a whole"))
    [file] = list_files(f"s3://{bucket}/big.csv.gz")

    head = read_head(file)

    assert file.size_bytes > HEAD_BYTES
    assert len(head.lines) == 2000
    assert head.lines[0] == noise[:99]


@pytest.mark.parametrize(
    ("folder", "format_name", "entity"),
    [
        ("rees46_oct2019", "rees46", "events"),
        ("retailrocket_buyers/events.csv.gz", "retailrocket", "events"),
        ("apache_access_log", "access_log", "events"),
        ("online_retail", "generic", "orders"),
        ("ga4_merch_store_purchases", "generic", "events"),
    ],
)
def test_init_on_real_logs_reads_every_row_of_the_sample(
    real_data, tmp_path, folder, format_name, entity
):
    config, [sample] = _init(real_data / folder, tmp_path / "run.yml")

    assert [source.format for source in config.sources] == [format_name]
    [table] = [table for table in sample.tables if table.count_rows]
    assert (table.entity, table.count_good) == (entity, 1000)
