"""Look at a place with logs: which files are there, and what their beginnings say they are. Reads heads of files only."""

import codecs
import glob
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb

from jobs.errors import InputDataError, TransientError
from jobs.settings import expand_variables
from jobs.sources.formats import find_file_type
from jobs.sources.guessing import Guess, guess_mapping
from jobs.sources.recognition import Head, Sample, merge_samples, recognise_format, take_sample
from jobs.storage import StoredFile, list_files
from jobs.storage.archives import find_archive, open_hashed, read_chunks
from jobs.storage.files import WILDCARDS
from jobs.storage.text import BOM_BYTES, choose_encoding

HEAD_BYTES = 1 << 20
HEAD_LINES = 2000  # enough to meet the events that are rare
HEAD_ROWS = 1000
_LOOKED_AT_BYTES = 1000
_HEADS_PER_KIND = 3  # the oldest, one between, the newest: columns come and go
_MAX_KINDS = 100
_MAX_SINGLE_FILES = 20
_DIGITS = re.compile(r"\d+")
_DATED = re.compile(r"\d{4,}([-_T]?\d+)*|\d+([-_]\d+)+")


@dataclass(frozen=True)
class Found:
    """Files of one kind in one place.

    Attributes:
        path: a file or a pattern, as a source's `path:`.
        files: as listed.
        format: a format's name, `generic`, `canonical`, or empty where nobody knows.
        problem: why nobody does.
        guess: of a generic or canonical source.
        sample: of a generic source.
        optional: columns that some of the files lack.
        head: of the newest file.
        is_loose: the pattern takes other files, too.
    """

    path: str
    files: tuple[StoredFile, ...]
    format: str
    head: Head
    problem: str = ""
    guess: Guess | None = None
    sample: Sample | None = None
    optional: frozenset[str] = frozenset()
    is_loose: bool = False


@dataclass
class _Kind:
    """Files whose names differ in digits only."""

    files: list[StoredFile] = field(default_factory=list)
    heads: list[Head] = field(default_factory=list)
    format: str = ""
    problem: str = ""
    sample: Sample | None = None
    optional: frozenset[str] = frozenset()


def find_place(text: str) -> str:
    """The place that a person names: variables replaced, `~` and relative paths made absolute."""
    place = expand_variables(text)
    return place if place.startswith("s3://") else str(Path(place).expanduser().absolute())


def name_place(text: str) -> str:
    """What to call a run of this place: the last part of its path that is no pattern."""
    parts = [part for part in re.split(r"[/\\]", text) if part and not set(WILDCARDS) & set(part)]
    return parts[-1].split(".")[0] if parts else "shop"


def look_at(place: str) -> list[Found]:
    """Recognise the files of a place: a file, a folder or a pattern, local or `s3://`.

    Raises:
        InputDataError: there is no file, or one cannot be read.
        ConfigError, TransientError: S3 cannot be reached.
    """
    files = [file for file in list_files(place) if file.size_bytes]
    if not files:
        raise InputDataError(
            f"looking at {place}: there is no file that is not empty; check --from"
        )
    kinds: dict[tuple[str, str], _Kind] = {}
    for file in files:
        folder, _, name = file.path.rpartition("/")
        key = (_DIGITS.sub("#", folder), _DIGITS.sub("#", name))
        kinds.setdefault(key, _Kind()).files.append(file)
    if len(kinds) > _MAX_KINDS:
        raise InputDataError(
            f"looking at {place}: {len(kinds)} different kinds of file names; point --from at the folder of the logs"
        )
    groups: dict[Any, list[_Kind]] = {}
    for (folder, name), kind in kinds.items():
        _recognise(kind)
        if kind.format:
            alike: Any = (folder, kind.format)
        elif kind.sample:
            alike = (
                folder,
                kind.sample.file_type,
                kind.sample.delimiter,
                frozenset(kind.sample.values),
            )
        else:
            alike = (folder, name)
        groups.setdefault(alike, []).append(kind)
    found = []
    for group in groups.values():
        found += _describe(group, place, files)
    return found


