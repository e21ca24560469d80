"""What lies at a place: files by their kind, and the pattern that holds them together."""

import gzip
import json

import polars as pl
import pytest

from jobs.cli.looking import find_place, look_at, name_place, read_head
from jobs.errors import InputDataError
from jobs.storage import StoredFile, list_files

REES46 = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
)
EVENTS = "ts,event,user_id,sku\n2026-01-01,view,u1,s1\n"
ITEMS = "sku,title,price\ns1,Mug,3\n"


def _look(folder):
    """What was found: path below the folder, format, number of files."""
    found = look_at(str(folder))
    return sorted(
        (one.path.removeprefix(f"{folder}/"), one.format, len(one.files)) for one in found
    )


def _write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"a.csv": REES46}, [("a.csv", "rees46", 1)]),
        ({"2019-Oct.csv.gz": REES46}, [("*-Oct.csv.gz", "rees46", 1)]),
        (
            {"log_2026-01-01.csv": EVENTS, "log_2026-01-02.csv": EVENTS, "items.csv": ITEMS},
            [("items.csv", "generic", 1), ("log_*.csv", "generic", 2)],
        ),
        (  # the days of a folder are one source
            {"web/2026/01/01/a.csv": EVENTS, "web/2026/02/11/b.csv": EVENTS},
            [("web/*/*/*/*.csv", "generic", 2)],
        ),
        (  # one format in one place is one source, whatever its files are called
            {"oct.csv": REES46, "nov.csv": REES46, "sub/dec.csv": REES46},
            [("*.csv", "rees46", 2), ("sub/dec.csv", "rees46", 1)],
        ),
        (  # no pattern takes the one kind and not the other
            {"a1.csv": REES46, "a2x.csv": EVENTS, "a3y.csv": REES46},
            [("a1.csv", "rees46", 1), ("a2x.csv", "generic", 1), ("a3y.csv", "rees46", 1)],
        ),
        ({"a.csv": EVENTS, "b.pdf": "%PDF", "empty.csv": "", ".x": "y"}, [("a.csv", "generic", 1), ("b.pdf", "", 1)]),
        ({"dt=2026-01-01/part-0.json": json.dumps({"event_name": "x", "event_timestamp": 1})}, [("dt=*/part-0.json", "ga4", 1)]),
    ],
)  # fmt: skip
def test_look_at_folder_groups_files_by_kind_and_place(tmp_path, files, found):
    _write(tmp_path, files)

    assert _look(tmp_path) == found


def test_patterns_take_the_files_that_they_were_made_of(tmp_path):
    """Also where a name holds what a pattern takes for a wildcard."""
    _write(tmp_path, {"a[1] 20260101.csv": EVENTS, "a[1] 20260102.csv": EVENTS, "b.csv": ITEMS})

    events = next(one for one in look_at(str(tmp_path)) if len(one.files) == 2)

    assert [file.path for file in list_files(events.path)] == [file.path for file in events.files]


def test_pattern_that_was_asked_for_is_kept(tmp_path):
    _write(tmp_path, {"x1.csv": EVENTS, "y1.csv": EVENTS})

    [found] = look_at(f"{tmp_path}/*.csv")

    assert found.path == f"{tmp_path}/*.csv"


def test_many_files_without_a_pattern_stay_one_source_that_says_so(tmp_path):
    _write(tmp_path, {f"{name}.csv": REES46 for name in "abcdefghijklmnopqrstuvw"})
    _write(tmp_path, {"k_other.csv": EVENTS})

    rees46 = next(one for one in look_at(str(tmp_path)) if one.format == "rees46")

    assert (rees46.is_loose, len(rees46.files), rees46.path) == (True, 23, f"{tmp_path}/*.csv")


def test_columns_that_older_files_lack_are_optional(tmp_path):
    newer = "ts,event,user_id,sku,brand\n2026-01-02,view,u1,s1,b\n"
    _write(tmp_path, {"log1.csv": EVENTS, "log2.csv": newer})

    [found] = look_at(str(tmp_path))

    assert found.optional == {"brand"}
    assert found.guess.columns["brand"] == "brand"


@pytest.mark.parametrize(
    ("content", "encoding", "line"),
    [
        ("a,b\nä,1".encode(), "utf-8", "ä,1"),
        ("a,b\r\nä,1".encode("utf-8-sig"), "utf-8", "ä,1"),
        ("a,b\rä,1".encode("cp1252"), "cp1252", "ä,1"),
        ("a,b\nä,1".encode("utf-16"), "utf-16", "ä,1"),
        (b"a,b\n\x81,1", "latin-1", "\x81,1"),
    ],
)
def test_read_head_finds_the_encoding(tmp_path, content, encoding, line):
    path = tmp_path / "a.csv"
    path.write_bytes(content)

    head = read_head(StoredFile(str(path), len(content), ""))

    assert (head.encoding, head.lines) == (encoding, ("a,b", line))


def test_read_head_of_a_large_file_reads_its_beginning_only(tmp_path):
    path = tmp_path / "a.csv.gz"
    line = f"{'x' * 999}\n".encode()
    with gzip.open(path, "wb") as stream:
        stream.write(line * 3000)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 10)  # its end is never looked at

    head = read_head(StoredFile(str(path), path.stat().st_size, ""))

    assert 1000 < len(head.lines) <= 2000
    assert set(head.lines) == {"x" * 999}


def test_read_head_of_parquet_has_columns_and_rows(tmp_path):
    pl.DataFrame({"sku": ["s1"], "price": [2.5]}).write_parquet(tmp_path / "a.parquet")

    head = read_head(StoredFile(str(tmp_path / "a.parquet"), 1, ""))

    assert head.columns == {"sku": "VARCHAR", "price": "DOUBLE"}
    assert head.rows == ({"sku": "s1", "price": 2.5},)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.xlsx", b"PK\x03\x04\0\0\0", "neither text nor Parquet"),
        ("a.parquet", b"PAR1", "no whole Parquet file"),
        ("a.csv.gz", b"this is no gzip file", "not a whole gzip file"),
    ],
)
def test_look_at_file_that_cannot_be_read_tells_why(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)

    [found] = look_at(str(tmp_path))

    assert found.format == ""
    assert problem in found.problem


def test_look_at_empty_place_is_refused(tmp_path):
    with pytest.raises(InputDataError, match="no file that is not empty"):
        look_at(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/data/shop/logs/", "logs"),
        ("logs/*.csv.gz", "logs"),
        ("s3://bucket/web/2026/*.gz", "2026"),
        ("./events.csv.gz", "events"),
        ("*.csv", "shop"),
    ],
)
def test_name_place(text, name):
    assert name_place(text) == name


def test_find_place_replaces_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("SHOP_LOGS", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert find_place("${SHOP_LOGS}/a") == f"{tmp_path}/a"
    assert find_place("a") == f"{tmp_path}/a"
    assert find_place("s3://b/${SHOP:-x}/") == "s3://b/x/"
