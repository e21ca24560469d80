"""The manifest of an export: what its files hold, and the proof that they still do.

`manifest.json` lies beside the files and is a function of the run's inputs alone, so equal runs write equal bytes.
"""

import hashlib
from datetime import date, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from jobs.errors import InputDataError

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1  # raise it when a reader of the manifest would misread the new form


class Column(BaseModel, frozen=True, extra="forbid"):
    """A column of a file: its name and DuckDB type (in a CSV: of the value that the text stands for)."""

    name: str
    type: str


class ExportFile(BaseModel, frozen=True, extra="forbid"):
    """One file of an export.

    Attributes:
        path: relative to the manifest; a plain file name.
        table: the lake's table whose rows it holds.
        rows: without the header.
        sha256: of the file's bytes, in hexadecimal.
        size_bytes: of the file.
    """

    path: str = Field(pattern=r"^[a-z0-9_]+\.(csv|parquet)$")
    table: str
    format: Literal["csv", "parquet"]
    rows: int
    columns: tuple[Column, ...]
    sha256: str
    size_bytes: int


class Blocked(BaseModel, frozen=True, extra="forbid"):
    """What stood in a mart and stayed at home, for want of consent."""

    rows: int
    customers: int


class Manifest(BaseModel, frozen=True, extra="forbid"):
    """What was exported, from which run, and what consent kept back (by the name of the exported table)."""

    schema_version: int = SCHEMA_VERSION
    as_of: datetime
    as_of_date: date
    run_id: str
    consent_purpose: str
    blocked_by_consent: dict[str, Blocked]
    files: tuple[ExportFile, ...]

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        return self.model_dump_json(indent=2) + "\n"


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(directory: Path) -> Manifest:
    """Read `manifest.json` of an export.

    Raises:
        InputDataError: it is missing or not a manifest of this version.
    """
    path = directory / MANIFEST_NAME
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as err:
        raise InputDataError(
            f"verifying {path}: {err.strerror}; an export without its manifest is incomplete: write it again"
        ) from err
    except ValidationError as err:
        fields = ", ".join(".".join(map(str, fault["loc"])) or "file" for fault in err.errors())
        raise InputDataError(
            f"verifying {path}: not a manifest of this form ({fields}); write the export again"
        ) from err
    if manifest.schema_version != SCHEMA_VERSION:
        raise InputDataError(
            f"verifying {path}: expected schema_version {SCHEMA_VERSION}, found {manifest.schema_version}; "
            "verify it with the release that wrote it, or write the export again"
        )
    return manifest


def verify_exports(directory: Path) -> None:
    """Compare every file of an export with its manifest.

    Raises:
        InputDataError: a file is missing, changed or not listed; the message names it.
    """
    manifest = read_manifest(directory)
    advice = "do not import it; write the export again"
    for file in manifest.files:
        path = directory / file.path
        if not path.is_file():
            raise InputDataError(f"verifying {path}: the file is missing; {advice}")
        size = path.stat().st_size
        if size != file.size_bytes:
            raise InputDataError(
                f"verifying {path}: expected {file.size_bytes} bytes, found {size}; {advice}"
            )
        sha256 = hash_file(path)
        if sha256 != file.sha256:
            raise InputDataError(
                f"verifying {path}: expected SHA-256 {file.sha256}, found {sha256}; {advice}"
            )
    listed = {file.path for file in manifest.files} | {MANIFEST_NAME}
    unlisted = sorted(path.name for path in directory.iterdir() if path.name not in listed)
    if unlisted:
        raise InputDataError(
            f"verifying {directory / unlisted[0]}: the manifest does not list it; move it away"
        )
