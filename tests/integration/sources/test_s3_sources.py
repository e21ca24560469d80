import boto3
import pytest

from jobs.errors import InputDataError, TransientError
from jobs.storage import s3

pytestmark = pytest.mark.integration
GOOD = b"time,kind,customer,sku,price,agent\n2026-06-01 10:00:00,view,u1,i1,9.5,Firefox\n"


@pytest.fixture
def s3_environment(moto_s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_s3.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_s3.secret_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3.client.cache_clear()
    yield moto_s3
    s3.client.cache_clear()


def test_s3_files_are_listed_by_pattern_and_loaded_once(csv_shop, s3_environment):
    bucket = s3_environment.make_bucket()
    client = boto3.client("s3")
    for key in ("logs/2026/a.csv", "logs/2026/b.csv", "logs/2026/readme.txt"):
        body = GOOD if key.endswith("a.csv") else GOOD.replace(b"u1", b"u2")
        client.put_object(Bucket=bucket, Key=key, Body=body)
    csv_shop.write_config(f"s3://{bucket}/logs/*.csv")

    first, second = csv_shop.extract(), csv_shop.extract()

    assert (first.files_loaded, first.loaded) == (2, 2)
    assert (second.files_loaded, second.files_known) == (0, 2)


def test_missing_bucket_is_one_clear_line(csv_shop, s3_environment):
    csv_shop.write_config("s3://no-such-bucket-here/logs/*.csv")

    with pytest.raises(InputDataError, match="there is no bucket no-such-bucket-here"):
        csv_shop.extract()


def test_unreachable_service_is_worth_a_retry(csv_shop, s3_environment, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(s3, "PAUSES_SECONDS", ())
    monkeypatch.setattr(s3, "_MAX_ATTEMPTS", 1)
    s3.client.cache_clear()
    csv_shop.write_config("s3://bucket/logs/*.csv")

    with pytest.raises(TransientError, match="cannot be reached"):
        csv_shop.extract()
