import hashlib

import pytest

from jobs.errors import ConfigError, InputDataError, TransientError
from jobs.storage import StoredFile, list_files, open_binary, open_text, s3

pytestmark = pytest.mark.integration


def put(server, bucket, **bodies):
    client = server.client()
    for key, body in bodies.items():
        client.put_object(Bucket=bucket, Key=key.replace("__", "/"), Body=body)


@pytest.fixture
def bucket(moto_s3):
    return moto_s3.make_bucket()


@pytest.fixture
def crowded(moto_s3, bucket, monkeypatch):
    """A bucket of 25 objects that is listed in pages of 10."""
    put(moto_s3, bucket, **{f"logs__{number:02d}": b"x" for number in range(25)})
    listed = s3.client

    def small_pages():
        client = listed()
        if not hasattr(client, "is_small"):
            client.meta.events.register(
                "before-parameter-build.s3.ListObjectsV2",
                lambda params, **_: params.setdefault("MaxKeys", 10),
            )
            client.is_small = True
        return client

    small_pages.cache_clear = listed.cache_clear
    monkeypatch.setattr(s3, "client", small_pages)
    return bucket


def test_objects_are_listed_by_pattern_and_sorted(s3_store, bucket):
    put(s3_store, bucket, logs__b_csv=b"12", logs__a_csv=b"1", logs__a_txt=b"1", logs__=b"")
    s3_store.client().put_object(Bucket=bucket, Key="logs/a b+é%.csv", Body=b"123")

    found = list_files(f"s3://{bucket}/logs/*csv")

    assert found == [
        StoredFile(f"s3://{bucket}/logs/a b+é%.csv", 3, hashlib.md5(b"123").hexdigest()),
        StoredFile(f"s3://{bucket}/logs/a_csv", 1, hashlib.md5(b"1").hexdigest()),
        StoredFile(f"s3://{bucket}/logs/b_csv", 2, hashlib.md5(b"12").hexdigest()),
    ]


def test_prefix_lists_all_below_it_but_no_folder_marks(s3_store, bucket):
    put(s3_store, bucket, logs__=b"", logs__x__=b"", logs__x__a=b"1", other=b"1")

    assert [file.path for file in list_files(f"s3://{bucket}/logs/")] == [f"s3://{bucket}/logs/x/a"]


@pytest.mark.parametrize("keep_bytes", [0, 40, 700])
def test_listing_that_is_cut_goes_on_from_its_page(proxy, crowded, keep_bytes):
    proxy.cut(b"continuation-token", keep_bytes=keep_bytes, times=2)

    found = list_files(f"s3://{crowded}/logs/")

    assert [file.path[-2:] for file in found] == [f"{number:02d}" for number in range(25)]
    is_next = [b"continuation-token" in line for line in proxy.requests]
    # The second page three times; the first, once read, is not asked for again.
    assert is_next == [False, True, True, True, True]
    assert proxy.count_cut == 2


def test_listing_that_stays_cut_is_worth_a_retry(proxy, crowded):
    proxy.cut(b"continuation-token", keep_bytes=40, times=99)

    with pytest.raises(TransientError, match=f"listing s3://{crowded}/logs/: S3 cannot be reached"):
        list_files(f"s3://{crowded}/logs/")

    assert proxy.count_cut == 4


def test_overloaded_service_is_asked_again(s3_store, bucket):
    put(s3_store, bucket, a=b"1")
    answers = []

    def refuse_twice(**_):
        from botocore.awsrequest import AWSResponse

        answers.append(503)
        if len(answers) > 2:
            return None
        body = b"<Error><Code>SlowDown</Code></Error>"
        response = AWSResponse("http://x", 503, {}, None)
        response._content = body
        return response

    s3.client().meta.events.register("before-send.s3.ListObjectsV2", refuse_twice)

    assert [file.path for file in list_files(f"s3://{bucket}/")] == [f"s3://{bucket}/a"]
    assert len(answers) == 3


def test_download_that_is_cut_is_repeated(proxy, moto_s3, bucket):
    body = b"a,b\n" + b"1,2\n" * 100_000
    put(moto_s3, bucket, big_csv=body)
    [file] = list_files(f"s3://{bucket}/big_csv")
    proxy.cut(b"GET ", keep_bytes=200_000, times=2)

    with open_text(file) as opened:
        assert opened.path.read_bytes() == body
        assert opened.sha256 == hashlib.sha256(body).hexdigest()

    assert proxy.count_cut == 2
    assert not opened.path.exists()


def test_download_that_stays_cut_is_worth_a_retry(proxy, moto_s3, bucket):
    put(moto_s3, bucket, a_csv=b"a,b\n" * 100)
    [file] = list_files(f"s3://{bucket}/a_csv")
    proxy.cut(b"GET ", keep_bytes=300, times=10_000)

    with pytest.raises(TransientError, match=f"reading s3://{bucket}/a_csv"), open_text(file):
        pass


def test_object_that_was_replaced_since_the_listing_is_worth_a_retry(s3_store, bucket):
    put(s3_store, bucket, a=b"1")
    [file] = list_files(f"s3://{bucket}/a")
    put(s3_store, bucket, a=b"12")

    with (
        pytest.raises(TransientError, match="expected 1 bytes as listed, got 2"),
        open_binary(file),
    ):
        pass


def test_object_that_is_gone_is_named(s3_store, bucket):
    file = StoredFile(f"s3://{bucket}/gone.csv", 1, "")

    with pytest.raises(InputDataError, match=r"gone\.csv: the object is gone"), open_text(file):
        pass


@pytest.mark.parametrize("key", ["..", "logs/..", "a[1]*.csv", "x" * 900, "a.csv.GZ.b c"])
def test_keys_that_are_no_file_names_are_read(s3_store, bucket, key):
    s3_store.client().put_object(Bucket=bucket, Key=key, Body=b"a,b\n")
    file = StoredFile(f"s3://{bucket}/{key}", 4, "")

    with open_text(file) as opened:
        assert opened.path.read_bytes() == b"a,b\n"
        assert opened.path.parent.name.startswith("personalake-")
        assert not set("*?[") & set(str(opened.path))


def test_missing_bucket_is_named(s3_store):
    with pytest.raises(InputDataError, match="there is no bucket no-such-bucket-here"):
        list_files("s3://no-such-bucket-here/logs/*.csv")


def test_bucket_name_that_cannot_be_one_is_a_fault_of_the_configuration(s3_store):
    with pytest.raises(ConfigError, match=r"listing s3://in valid/logs/"):
        list_files("s3://in valid/logs/")


def test_missing_credentials_are_a_fault_of_the_configuration(s3_store, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(ConfigError, match="Unable to locate credentials"):
        list_files("s3://bucket/logs/")


def test_unreachable_service_is_worth_a_retry(s3_store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3.client.cache_clear()

    with pytest.raises(TransientError, match="cannot be reached"):
        list_files("s3://bucket/logs/")


def test_endpoint_for_s3_alone_is_reached_in_path_style(s3_store, bucket, monkeypatch):
    put(s3_store, bucket, a=b"1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_store.endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3.client.cache_clear()

    assert [file.size_bytes for file in list_files(f"s3://{bucket}/a")] == [1]
    assert s3.client().meta.config.s3["addressing_style"] == "path"
