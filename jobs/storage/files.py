"""List files and read them as local ones; `s3://` goes through boto3."""

import glob
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jobs.errors import InputDataError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 20
_WILDCARDS = "*?["


@dataclass(frozen=True)
class StoredFile:
    """A file as its store lists it. `etag` changes when the content does (locally: modification time)."""

    path: str
    size_bytes: int
    etag: str


@cache
def _s3_client() -> "S3Client":
    import boto3
    from botocore.config import Config

    # Adaptive retries back off from throttling; path style also suits servers without bucket host names.
    style: Literal["path", "auto"] = "path" if os.environ.get("AWS_ENDPOINT_URL") else "auto"
    return boto3.client(
        "s3",
        config=Config(
            retries={"mode": "adaptive", "max_attempts": 8}, s3={"addressing_style": style}
        ),
    )


def _split_s3(path: str) -> tuple[str, str]:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return bucket, key


def _list_s3(pattern: str) -> list[StoredFile]:
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = _split_s3(pattern)
    wildcard = min((key.find(mark) for mark in _WILDCARDS if mark in key), default=-1)
    prefix = key if wildcard < 0 else key[:wildcard]
    found = []
    try:
        pages = _s3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for entry in page.get("Contents", []):
                name = entry["Key"]
                if name.endswith("/") or (wildcard >= 0 and not fnmatchcase(name, key)):
                    continue
                etag = entry["ETag"].strip('"')
                found.append(StoredFile(f"s3://{bucket}/{name}", entry["Size"], etag))
    except ClientError as err:
        code = err.response.get("Error", {}).get("Code", "unknown")
        if code in {"NoSuchBucket", "404"}:
            raise InputDataError(
                f"listing {pattern}: there is no bucket {bucket}; check the name and AWS_ENDPOINT_URL"
            ) from err
        raise InputDataError(
            f"listing {pattern}: S3 answered {code}; check the credentials and the bucket's policy"
        ) from err
    except BotoCoreError as err:
        raise TransientError(
            f"listing {pattern}: S3 cannot be reached ({type(err).__name__}); "
            "check AWS_ENDPOINT_URL, the credentials and the network"
        ) from err
    return found


def _list_local(pattern: str) -> list[StoredFile]:
    folder = Path(pattern)
    names = (
        [str(path) for path in folder.rglob("*")]
        if folder.is_dir()
        else glob.glob(pattern, recursive=True)  # noqa: PTH207 - the pattern is absolute
    )
    found = []
    for name in names:
        path = Path(name)
        if path.is_file() and not path.name.startswith("."):
            stat = path.stat()
            found.append(StoredFile(str(path), stat.st_size, f"mtime-{stat.st_mtime_ns}"))
    return found


def list_files(pattern: str) -> list[StoredFile]:
    """List the files of a folder, a pattern or a single path, sorted by path.

    Raises:
        InputDataError: the bucket does not exist or refuses.
        TransientError: the S3 service cannot be reached.
    """
    found = _list_s3(pattern) if pattern.startswith("s3://") else _list_local(pattern)
    return sorted(found, key=lambda file: file.path)


@contextmanager
def local_copy(file: StoredFile) -> Iterator[tuple[Path, str]]:
    """Give a local path of the file and the sha256 of its bytes; an S3 object is fetched for the time of the block.

    Raises:
        InputDataError: the file cannot be read.
    """
    if not file.path.startswith("s3://"):
        try:
            digest = _hash_file(Path(file.path))
        except OSError as err:
            raise InputDataError(
                f"reading {file.path}: {err.strerror}; check the file and its permissions"
            ) from err
        yield Path(file.path), digest
        return
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = _split_s3(file.path)
    with tempfile.TemporaryDirectory(prefix="personalake-") as folder:
        target = Path(folder) / Path(key).name  # the ending tells the compression
        try:
            _s3_client().download_file(bucket, key, str(target))
        except ClientError as err:
            code = err.response.get("Error", {}).get("Code", "unknown")
            raise InputDataError(f"reading {file.path}: S3 answered {code}") from err
        except BotoCoreError as err:
            raise TransientError(f"reading {file.path}: {type(err).__name__}; run again") from err
        yield target, _hash_file(target)


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    # DuckDB reads a cut-off gzip file as far as it goes and says nothing, so its end is looked for here.
    inflated = zlib.decompressobj(wbits=31) if path.suffix == ".gz" else None
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
            if inflated is not None:
                inflated = _inflate(inflated, chunk, path)
    if inflated is not None and not inflated.eof:
        raise InputDataError(f"reading {path}: the gzip file is cut off; deliver it again, whole")
    return digest.hexdigest()


def _inflate(inflated: "zlib._Decompress", chunk: bytes, path: Path) -> "zlib._Decompress":
    try:
        inflated.decompress(chunk)
        while inflated.eof and inflated.unused_data:  # a gzip file may have several members
            rest = inflated.unused_data
            inflated = zlib.decompressobj(wbits=31)
            inflated.decompress(rest)
    except zlib.error as err:
        raise InputDataError(
            f"reading {path}: not a whole gzip file ({err}); deliver it again"
        ) from err
    return inflated
