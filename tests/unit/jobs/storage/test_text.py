import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.errors import ConfigError, InputDataError
from jobs.storage import text as text_module
from jobs.storage.text import CleanCopy, CleanText, RemovedLine, choose_encoding

# Pieces that meet at every kind of border, so that arbitrary joins of them are likely to be faulty.
PIECES = st.sampled_from(
    [b"a", b"bc", b" ", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xc3", b"\xa9", b"\xe2\x82\xac", b"\xef\xbb\xbf"]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=30).map(b"".join), st.binary(max_size=60))


def cut(data, size):
    return [data[begin : begin + size] for begin in range(0, len(data), size)]


def is_clean(chunks, *, drop_blank_lines=False, max_line_bytes=1000):
    text = CleanText(drop_blank_lines=drop_blank_lines, max_line_bytes=max_line_bytes)
    return all(map(text.take, chunks)) and text.finish()


def copy(chunks, *, encoding="utf-8", drop_blank_lines=False, max_line_bytes=1000):
    target = io.BytesIO()
    writer = CleanCopy(
        target,
        name="a.csv",
        encoding=encoding,
        drop_blank_lines=drop_blank_lines,
        max_line_bytes=max_line_bytes,
    )
    writer.write(chunks)
    return target.getvalue(), writer.removed


def split_lines(data):
    """The physical lines of bytes, by the definition in words."""
    lines = re.split(rb"\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf"))
    return lines if lines[-1] else lines[:-1]


def judge(line, *, drop_blank_lines, max_line_bytes):
    """The reason to remove a line, None to keep it."""
    if len(line) > max_line_bytes:
        return "too_large"
    if drop_blank_lines and not line.strip(b" \t"):
        return ""
    try:
        line.decode()
    except UnicodeDecodeError:
        return "bad_encoding"
    return "bad_encoding" if b"\0" in line or b"\x1f" in line else None


@given(data=TEXTS, size=st.integers(1, 8), drop=st.booleans(), longest=st.integers(1, 12))
@example(data=b"\xe2\x82\xac\r\n", size=1, drop=False, longest=3)
@example(data=b"a\r\r\n\r", size=2, drop=True, longest=12)
@example(data=b"a\x1fb\nc", size=2, drop=True, longest=12)
def test_copy_and_removed_lines_of_any_bytes_are_all_its_lines(data, size, drop, longest):
    rules = {"drop_blank_lines": drop, "max_line_bytes": longest}

    written, removed = copy(cut(data, size), **rules)

    kept = iter(written.split(b"\n")[:-1])
    reasons = {line.line_number: line.reason_code for line in removed}
    lines = split_lines(data)
    found = [
        (reasons[n], None) if n in reasons else (None, next(kept)) for n in range(1, len(lines) + 1)
    ]
    assert found == [
        (judge(line, **rules), None) if judge(line, **rules) is not None else (None, line)
        for line in lines
    ]
    assert next(kept, None) is None
    assert [line.line_number for line in removed] == sorted(reasons)


@given(data=TEXTS, size=st.integers(1, 8), drop=st.booleans(), longest=st.integers(1, 12))
@example(data=b"a\r\nb\r\n", size=2, drop=True, longest=12)
@example(data=b"ab\n \t", size=3, drop=True, longest=12)
def test_clean_is_what_a_copy_would_not_change(data, size, drop, longest):
    rules = {"drop_blank_lines": drop, "max_line_bytes": longest}
    _, removed = copy([data], **rules)
    plain = data.removeprefix(b"\xef\xbb\xbf")
    ends = set(re.findall(rb"\r\n|\n|\r", plain))
    expected = not removed and ends in (set(), {b"\n"}, {b"\r\n"})

    found = is_clean(cut(data, size), **rules)

    # A line that only its CR makes too long is copied, which loses nothing.
    if b"\r\n" not in ends:
        assert found == expected
    else:
        assert expected or not found


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", True),
        (b"a,b\n1,2\n", True),
        (b"a,b\n1,2", True),
        (b"a,b\r\n1,2\r\n", True),
        (b"\xef\xbb\xbfa\n", True),
        ("é€𝄞\n".encode(), True),
        (b"a\n\n b\n", True),
        (b"a\r\nb\n", False),
        (b"a\nb\r\n", False),
        (b"a\rb\n", False),
        (b"a\n\r", False),
        (b"a\0\n", False),
        (b"caf\xe9\n", False),
        (b"a\xe2\x82", False),
        (b"\xed\xa0\x80\n", False),
        (b"\xc0\x80\n", False),
    ],
)
def test_text_is_clean_as_duckdb_needs_it(data, expected, size):
    assert is_clean(cut(data, size)) is expected


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\nb\n", True),
        (b" a\n\tb \n", True),
        (b"a\r\nb\r\n", True),
        (b"\n", False),
        (b"\na\n", False),
        (b"a\n\nb\n", False),
        (b"a\n \t \nb\n", False),
        (b"a\r\n\r\nb\r\n", False),
        (b"a\n  ", False),
        (b"\xef\xbb\xbf\na\n", False),
    ],
)
def test_blank_lines_are_found_where_they_are_dropped(data, expected, size):
    assert is_clean(cut(data, size), drop_blank_lines=True) is expected


