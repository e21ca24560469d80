"""List files: a local folder, a pattern, a single path, or the same at `s3://`."""

import glob
import stat
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from jobs.errors import InputDataError
from jobs.storage import s3

WILDCARDS = "*?["


@dataclass(frozen=True)
class StoredFile:
    """A file as its store lists it. `etag` changes when the content does (locally: modification time)."""

    path: str
    size_bytes: int
    etag: str


def _list_s3(pattern: str) -> list[StoredFile]:
    bucket, key = s3.split_path(pattern)
    wildcard = min((key.find(mark) for mark in WILDCARDS if mark in key), default=-1)
    prefix = key if wildcard < 0 else key[:wildcard]
    return [
        StoredFile(f"s3://{bucket}/{found.key}", found.size_bytes, found.etag)
        for found in s3.list_objects(bucket, prefix)
        if not found.key.endswith("/") and (wildcard < 0 or fnmatchcase(found.key, key))
    ]


def _list_local(pattern: str) -> list[StoredFile]:
    folder = Path(pattern)
    if folder.is_dir():
        paths = list(folder.rglob("*"))
    elif folder.is_file():
        paths = [folder]  # its name may hold a wildcard's character
    else:
        paths = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - the pattern may be absolute
    found = []
    for path in paths:
        try:
            facts = path.stat()
        except FileNotFoundError:  # rotated away meanwhile, or a link to nowhere
            continue
        except OSError as err:
            raise InputDataError(
                f"listing {pattern}: {path}: {err.strerror}; check the permissions"
            ) from err
        if stat.S_ISREG(facts.st_mode) and not path.name.startswith("."):
            found.append(StoredFile(str(path), facts.st_size, f"mtime-{facts.st_mtime_ns}"))
    return found


def list_files(pattern: str) -> list[StoredFile]:
    """List the files of a folder, a pattern or a single path, sorted by path.

    Hidden local files, and objects whose key ends in `/`, are left out.

    Raises:
        InputDataError: the bucket does not exist or refuses, or a local file's folder does.
        ConfigError: there are no credentials, or the bucket's name cannot be one.
        TransientError: the S3 service cannot be reached, also after pauses.
    """
    found = _list_s3(pattern) if pattern.startswith("s3://") else _list_local(pattern)
    return sorted(found, key=lambda file: file.path)
