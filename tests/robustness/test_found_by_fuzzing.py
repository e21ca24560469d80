"""Files that once went wrong, each as small as it could be made: found by `test_fuzz.py`, kept for good."""

import pytest

from jobs.errors import ConfigError, InputDataError
from jobs.lake import connect
from jobs.run_config import RunConfig
from jobs.settings import Settings
from jobs.sources.extraction import ExtractResult, extract
from tests.revealing import reveal
from tests.robustness.loader import STARTED_AT

pytestmark = pytest.mark.integration

MAPPING = """
file_type: {file_type}
columns: {{occurred_at: time, event_type: kind, user_id: customer}}
event_names: {{view: product_view}}
"""
TEXT_MAPPING = r"""
file_type: text
pattern: '(?P<time>\S+) (?P<kind>\w+) (?P<customer>.*)'
columns: {occurred_at: time, event_type: kind, user_id: customer}
event_names: {view: product_view}
"""
HEADER = b"time,kind,customer\n"
CSV_ROW = b"2026-06-01 10:00:00,view,%s\n"
JSON_ROW = b'{"time":"2026-06-01T10:00:00Z","kind":"view","customer":"%s"}\n'
TEXT_ROW = b"2026-06-01T10:00:00Z view %s\n"


class Source:
    """One file and its lake."""

    def __init__(self, folder, settings):
        self.folder, self.settings = folder, settings
        for file_type in ("csv", "jsonl"):
            (folder / f"{file_type}.yml").write_text(MAPPING.format(file_type=file_type))
        (folder / "text.yml").write_text(TEXT_MAPPING)

    def load(
        self, content: bytes, file_type: str = "csv", format_: str = "generic"
    ) -> ExtractResult:
        path = self.folder / f"told.{file_type}"
        path.write_bytes(content)
        source = {"name": "web", "format": format_, "path": str(path), "max_reject_rate": 1}
        if format_ == "generic":
            source["mapping"] = f"{file_type}.yml"
        config = RunConfig.model_validate({"name": "shop", "sources": [source]})
        return extract(self.settings, config, self.folder / "run.yml", started_at=STARTED_AT)

    def query(self, text: str) -> list[tuple]:
        con = connect(self.settings)
        try:
            return reveal(con.execute(text).fetchall())
        finally:
            con.close()


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path, Settings(_env_file=None, data_dir=tmp_path / "data"))


def test_header_that_is_longer_than_any_is_named(source):
    with pytest.raises((ConfigError, InputDataError), match=r"told\.csv") as caught:
        source.load(b"x" * 140_000 + b"," + CSV_ROW % b"u1")

    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "content",
    [
        CSV_ROW % b"ada@example.com" * 2,
        b"\0" + HEADER + CSV_ROW % b"ada@example.com" * 2,
        b"\xff" + HEADER + CSV_ROW % b"ada@example.com" * 2,
    ],
    ids=["no header", "NUL in the header", "header not in UTF-8"],
)
def test_message_on_a_wrong_header_holds_no_value(source, content):
    with pytest.raises((ConfigError, InputDataError), match=r"told\.csv") as caught:
        source.load(content)

    assert "ada@" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\0", b"\n", b"\n\n", b" \n", b"\xef\xbb\xbf", b"\0\n\0\n"])
def test_csv_file_without_a_first_line_is_loaded_as_empty_or_told_of(source, content):
    try:
        told = f"{source.load(content).loaded} rows of told.csv"
    except (ConfigError, InputDataError) as err:
        told = str(err)

    assert "told.csv" in told
    assert "Exception" not in told  # DuckDB's word for its own surprise


@pytest.mark.parametrize(
    "format_", ["shopify_orders", "shopify_customers", "rees46", "ga4", "segment"]
)
def test_empty_file_of_any_format_is_loaded_once(source, format_):
    ending = "jsonl" if format_ in {"ga4", "segment"} else "csv"

    first, second = source.load(b"", ending, format_), source.load(b"", ending, format_)

    assert (first.files_loaded, first.rows) == (1, 0)
    assert (second.files_loaded, second.files_known) == (0, 1)


@pytest.mark.parametrize("line", [b"\x1f", b"\x1f\x1f", b" \x1f ", b"\x1fa", b"a\x1f"])
@pytest.mark.parametrize(
    ("file_type", "row"), [("jsonl", JSON_ROW), ("text", TEXT_ROW)], ids=["jsonl", "text"]
)
def test_line_with_the_readers_own_separator_is_a_reject(source, file_type, row, line):
    result = source.load(row % b"u1" + line + b"\n" + row % b"u2", file_type)

    assert (result.rows, result.loaded, result.rejected) == (3, 2, 1)
    assert source.query("SELECT line_number FROM raw.rejects") == [(2,)]
    assert source.query("SELECT user_id, line_number FROM raw.events ORDER BY 2") == [
        ("u1", 1),
        ("u2", 3),
    ]


@pytest.mark.parametrize(
    "bad", [b"\0", b"\xff", b"", b" "], ids=["NUL", "not UTF-8", "empty", "blank"]
)
def test_lines_behind_several_that_are_taken_out_keep_their_numbers(source, bad):
    lines = [JSON_ROW % b"u1", bad + b"\n", bad + b"\n", bad + b"\n", b"{\n", JSON_ROW % b"u2"]

    source.load(b"".join(lines), "jsonl")

    assert source.query("SELECT user_id, line_number FROM raw.events ORDER BY 2") == [
        ("u1", 1),
        ("u2", 6),
    ]
    assert source.query("SELECT max(line_number) FROM raw.rejects") == [(5,)]