@pytest.mark.parametrize("size", [1, 4, 5, 6, 100])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"12345\n12345\n12345", True),
        (b"123456\n1\n1", False),
        (b"1\n123456\n1", False),
        (b"1\n1\n123456", False),
    ],
)
def test_lines_over_the_limit_are_found(data, expected, size):
    assert is_clean(cut(data, size), max_line_bytes=5) is expected


def test_faulty_lines_are_removed_and_shown():
    data = b"a,b\r\n1,caf\xe9\rx\0y\n123456789\n\n2,\xe2\x82"

    written, removed = copy([data], max_line_bytes=8, drop_blank_lines=True)

    assert written == b"a,b\n"
    assert removed == [
        RemovedLine(2, "bad_encoding", r"1,caf\xe9"),
        RemovedLine(3, "bad_encoding", r"x\x00y"),
        RemovedLine(4, "too_large", "123456789"),
        RemovedLine(5, "", ""),
        RemovedLine(6, "bad_encoding", r"2,\xe2\x82"),
    ]


def test_line_end_within_a_broken_character_stays_a_line_end():
    written, removed = copy([b"a\xe2\nb\n"])

    assert (written, removed) == (b"b\n", [RemovedLine(1, "bad_encoding", r"a\xe2")])


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_of_a_line_that_is_too_large_the_begin_is_kept(size, monkeypatch):
    monkeypatch.setattr(text_module, "MAX_KEPT_BYTES", 5)
    data = "ok\nab€€€€€€\nend\n".encode()

    written, removed = copy(cut(data, size), max_line_bytes=8)

    assert written == b"ok\nend\n"
    assert removed == [RemovedLine(2, "too_large", "ab€")]


def test_faults_far_apart_cost_their_lines_only():
    lines = [b"line %d" % number for number in range(20_000)]
    lines[7], lines[12_345] = b"\xff", b"\0"

    written, removed = copy(cut(b"\n".join(lines), 1 << 18))

    assert [line.line_number for line in removed] == [8, 12_346]
    assert written.split(b"\n")[:-1] == [line for line in lines if line not in (b"\xff", b"\0")]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("latin-1", "é,ß\r\nü\n".encode("latin-1")),
        ("cp1252", "é,ß\r\nü\n".encode("cp1252")),
        ("utf-16", "é,ß\r\nü\n".encode("utf-16")),
        ("utf-16-be", "é,ß\r\nü\n".encode("utf-16-be")),
        ("utf-32", "é,ß\rü".encode("utf-32")),
        ("utf-8", b"\xef\xbb\xbf" + "é,ß\r\nü\n".encode()),
    ],
)
def test_other_encodings_become_utf8(encoding, data, size):
    assert copy(cut(data, size), encoding=encoding) == ("é,ß\nü\n".encode(), [])


def test_surrogates_without_a_partner_cost_their_line_only():
    data = "a\nb".encode("utf-16-le") + b"\x0a\xd8" + "\nc\n".encode("utf-16-le")

    written, removed = copy([data], encoding="utf-16-le")

    assert written == b"a\nc\n"
    assert removed == [RemovedLine(2, "bad_encoding", r"b\x0a\xd8")]


def test_bytes_that_an_encoding_lacks_cost_their_line_only():
    written, removed = copy([b"a\n\x81b\nc\n"], encoding="cp1252")

    assert (written, removed) == (b"a\nc\n", [RemovedLine(2, "bad_encoding", r"\x81b")])


def test_file_that_is_wrong_throughout_ends_with_a_message(monkeypatch):
    monkeypatch.setattr(text_module, "_MAX_REMOVED_BYTES", 350)

    with pytest.raises(InputDataError, match=r"a\.csv: 4 of the first 6 lines .* valid utf-8"):
        copy([b"a\nb\n" + b"\xff\n" * 10])


@pytest.mark.parametrize(
    ("declared", "head", "expected"),
    [
        ("utf-8", b"a,b\n", "utf-8"),
        ("UTF8", b"", "utf-8"),
        ("ascii", b"a,b\n", "utf-8"),
        ("latin-1", b"a,b\n", "iso8859-1"),
        ("utf-8", b"\xff\xfea\0", "utf-16"),
        ("utf-8", b"\xfe\xff\0a", "utf-16"),
        ("utf-8", b"\xff\xfe\0\0", "utf-32"),
        ("latin-1", b"\xef\xbb\xbfa", "utf-8"),
    ],
)
def test_byte_order_mark_decides_the_encoding(declared, head, expected):
    assert choose_encoding(declared, head) == expected


@pytest.mark.parametrize("name", ["utf-9", "base64", "rot13"])
def test_unknown_encoding_is_named(name):
    with pytest.raises(ConfigError, match=f"encoding: {name} is not one"):
        choose_encoding(name, b"")
