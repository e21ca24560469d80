"""Publish a folder whole or not at all: fill a hidden sibling, then exchange the two by renaming.

A crash leaves the old folder (at worst under its hidden name, from where the next publication brings it back) or the new
one, never a mixture.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import ConfigError, TransientError

_FOLDER_MODE = 0o700  # an export holds what customers did: only the account that wrote it reads it
_FILE_MODE = 0o600


@contextmanager
def publish_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends without an error it takes the place of `target`.

    Raises:
        ConfigError: the folder above `target` cannot be made or written.
        TransientError: another process is publishing beside it.
    """
    _make_parent(target.parent)
    with _lock(target.parent):
        draft = target.parent / f".{target.name}.draft"
        previous = target.parent / f".{target.name}.previous"
        _clean_up(target, draft, previous)
        draft.mkdir(mode=_FOLDER_MODE)
        try:
            yield draft
            for file in draft.iterdir():
                file.chmod(_FILE_MODE)
            if target.exists():
                target.rename(previous)
            draft.rename(target)
        except BaseException:
            _clean_up(target, draft, previous)
            raise
        _remove(previous)


def _make_parent(folder: Path) -> None:
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigError(
            f"writing to {folder}: the folder cannot be made ({err.strerror}); "
            "choose another with PERSONALAKE_EXPORTS_DIR"
        ) from err


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    path = folder / ".lock"
    try:
        file = path.open("a")
    except OSError as err:
        raise ConfigError(
            f"writing to {folder}: {err.strerror}; choose another with PERSONALAKE_EXPORTS_DIR"
        ) from err
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise TransientError(
                f"writing to {folder}: another export is being written there; let it end, then run again"
            ) from err
        yield


def _clean_up(target: Path, draft: Path, previous: Path) -> None:
    """Undo what an interrupted publication left, this one's or an earlier one's."""
    _remove(draft)
    if previous.exists():
        if target.exists():
            _remove(previous)
        else:
            previous.rename(target)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
