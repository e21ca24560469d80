import bz2
import gzip
import hashlib
import os
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest

from jobs.errors import ConfigError, InputDataError
from jobs.storage import RemovedLine, StoredFile, list_files, open_binary, open_text

pytestmark = pytest.mark.integration
ROWS = b"a,b\n1,x\n2,y\n3,z\n"


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


COMPRESS = {".gz": gzip.compress, ".zst": zstd, ".bz2": bz2.compress}


@pytest.fixture
def stored(tmp_path):
    """Writes a file and lists it."""

    def write(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        [file] = list_files(str(path))
        return file

    return write


def read_with_duckdb(path):
    """The records of two columns, as strictly as the loader reads them."""
    return duckdb.sql(
        f"SELECT a, b FROM read_csv(['{path}'], columns = {{'a': 'VARCHAR', 'b': 'VARCHAR'}}, auto_detect = false, "
        "header = true, delim = ',', quote = '\"', escape = '\"', max_line_size = 16000000, hive_partitioning = false)"
    ).fetchall()


def is_original(opened, file):
    return str(opened.path) == file.path


@pytest.mark.parametrize(
    "data",
    [ROWS, ROWS[:-1], ROWS.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + ROWS],
    ids=["lf", "no last line end", "crlf", "bom"],
)
def test_clean_text_is_given_as_it_is(stored, data):
    file = stored("a.csv", data)

    with open_text(file) as opened:
        assert is_original(opened, file)
        assert opened.removed == ()
        assert opened.sha256 == hashlib.sha256(data).hexdigest()
        assert read_with_duckdb(opened.path) == [("1", "x"), ("2", "y"), ("3", "z")]


@pytest.mark.parametrize("data", [b"", b"a,b\n"], ids=["empty", "header"])
def test_file_without_rows_is_given_as_it_is(stored, data):
    file = stored("a.csv", data)

    with open_text(file, drop_blank_lines=True) as opened:
        assert is_original(opened, file)
        assert read_with_duckdb(opened.path) == []


@pytest.mark.parametrize(
    "data",
    [
        ROWS.replace(b"\n", b"\r\n", 2),
        ROWS.replace(b"\n", b"\r"),
        ROWS.replace(b"1,x\n", b"1,x\r"),
        ROWS.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + ROWS.replace(b"x\n", b"x\r"),
    ],
    ids=["crlf and lf", "cr", "one cr", "utf-16", "bom and cr"],
)
def test_text_that_duckdb_misreads_becomes_a_copy(stored, data):
    file = stored("a.csv", data)

    with open_text(file) as opened:
        assert not is_original(opened, file)
        assert opened.path.name == "file.csv"
        assert opened.path.read_bytes() == ROWS
        assert read_with_duckdb(opened.path) == [("1", "x"), ("2", "y"), ("3", "z")]
        assert opened.sha256 == hashlib.sha256(data).hexdigest()

    assert not opened.path.parent.exists()


@pytest.mark.parametrize(
    ("bad", "reason", "shown"),
    [
        (b"2,caf\xe9", "bad_encoding", r"2,caf\xe9"),
        (b"2,\0", "bad_encoding", r"2,\x00"),
        (b"2," + b"y" * 30, "too_large", "2," + "y" * 30),
    ],
)
def test_lines_that_do_not_fit_are_taken_out(stored, bad, reason, shown):
    file = stored("a.csv", ROWS.replace(b"2,y", bad))

    with open_text(file, max_line_bytes=20) as opened:
        assert opened.removed == (RemovedLine(3, reason, shown),)
        assert read_with_duckdb(opened.path) == [("1", "x"), ("3", "z")]


def test_character_across_the_border_of_two_reads_is_whole(stored):
    # The border of 256 KiB falls into each of the three bytes of a character once.
    lines = [b"a,b"] + [b"1," + b"x" * shift + "€".encode() * 90_000 for shift in range(3)]
    file = stored("a.csv", b"\n".join(lines))
    broken = stored("b.csv", b"\n".join(lines)[:-1])

    with open_text(file) as opened:
        assert is_original(opened, file)
    with open_text(broken) as opened:
        assert [line.line_number for line in opened.removed] == [4]
        assert len(opened.removed[0].text) < 300_000
        assert opened.path.read_bytes() == b"\n".join(lines[:3]) + b"\n"


def test_blank_lines_are_dropped_and_keep_their_numbers(stored):
    file = stored("a.jsonl", b'{"n":1}\n\n  \t\n{"n":2}')

    with open_text(file, drop_blank_lines=True) as opened:
        assert opened.removed == (RemovedLine(2, "", ""), RemovedLine(3, "", ""))
        assert opened.path.read_bytes() == b'{"n":1}\n{"n":2}\n'
    with open_text(file) as opened:
        assert is_original(opened, file)


def test_declared_encoding_becomes_utf8(stored):
    file = stored("a.csv", "a,b\n1,café\n".encode("latin-1"))

    with open_text(file, encoding="latin-1") as opened:
        assert read_with_duckdb(opened.path) == [("1", "café")]
        assert opened.removed == ()


def test_unknown_encoding_is_a_fault_of_the_configuration(stored):
    with (
        pytest.raises(ConfigError, match="utf-99"),
        open_text(stored("a.csv", ROWS), encoding="utf-99"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("a.csv.gz", "a.csv.gz"),
        ("a.csv.zst", "a.csv.zst"),
        ("a.csv.bz2", "file.csv"),
        ("a.csv.GZ", "file.csv.gz"),
        ("a.csv.zstd", "file.csv.zst"),
    ],
)
@pytest.mark.parametrize("count_members", [1, 3])
def test_archives_are_read_whole(stored, name, given, count_members):
    kind = COMPRESS[{".GZ": ".gz", ".zstd": ".zst"}.get(ending := name[5:], ending)]
    size = -(-len(ROWS) // count_members)
    data = b"".join(kind(ROWS[begin : begin + size]) for begin in range(0, len(ROWS), size))
    file = stored(name, data)

    with open_text(file) as opened:
        assert opened.path.name == given
        assert read_with_duckdb(opened.path) == [("1", "x"), ("2", "y"), ("3", "z")]
        assert opened.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", [".gz", ".zst"])
def test_archives_without_an_ending_are_known_by_their_begin(stored, kind):
    file = stored("part-0000", COMPRESS[kind](ROWS))

    with open_text(file) as opened:
        assert opened.path.name == f"file{kind}"
        assert read_with_duckdb(opened.path) == [("1", "x"), ("2", "y"), ("3", "z")]


@pytest.mark.parametrize("ending", COMPRESS)
def test_faulty_text_in_an_archive_becomes_a_plain_copy(stored, ending):
    file = stored(f"a.csv{ending}", COMPRESS[ending](ROWS.replace(b"y", b"\xff")))

    with open_text(file) as opened:
        assert opened.path.name == "file.csv"
        assert opened.removed == (RemovedLine(3, "bad_encoding", r"2,\xff"),)
        assert read_with_duckdb(opened.path) == [("1", "x"), ("3", "z")]


@pytest.mark.parametrize(
    "data", [ROWS, ROWS * 1000, b"\xff\n" + ROWS], ids=["short", "long", "faulty"]
)
@pytest.mark.parametrize("count_members", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize(("ending", "word"), [(".gz", "gzip"), (".zst", "zstd"), (".bz2", "bzip2")])
def test_archive_that_is_cut_off_is_named(stored, ending, word, count_members, data):
    whole = COMPRESS[ending](data)
    file = stored(f"a.csv{ending}", whole * count_members + whole[: len(whole) // 2])

    with (
        pytest.raises(
            InputDataError,
            match=rf"a\.csv\{ending}: the {word} file is cut off; deliver it again, whole",
        ),
        open_text(file),
    ):
        pass


@pytest.mark.parametrize("ending", COMPRESS)
def test_empty_archive_is_cut_off_but_an_archive_of_nothing_is_not(stored, ending):
    with pytest.raises(InputDataError, match="cut off"), open_text(stored(f"a.csv{ending}", b"")):
        pass
    with open_text(stored(f"b.csv{ending}", COMPRESS[ending](b""))) as opened:
        assert read_with_duckdb(opened.path) == []


@pytest.mark.parametrize("ending", COMPRESS)
@pytest.mark.parametrize(
    "data", [b"this was never compressed\n" * 9, None], ids=["text", "damaged"]
)
def test_broken_archive_is_named(stored, ending, data):
    if data is None:
        damaged = bytearray(COMPRESS[ending](os.urandom(100_000)))
        # Arrow's zstd writes no checksum, so only its structure can tell: here the first block's header.
        at = 6 if ending == ".zst" else len(damaged) // 2
        damaged[at : at + 3] = b"\xff" * 3
        data = bytes(damaged)

    with (
        pytest.raises(
            InputDataError,
            match=rf"reading .*a\.csv\{ending}: (not a whole|the \w+ file is cut off)",
        ),
        open_text(stored(f"a.csv{ending}", data)),
    ):
        pass


@pytest.mark.parametrize("name", ["a*.csv", "a?.csv", "a[12].csv", "day=1[x]/a.csv"])
def test_names_that_duckdb_takes_for_patterns_mean_one_file(stored, name):
    stored("a1.csv", b"a,b\n9,other\n")
    file = stored(name, ROWS)

    with open_text(file) as opened:
        assert read_with_duckdb(opened.path) == [("1", "x"), ("2", "y"), ("3", "z")]
    with open_binary(file) as opened:
        assert read_with_duckdb(opened.path) == [("1", "x"), ("2", "y"), ("3", "z")]


def test_binary_files_are_given_as_they_are(stored):
    data = bytes(range(256)) * 5000
    file = stored("a.parquet", data)

    with open_binary(file) as opened:
        assert is_original(opened, file)
        assert (opened.sha256, opened.removed) == (hashlib.sha256(data).hexdigest(), ())


@pytest.mark.parametrize("opens", [open_text, open_binary])
def test_file_that_cannot_be_read_is_named(tmp_path, opens):
    gone = StoredFile(str(tmp_path / "gone.csv"), 1, "")

    with pytest.raises(InputDataError, match=r"gone\.csv: No such file"), opens(gone):
        pass


def test_fault_of_the_reader_is_passed_on_as_it_is(stored):
    with pytest.raises(OSError, match="mine"), open_text(stored("a.csv", b"\xff")) as opened:
        raise OSError("mine")

    assert not opened.path.exists()


def test_listing_leaves_out_hidden_files_and_folders(stored, tmp_path):
    for name in ("b.csv", "x/a.csv", ".hidden.csv", "x/.part"):
        stored_path = tmp_path / "logs" / name
        stored_path.parent.mkdir(parents=True, exist_ok=True)
        stored_path.write_bytes(b"1")

    (tmp_path / "logs" / "gone.csv").symlink_to(tmp_path / "nowhere")

    def names(pattern):
        return [os.path.relpath(file.path, tmp_path) for file in list_files(pattern)]

    assert names(str(tmp_path / "logs")) == ["logs/b.csv", "logs/x/a.csv"]
    assert names(str(tmp_path / "logs" / "*.csv")) == ["logs/b.csv"]
    assert names(str(tmp_path / "logs" / "**" / "*.csv")) == ["logs/b.csv", "logs/x/a.csv"]
    assert names(str(tmp_path / "none")) == []


MEASURE = """
import resource, sys
from jobs.storage import StoredFile, open_text
with open_text(StoredFile(sys.argv[1], 0, ""), max_line_bytes=1_000_000) as opened:
    assert len(opened.removed) == 1, opened.removed
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_stays_bounded_whatever_the_line(stored):
    files = {
        "small.csv.gz": b"\xff\n",
        "large.csv.gz": b"x" * 400_000_000,
    }
    peaks = {}
    for name, data in files.items():
        file = stored(name, gzip.compress(data, 1))
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, file.path], capture_output=True, text=True, check=True
        )
        peaks[name] = int(done.stdout)

    assert peaks["large.csv.gz"] - peaks["small.csv.gz"] < 40
