"""Read compressed files as a stream, and tell one that is cut off or broken from a whole one."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from jobs.errors import InputDataError

Archive = Literal["gzip", "zstd", "bzip2"]

CHUNK_BYTES = 1 << 18  # stays in the processor's cache for the checks that follow
ENDINGS: dict[str, Archive] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bzip2"}
_ARROW_NAMES = {"gzip": "gzip", "zstd": "zstd", "bzip2": "bz2"}
# Text never begins so; object stores often hold compressed logs whose names do not tell it.
_BEGINNINGS: dict[bytes, Archive] = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class HashedFile(io.RawIOBase):
    """The stored bytes of a file, read once; `sha256` is of those read so far."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._is_empty = True

    def readable(self) -> bool:
        """Always."""
        return True

    @property
    def is_empty(self) -> bool:
        """True while nothing was read."""
        return self._is_empty

    def read(self, size: int = -1, /) -> bytes:
        """Read and hash."""
        data = self._stream.read(size)
        self._digest.update(data)
        self._is_empty = self._is_empty and not data
        return data

    @property
    def sha256(self) -> str:
        """In hexadecimal digits."""
        return self._digest.hexdigest()


def find_archive(path: Path) -> Archive | None:
    """How a local file is compressed, by its ending or its first bytes; None where it is not."""
    archive = ENDINGS.get(path.suffix.lower())
    if archive is None:
        with path.open("rb") as stream:
            head = stream.read(max(map(len, _BEGINNINGS)))
        for beginning, name in _BEGINNINGS.items():
            if head.startswith(beginning):
                archive = name
    return archive


@contextmanager
def open_hashed(path: Path) -> Iterator[HashedFile]:
    """Open a local file to read and hash its stored bytes."""
    with path.open("rb") as stream:
        yield HashedFile(stream)


def read_chunks(
    stored: HashedFile, archive: Archive | None, name: str, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """Read to the end, decompressed, in pieces of at most `chunk_bytes`.

    Args:
        stored: the stored bytes.
        archive: how they are compressed.
        name: of the file, for messages.
        chunk_bytes: size of the pieces.

    Raises:
        InputDataError: the archive is cut off or broken.
    """
    if archive is None:
        while chunk := stored.read(chunk_bytes):
            yield chunk
        return
    # Arrow reads all three alike, several members or frames, and says so where the last one is cut off.
    import pyarrow as pa

    is_empty = True
    try:
        with pa.CompressedInputStream(
            pa.PythonFile(stored, mode="r"), _ARROW_NAMES[archive]
        ) as stream:
            while chunk := stream.read(chunk_bytes):
                is_empty = False
                yield chunk
    except OSError as err:
        if err.errno is not None:  # the disk's fault, not the archive's
            raise
        if "Truncated" in str(err):
            raise InputDataError(_describe_cut(name, archive)) from err
        raise InputDataError(
            f"reading {name}: not a whole {archive} file ({err}); deliver it again"
        ) from err
    if is_empty and stored.is_empty:
        raise InputDataError(_describe_cut(name, archive))


def _describe_cut(name: str, archive: Archive) -> str:
    return f"reading {name}: the {archive} file is cut off; deliver it again, whole"