def _recognise(kind: _Kind) -> None:
    middle = len(kind.files) // 2
    chosen = {file.path: file for file in (kind.files[0], kind.files[middle], kind.files[-1])}
    try:
        kind.heads = [read_head(file) for file in list(chosen.values())[:_HEADS_PER_KIND]]
        kind.format = recognise_format(kind.heads[-1]) or ""
        if not kind.format:
            samples = [take_sample(head) for head in kind.heads]
            kind.sample, kind.optional = merge_samples(samples)
    except InputDataError as err:
        kind.problem = str(err)


def _describe(group: list[_Kind], place: str, everything: Sequence[StoredFile]) -> list[Found]:
    """The sources that the files of one kind and place make: one, unless no pattern holds them together."""
    newest = max(group, key=lambda kind: kind.files[-1].path)
    files = sorted((file for kind in group for file in kind.files), key=lambda file: file.path)
    head = newest.heads[-1] if newest.heads else Head(PurePosixPath(files[-1].path).name)
    found = Found(
        path=_find_pattern(files, place, everything),
        files=tuple(files),
        format=newest.format,
        head=head,
        problem=newest.problem,
        sample=newest.sample,
        optional=newest.optional,
    )
    if newest.sample:
        guess = guess_mapping(newest.sample, head.name)
        if guess is None:
            problem = f"{head.name}: its columns name no customer, no item and no time that could be guessed"
            found = replace(found, problem=problem)
        else:
            kind_of = "canonical" if guess.is_canonical else "generic"
            found = replace(found, format=kind_of, guess=guess)
    if _takes(found.path, everything) == files or not found.format:
        return [found]
    if len(files) > _MAX_SINGLE_FILES:
        return [replace(found, is_loose=True)]
    return [replace(found, path=file.path, files=(file,)) for file in files]


def _find_pattern(files: list[StoredFile], place: str, everything: Sequence[StoredFile]) -> str:
    """What these files are called together, such that tomorrow's is, too."""
    paths = [file.path for file in files]
    is_pattern = any(mark in place for mark in WILDCARDS)
    if place in paths or (is_pattern and len(files) == len(everything)):
        return place
    start = len(_fixed_folder(place, paths))
    parts = [path[start:].split("/") for path in paths]
    if len({len(names) for names in parts}) > 1:
        return paths[-1]
    below = "/".join(_join_names(list(names)) for names in zip(*parts, strict=True))
    return (
        paths[0]
        if len(paths) == 1 and below == paths[0][start:]
        else (glob.escape(paths[0][:start]) + below)
    )


def _fixed_folder(place: str, paths: list[str]) -> str:
    """The beginning of the paths that was asked for, up to a slash: it stays as it is, digits and all."""
    wildcards = [place.find(mark) for mark in WILDCARDS if mark in place]
    asked = place[: min(wildcards)] if wildcards else place.rstrip("/") + "/"
    folder = asked[: asked.rfind("/") + 1]
    return folder if all(path.startswith(folder) for path in paths) else ""


def _join_names(names: list[str]) -> str:
    """One pattern for names: what they share at both ends, without the digits next to what differs."""
    if len(set(names)) == 1:
        dated = _DATED.search(names[0])
        if dated is None:
            return glob.escape(names[0])
        # The next file will have another day or number.
        return f"{glob.escape(names[0][: dated.start()])}*{glob.escape(names[0][dated.end() :])}"
    start = re.sub(r"\d[\d._T-]*$", "", _share(names))
    rests = [name[len(start) :][::-1] for name in names]
    end = re.sub(r"^[\d_-]+", "", _share(rests)[::-1])
    return f"{glob.escape(start)}*{glob.escape(end)}"


