"""Open a stored file as a local one that DuckDB can read, with the hash of its stored bytes."""

import errno
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import InputDataError, TransientError
from jobs.storage import s3
from jobs.storage.archives import ENDINGS, Archive, find_archive, open_hashed, read_chunks
from jobs.storage.files import WILDCARDS, StoredFile
from jobs.storage.text import BOM_BYTES, CleanCopy, CleanText, RemovedLine, choose_encoding

# DuckDB goes by these endings, in lower case only; it takes any other file for plain text and finds no rows in it.
_READ_BY_DUCKDB: dict[Archive | None, str] = {None: "", "gzip": ".gz", "zstd": ".zst"}
_SAFE_ENDING = re.compile(r"\.\w{1,16}", re.ASCII)


@dataclass(frozen=True)
class OpenedFile:
    """A file that can be read while its context lasts.

    Attributes:
        path: local; plain text, `.gz`, `.zst` or Parquet, with nothing that DuckDB takes for a wildcard.
        sha256: of the stored bytes.
        removed: the lines that it lacks, in order.
    """

    path: Path
    sha256: str
    removed: tuple[RemovedLine, ...] = ()


@contextmanager
def open_text(
    file: StoredFile,
    *,
    encoding: str = "utf-8",
    drop_blank_lines: bool = False,
    max_line_bytes: int = 16_000_000,
) -> Iterator[OpenedFile]:
    """Give a text file such that DuckDB reads every line of it.

    A clean file is given as it is. One with bytes that are no text, NUL, mixed or lone-CR line ends, lines that are too long,
    (`drop_blank_lines`) blank ones, or another encoding, becomes a temporary UTF-8 copy with LF, without the lines that do
    not fit. A byte order mark decides the encoding; the copy has none.

    Args:
        file: as listed.
        encoding: by Python's name.
        drop_blank_lines: whether lines of spaces and tabs only are taken out.
        max_line_bytes: the longest line to keep, in UTF-8, without its end.

    Raises:
        InputDataError: the file cannot be read, or its archive is cut off or broken.
        ConfigError: there is no such encoding.
        TransientError: S3 cannot be reached, or there is no space for the copy.
    """
    with ExitStack() as stack:
        path = _fetch(file, stack)
        with _translated(file):
            opened = _open_clean(file, path, encoding, drop_blank_lines, max_line_bytes, stack)
        yield opened


@contextmanager
def open_binary(file: StoredFile) -> Iterator[OpenedFile]:
    """Give a file as it is.

    Raises:
        InputDataError: it cannot be read.
        TransientError: S3 cannot be reached, or there is no space for the copy.
    """
    with ExitStack() as stack:
        path = _fetch(file, stack)
        with _translated(file), open_hashed(path) as stored:
            for _ in read_chunks(stored, None, file.path):
                pass
        yield OpenedFile(_readable(path, "", stack), stored.sha256)


@contextmanager
def _translated(file: StoredFile) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        if err.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise TransientError(
                f"reading {file.path}: no space for its temporary copy; free some below TMPDIR"
            ) from err
        raise InputDataError(
            f"reading {file.path}: {err.strerror or err}; check the file and its permissions"
        ) from err


def _new_folder(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="personalake-")))


def _fetch(file: StoredFile, stack: ExitStack) -> Path:
    if not file.path.startswith("s3://"):
        return Path(file.path)
    # A key may be `..`, or longer than a file name can be: only its ending is taken over.
    target = _new_folder(stack) / f"file{_find_ending(file.path)}"
    s3.fetch_object(file.path, file.size_bytes, target)
    return target


def _find_ending(path: str) -> str:
    """`.csv` of `a.csv`, `.csv.gz` of `a.csv.gz`."""
    name = Path(path)
    last = name.suffix if _SAFE_ENDING.fullmatch(name.suffix) else ""
    if last.lower() in ENDINGS:
        return _find_ending(name.stem) + last
    return last


def _find_plain_ending(path: Path) -> str:
    """`.csv` of `a.csv` and of `a.csv.gz`."""
    name = Path(path.stem) if path.suffix.lower() in ENDINGS else path
    return _find_ending(name.name)


def _readable(path: Path, compression: str, stack: ExitStack) -> Path:
    """The path itself, or a link with a name that DuckDB reads as what it is."""
    is_told = not compression or path.suffix == compression
    if is_told and not any(mark in str(path) for mark in WILDCARDS):
        return path
    link = _new_folder(stack) / f"file{_find_plain_ending(path)}{compression}"
    link.symlink_to(path.absolute())
    return link


def _open_clean(
    file: StoredFile,
    path: Path,
    encoding: str,
    drop_blank_lines: bool,
    max_line_bytes: int,
    stack: ExitStack,
) -> OpenedFile:
    archive = find_archive(path)
    with open_hashed(path) as stored:
        head = next(read_chunks(stored, archive, file.path, BOM_BYTES), b"")
    encoding = choose_encoding(encoding, head)
    if archive in _READ_BY_DUCKDB and encoding == "utf-8":
        text = CleanText(drop_blank_lines=drop_blank_lines, max_line_bytes=max_line_bytes)
        with open_hashed(path) as stored:
            chunks = read_chunks(stored, archive, file.path)
            if all(map(text.take, chunks)) and text.finish():
                readable = _readable(path, _READ_BY_DUCKDB[archive], stack)
                return OpenedFile(readable, stored.sha256)
    target = _new_folder(stack) / f"file{_find_plain_ending(path)}"
    with open_hashed(path) as stored, target.open("wb") as output:
        copy = CleanCopy(
            output,
            name=file.path,
            encoding=encoding,
            drop_blank_lines=drop_blank_lines,
            max_line_bytes=max_line_bytes,
        )
        copy.write(read_chunks(stored, archive, file.path))
    return OpenedFile(target, stored.sha256, tuple(copy.removed))
