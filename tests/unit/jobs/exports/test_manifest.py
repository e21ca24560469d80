import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from jobs.errors import InputDataError
from jobs.exports.manifest import Column, ExportFile, Manifest, verify_exports

CONTENT = b'"customer_id"\n"c1"\n'


@pytest.fixture
def export(tmp_path: Path) -> Path:
    file = ExportFile(
        path="segments.csv",
        table="exports.segments",
        format="csv",
        rows=1,
        columns=(Column(name="customer_id", type="VARCHAR"),),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size_bytes=len(CONTENT),
    )
    manifest = Manifest(
        as_of=datetime(2026, 2, 1, tzinfo=UTC),
        as_of_date=date(2026, 1, 31),
        run_id="r1",
        consent_purpose="marketing",
        blocked_by_consent={},
        files=(file,),
    )
    (tmp_path / "segments.csv").write_bytes(CONTENT)
    (tmp_path / "manifest.json").write_text(manifest.to_json())
    return tmp_path


def test_verify_exports_untouched_export_passes(export: Path) -> None:
    before = sorted(path.name for path in export.iterdir())
    verify_exports(export)
    assert sorted(path.name for path in export.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT.replace(b"c1", b"c2"), "expected SHA-256"),
        (CONTENT + b'"c2"\n', "expected 19 bytes, found 24"),
    ],
)
def test_verify_exports_changed_file_is_named(export: Path, content: bytes, message: str) -> None:
    (export / "segments.csv").write_bytes(content)
    with pytest.raises(InputDataError, match=rf"segments\.csv: {message}"):
        verify_exports(export)


def test_verify_exports_missing_file_is_named(export: Path) -> None:
    (export / "segments.csv").unlink()
    with pytest.raises(InputDataError, match=r"segments\.csv: the file is missing"):
        verify_exports(export)


def test_verify_exports_unlisted_file_is_named(export: Path) -> None:
    (export / "more.csv").write_bytes(b"")
    with pytest.raises(InputDataError, match=r"more\.csv: the manifest does not list it"):
        verify_exports(export)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"segments.csv"', '"../segments.csv"', r"files\.0\.path"),
        ("{", "[", "file"),
        ('"schema_version": 1', '"schema_version": 2', "expected schema_version 1, found 2"),
    ],
)
def test_verify_exports_manifest_of_another_form_is_refused(
    export: Path, old: str, new: str, message: str
) -> None:
    path = export / "manifest.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputDataError, match=rf"manifest\.json: .*{message}"):
        verify_exports(export)


def test_verify_exports_without_manifest_is_refused(export: Path) -> None:
    (export / "manifest.json").unlink()
    with pytest.raises(InputDataError, match=r"manifest\.json: No such file"):
        verify_exports(export)
