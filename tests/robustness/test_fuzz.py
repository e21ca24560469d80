"""Whatever a file holds, the loader ends, and every record is loaded, known already or rejected: none is lost.

By default each format's files are the same in every run; `PERSONALAKE_FUZZ_EXAMPLES=2000` tries others, and more of them.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.errors import ConfigError, InputDataError
from jobs.lake import connect
from jobs.run_config import RunConfig
from jobs.settings import Settings
from jobs.sources.extraction import ExtractResult, extract
from jobs.storage import s3
from tests.robustness.effort import ARE_FUZZ_FILES_NEW, FUZZ_EXAMPLES
from tests.robustness.loader import STARTED_AT
from tests.robustness.spoiled_files import (
    FORMATS,
    LogFormat,
    make_archives,
    make_contents,
    number_lines,
)
from tests.servers import S3Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

NAMES = st.sampled_from(
    ["a", "two words", "it's", "[1-2]", "day*", "50%", "a\u0308", 'q"', "$x", "-x", "a,b", "{1}"]
)
LINE_FORMATS = [name for name, format_ in FORMATS.items() if format_.ending != ".csv"]
CSV_FORMATS = [name for name, format_ in FORMATS.items() if format_.ending == ".csv"]
# A file that begins so is an archive, whatever its name; no text does.
ARCHIVE_MARKS = (b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd")
MAX_MESSAGE = 2000  # characters that a person will still read in one line


def fuzz(max_examples: int) -> Callable[[Any], Any]:
    """Settings of one property: by default the same examples each time, and none kept on disk."""
    return hypothesis_settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        derandomize=not ARE_FUZZ_FILES_NEW,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
            HealthCheck.filter_too_much,
        ],
    )


@dataclass
class Outcome:
    """What a load did: its counts and the lines of the file that are told of, or its message."""

    result: ExtractResult | None = None
    error: str = ""
    lines: set[int] = field(default_factory=set)


class Lake:
    """One lake for many files: each file is a source of its own, so that none is known by the content of another."""

    def __init__(self, folder: Path, put: Callable[[str, bytes], str] | None = None) -> None:
        self.folder = folder
        self.settings = Settings(
            _env_file=None, data_dir=folder / "data", memory_limit="2GB", threads=1
        )
        self._put = put or self._write
        self._count = 0
        self._con: duckdb.DuckDBPyConnection | None = None
        for name, format_ in FORMATS.items():
            if format_.mapping:
                (folder / f"{name}.yml").write_text(format_.mapping)

    def _write(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir()
        path.write_bytes(content)
        return str(path.parent)

    def load(self, format_: LogFormat, name: str, content: bytes) -> Outcome:
        """Load one file; check that the counts of the result, the manifest and the tables are the same."""
        source = f"s{self._count}"
        self._count += 1
        path = self._put(f"{source}/{name}", content)
        config = RunConfig.model_validate(
            {
                "name": "fuzz",
                "sources": [{**format_.source, "name": source, "path": path, "max_reject_rate": 1}],
            }
        )
        try:
            result = extract(self.settings, config, self.folder / "run.yml", started_at=STARTED_AT)
        except (InputDataError, ConfigError) as err:
            message = str(err)
            assert name in message
            assert "\n" not in message
            assert len(message) < MAX_MESSAGE
            assert self._query("SELECT count(*) FROM raw.files WHERE source = ?", source) == [(0,)]
            return Outcome(error=message)
        assert result.loaded + result.rejected + result.duplicates == result.rows
        [told] = self._query(
            "SELECT coalesce(sum(count_rows), 0), coalesce(sum(count_loaded), 0), coalesce(sum(count_duplicates), 0), "
            "coalesce(sum(count_rejected), 0), list_distinct(list(entity)) FROM raw.files WHERE source = ?",
            source,
        )
        assert told[:4] == (result.rows, result.loaded, result.duplicates, result.rejected)
        loaded = self._lines(source, told[4])
        rejected = self._lines(source, ["rejects"])
        assert (len(loaded), len(rejected)) == (result.loaded, result.rejected)
        return Outcome(result, lines={*loaded, *rejected})

    def read_notes(self) -> list[tuple[str, str | None]]:
        """The items and notes of the file that was loaded last."""
        return self._query(
            "SELECT item_id, properties->>'note' FROM raw.events WHERE source = ? ORDER BY 1",
            f"s{self._count - 1}",
        )

    def _lines(self, source: str, tables: list[str]) -> list[int]:
        held = " UNION ALL ".join(
            f"SELECT line_number FROM raw.{table} WHERE source = $1" for table in tables
        )
        return [row[0] for row in self._query(held, source)] if held else []

    def _query(self, text: str, source: str) -> list[tuple[Any, ...]]:
        if self._con is None:
            if not (self.settings.lake_dir / "catalog.sqlite").exists():
                return [(0,)]
            self._con = connect(self.settings)
        return self._con.execute(text, [source]).fetchall()

    def close(self) -> None:
        if self._con is not None:
            self._con.close()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    lake = Lake(tmp_path_factory.mktemp("fuzz"))
    yield lake
    lake.close()


@pytest.fixture(scope="module")
def s3_lake(tmp_path_factory: pytest.TempPathFactory, rclone_s3: S3Server) -> Iterator[Lake]:
    """A lake in a folder whose files come from another server process."""
    bucket = rclone_s3.make_bucket()

    def put(name: str, content: bytes) -> str:
        rclone_s3.client().put_object(Bucket=bucket, Key=name, Body=content)
        return f"s3://{bucket}/{name.split('/')[0]}/*"

    with pytest.MonkeyPatch.context() as patch:
        for name, value in rclone_s3.environment.items():
            patch.setenv(name, value)
        s3.client.cache_clear()
        lake = Lake(tmp_path_factory.mktemp("fuzz_s3"), put)
        yield lake
        lake.close()
    s3.client.cache_clear()


def check_lines(format_: LogFormat, outcome: Outcome, content: bytes) -> None:
    """Each line that is not blank is a row; of formats where it need not be one, rows are of such lines at least."""
    # Tabs alone are a record of a TSV file.
    numbers = number_lines(content, blanks=b"" if format_.counts_records else b" \t")
    assert outcome.result is not None
    if format_.counts_lines:
        assert outcome.result.rows == len(numbers)
        assert len(numbers) - outcome.result.duplicates <= len(outcome.lines)
    if not format_.counts_records or numbers == [*range(1, len(numbers) + 1)]:
        assert outcome.lines <= {*numbers}


@pytest.mark.parametrize("name", LINE_FORMATS)
def test_any_bytes_in_a_file_of_lines_become_rows_or_rejects(lake, name):
    format_ = FORMATS[name]

    @fuzz(FUZZ_EXAMPLES)
    @given(make_contents(format_), NAMES)
    def check(content: bytes, stem: str) -> None:
        outcome = lake.load(format_, stem + format_.ending, content)
        if content.startswith(ARCHIVE_MARKS):
            return
        assert outcome.error == ""
        check_lines(format_, outcome, content)

    check()


@pytest.mark.parametrize("name", CSV_FORMATS)
def test_any_bytes_in_a_csv_file_become_rows_or_rejects_or_a_message_on_its_header(lake, name):
    format_ = FORMATS[name]

    @fuzz(FUZZ_EXAMPLES)
    @given(make_contents(format_), NAMES)
    def check(content: bytes, stem: str) -> None:
        outcome = lake.load(format_, stem + format_.ending, content)
        if outcome.error:
            assert "column" in outcome.error or content.startswith(ARCHIVE_MARKS)
        elif b'"' not in content:
            records = number_lines(content, blanks=b"")[1:]
            assert outcome.result.rows == len(records)
            if records == [*range(2, len(records) + 2)]:  # blank lines have no number
                assert outcome.lines <= {*records}

    check()


def test_an_archive_is_loaded_whole_or_not_at_all(lake):
    format_ = FORMATS["jsonl"]

    @fuzz(FUZZ_EXAMPLES)
    @given(make_archives(format_), NAMES)
    def check(archive: tuple[bytes, bytes | None], stem: str) -> None:
        stored, content = archive
        outcome = lake.load(format_, f"{stem}{format_.ending}.gz", stored)
        if content is None or not stored:
            assert "gz" in outcome.error or not stored
        else:
            assert outcome.error == ""
            check_lines(format_, outcome, content)

    check()


@pytest.mark.parametrize("name", ["jsonl", "text"])
def test_any_bytes_on_s3_become_rows_or_rejects(s3_lake, name):
    format_ = FORMATS[name]

    @fuzz(max(4, FUZZ_EXAMPLES // 8))
    @given(make_contents(format_), NAMES)
    def check(content: bytes, stem: str) -> None:
        outcome = s3_lake.load(format_, stem + format_.ending, content)
        assert outcome.error == ""
        check_lines(format_, outcome, content)

    check()


def write_csv(notes: list[str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", "kind", "customer", "sku", "price", "pieces", "note"])
    for number, note in enumerate(notes):
        writer.writerow(["2026-06-01 10:00:00", "view", "u1", f"i{number}", "1", "1", note])
    return text.getvalue().encode()


def write_jsonl(notes: list[str]) -> bytes:
    records = [
        {"time": "2026-06-01T10:00:00Z", "kind": "view", "sku": f"i{number}", "note": note}
        for number, note in enumerate(notes)
    ]
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records).encode()


@pytest.mark.parametrize(
    ("name", "write"), [("csv", write_csv), ("jsonl", write_jsonl)], ids=["csv", "jsonl"]
)
def test_any_text_of_a_field_arrives_as_it_was_written(lake, name, write):
    format_ = FORMATS[name]
    # NUL and halves of characters are no text, and 0x1F makes a line a reject; a CR is a line end, in a quoted CSV field
    # too, and becomes LF; what has the sign of an e-mail address is masked.
    characters = st.characters(exclude_characters="\0\r\x1f@", exclude_categories=["Cs"])
    texts = st.text(characters, max_size=30).filter(lambda text: "%40" not in text)

    @fuzz(max(4, FUZZ_EXAMPLES // 2))
    @given(st.lists(texts, min_size=1, max_size=30))
    def check(notes: list[str]) -> None:
        outcome = lake.load(format_, f"a{format_.ending}", write(notes))
        assert outcome.error == ""
        assert outcome.result.loaded == len(notes)
        expected = [(f"i{number}", note.strip(" ") or None) for number, note in enumerate(notes)]
        assert lake.read_notes() == sorted(expected)

    check()


def test_a_line_of_17_mb_is_one_reject(lake):
    good = FORMATS["jsonl"].lines[0]
    content = (
        good + b'\n{"note":"' + b"x" * 17_000_000 + b'"}\n' + good.replace(b"u1", b"u2") + b"\n"
    )

    outcome = lake.load(FORMATS["jsonl"], "a.jsonl", content)

    assert (outcome.result.rows, outcome.result.loaded, outcome.result.reasons) == (
        3,
        2,
        {"too_large": 1},
    )
    assert outcome.lines == {1, 2, 3}
