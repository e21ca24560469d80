"""List and fetch the objects of an S3 bucket through boto3, whatever the network does meanwhile.

boto3 itself tries each request several times and backs off from throttling. What still fails then (a server that restarts, a
cut connection) is asked for again after growing pauses: a listing goes on from the page that failed.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from jobs.errors import ConfigError, InputDataError, TransientError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Together with boto3's own back-off about a minute: what takes longer is left to the task's retry.
PAUSES_SECONDS: tuple[float, ...] = (1, 5, 20)
_MAX_ATTEMPTS = 6
_CONNECT_SECONDS = 10  # boto3's own 60 would make a wrong address cost half an hour
# Answers that the next try may not get, beside every 5xx.
_PASSING_CODES = {"RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "Throttling", "429"}


@dataclass(frozen=True)
class StoredObject:
    """An object as a bucket lists it."""

    key: str
    size_bytes: int
    etag: str


@cache
def client() -> "S3Client":
    """The process's S3 client: credentials by boto3's own chain, TLS checked, path style at a custom endpoint."""
    import boto3
    from botocore.config import Config

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    # Path style also suits servers without a host name for each bucket.
    style: Literal["path", "auto"] = "path" if endpoint else "auto"
    try:
        return boto3.Session().client(
            "s3",
            config=Config(
                retries={"mode": "adaptive", "max_attempts": _MAX_ATTEMPTS},
                connect_timeout=_CONNECT_SECONDS,
                s3={"addressing_style": style},
            ),
        )
    except ValueError as err:
        raise ConfigError(
            f"connecting to S3: AWS_ENDPOINT_URL is not an address ({err}); write https://host:port"
        ) from err


def split_path(path: str) -> tuple[str, str]:
    """Take `s3://bucket/key` apart."""
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return bucket, key


def list_objects(bucket: str, prefix: str) -> Iterator[StoredObject]:
    """List the objects whose keys begin with `prefix`, a page at a time.

    Raises:
        InputDataError: the bucket does not exist or refuses.
        ConfigError: there are no credentials, or the bucket's name cannot be one.
        TransientError: the service cannot be reached, also after pauses.
    """
    task = f"listing s3://{bucket}/{prefix}"
    request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    while True:
        page = _persist(lambda: _read_page(request), task, bucket)
        for entry in page.get("Contents", []):
            yield StoredObject(entry["Key"], entry["Size"], entry["ETag"].strip('"'))
        if not page.get("IsTruncated"):
            return
        request["ContinuationToken"] = page["NextContinuationToken"]


class _EmptyAnswerError(Exception):
    """The service said 200 and nothing else."""


def _read_page(request: dict[str, Any]) -> "ListObjectsV2OutputTypeDef":
    page = client().list_objects_v2(**request)
    # An answer that is cut among its headers looks like a bucket without objects.
    if "Name" not in page:
        raise _EmptyAnswerError
    return page


def fetch_object(path: str, size_bytes: int, target: Path) -> None:
    """Write an object to a local file.

    Args:
        path: s3://bucket/key.
        size_bytes: as the listing told it.
        target: the local file.

    Raises:
        InputDataError: the object is gone, archived or refused.
        TransientError: the service cannot be reached, or the object was replaced since it was listed.
    """
    bucket, key = split_path(path)
    task = f"reading {path}"
    try:
        # boto3 fetches large objects in parts, side by side, and a part that is cut once more.
        _persist(lambda: client().download_file(bucket, key, str(target)), task, bucket)
    except OSError as err:
        raise TransientError(
            f"{task}: the temporary copy cannot be written ({err.strerror}); free space below TMPDIR"
        ) from err
    found = target.stat().st_size
    if found != size_bytes:
        raise TransientError(
            f"{task}: expected {size_bytes} bytes as listed, got {found}; "
            "it was replaced meanwhile, or the answer was cut: run again"
        )


def _persist(call: Callable[[], T], task: str, bucket: str) -> T:
    """Call until it succeeds, with growing pauses; only faults that pass are met again."""
    from boto3.exceptions import RetriesExceededError
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    fault: Exception
    for pause in (*PAUSES_SECONDS, None):
        try:
            return call()
        except exceptions.ClientError as err:
            if not _is_passing(err):
                raise _describe_refusal(err, task, bucket) from err
            fault = err
        except (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.ProfileNotFound,
            exceptions.ParamValidationError,
        ) as err:
            raise ConfigError(
                f"{task}: {err}; check the path, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or the profile or role"
            ) from err
        except (
            exceptions.BotoCoreError,
            RetriesExceededError,
            ResponseParserError,
            _EmptyAnswerError,
        ) as err:
            fault = err
        if pause is not None:
            logger.info("%s: %s; again in %g s", task, type(fault).__name__, pause)
            time.sleep(pause)
    raise TransientError(
        f"{task}: S3 cannot be reached ({type(fault).__name__}); "
        "check AWS_ENDPOINT_URL, the credentials and the network"
    ) from fault


def _code(err: "ClientError") -> str:
    return err.response.get("Error", {}).get("Code", "unknown")


def _is_passing(err: "ClientError") -> bool:
    status = err.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or _code(err) in _PASSING_CODES


def _describe_refusal(err: "ClientError", task: str, bucket: str) -> InputDataError:
    code = _code(err)
    if code == "NoSuchBucket" or (code == "404" and task.startswith("listing")):
        return InputDataError(
            f"{task}: there is no bucket {bucket}; check the name and AWS_ENDPOINT_URL"
        )
    if code in {"NoSuchKey", "404"}:
        return InputDataError(f"{task}: the object is gone since it was listed; run again")
    if code == "InvalidObjectState":
        return InputDataError(
            f"{task}: the object is archived (Glacier); restore it, or leave it out of the path"
        )
    return InputDataError(
        f"{task}: S3 answered {code}; check the credentials and the bucket's policy"
    )