def _share(names: list[str]) -> str:
    """The beginning that names have in common."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same)


def _takes(pattern: str, everything: Sequence[StoredFile]) -> list[StoredFile]:
    """The files that a source of this path would read."""
    if pattern.startswith("s3://"):
        return [
            file for file in everything if file.path == pattern or fnmatchcase(file.path, pattern)
        ]
    names = pattern.split("/")
    return [
        file
        for file in everything
        if file.path == pattern
        or (
            len(parts := file.path.split("/")) == len(names)
            and all(fnmatchcase(part, name) for part, name in zip(parts, names, strict=True))
        )
        or "**" in pattern
    ]


def read_head(file: StoredFile) -> Head:
    """Read the beginning of a file.

    Raises:
        InputDataError: it cannot be read, or is neither text nor Parquet.
        TransientError: S3 cannot be reached.
    """
    name = PurePosixPath(file.path).name
    with tempfile.TemporaryDirectory(prefix="personalake-") as folder:
        is_parquet = find_file_type(file.path) == "parquet"
        path, is_cut = _fetch(file, Path(folder), is_whole=is_parquet)
        if is_parquet:
            return _read_parquet(path, name)
        data, is_cut = _read_bytes(path, name, is_cut)
    encoding, text = _decode(data, name, is_cut=is_cut)
    lines = re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))
    if is_cut and len(lines) > 1:
        lines.pop()
    return Head(name, lines=tuple(lines[:HEAD_LINES]), encoding=encoding)


def _fetch(file: StoredFile, folder: Path, *, is_whole: bool) -> tuple[Path, bool]:
    """A local file with the first bytes at least, and whether more would follow."""
    if not file.path.startswith("s3://"):
        return Path(file.path), False
    from jobs.storage import s3

    target = folder / f"head{''.join(PurePosixPath(file.path).suffixes[-2:])}"
    if is_whole or file.size_bytes <= HEAD_BYTES:
        s3.fetch_object(file.path, file.size_bytes, target)
        return target, False
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = s3.split_path(file.path)
    try:
        answer = s3.client().get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{HEAD_BYTES - 1}")
        target.write_bytes(answer["Body"].read())
    except (BotoCoreError, ClientError) as err:
        raise TransientError(
            f"reading {file.path}: S3 did not answer ({type(err).__name__}); check the bucket's policy and the network"
        ) from err
    return target, True


def _read_bytes(path: Path, name: str, is_cut: bool) -> tuple[bytes, bool]:
    """The first bytes, decompressed, and whether more would follow."""
    data = bytearray()
    try:
        with open_hashed(path) as stored, suppress(StopIteration):
            chunks = read_chunks(stored, find_archive(path), name, 1 << 16)
            while len(data) < HEAD_BYTES:
                data += next(chunks)
            is_cut = True
    except InputDataError:
        if (
            not is_cut or not data
        ):  # of an archive whose first bytes were fetched the end is missing, of course
            raise
    except OSError as err:
        raise InputDataError(
            f"reading {path}: {err.strerror or err}; check its permissions"
        ) from err
    return bytes(data), is_cut


def _decode(data: bytes, name: str, *, is_cut: bool) -> tuple[str, str]:
    """The encoding that the bytes are text in, and the text; of bytes that were cut the last character may be half."""
    encoding = choose_encoding("utf-8", data[:BOM_BYTES])
    if encoding == "utf-8" and b"\0" in data[:_LOOKED_AT_BYTES]:
        raise InputDataError(f"{name}: it is neither text nor Parquet")
    guesses = ("utf-8", "cp1252") if encoding == "utf-8" else (encoding,)
    for guess in guesses:
        with suppress(UnicodeDecodeError):
            return guess, codecs.getincrementaldecoder(guess)().decode(data, final=not is_cut)
    last = "latin-1" if encoding == "utf-8" else encoding
    return last, data.decode(last, errors="replace")


def _read_parquet(path: Path, name: str) -> Head:
    try:
        described = duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        cursor = duckdb.execute(f"SELECT * FROM read_parquet(?) LIMIT {HEAD_ROWS}", [str(path)])
        names = [column[0] for column in cursor.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    except duckdb.Error:
        raise InputDataError(f"{name}: it is no whole Parquet file") from None
    return Head(name, columns={row[0]: row[1] for row in described}, rows=tuple(rows))
