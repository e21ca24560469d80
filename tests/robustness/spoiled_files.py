"""Files as nobody means them: valid logs of several formats, spoiled in the ways that disks, editors and programs spoil them."""

import gzip
import re
import zlib
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

_GENERIC = """
file_type: {file_type}
columns: {{occurred_at: time, event_type: kind, user_id: customer, item_id: sku, price: price, quantity: pieces}}
event_names: {{view: product_view, buy: purchase}}
properties: {{note: note}}
optional: [user_id]
"""
_TEXT = r"""
file_type: text
pattern: '(?P<time>\S+) (?P<kind>\w+) (?P<customer>\S*) (?P<sku>[^ ]*)(?: (?P<note>.*))?'
columns: {occurred_at: time, event_type: kind, user_id: customer, item_id: sku}
event_names: {view: product_view, buy: purchase}
properties: {note: note}
"""


@dataclass(frozen=True)
class LogFormat:
    """A format to spoil.

    Attributes:
        source: of a run configuration, without name and path.
        mapping: of a generic source.
        ending: of its files' names.
        head: lines before the records.
        lines: valid records.
        counts_lines: every line that is not blank is one row.
        counts_records: `line_number` counts records, so blank lines have no number.
    """

    source: dict[str, Any]
    ending: str
    lines: tuple[bytes, ...]
    head: bytes = b""
    mapping: str = ""
    counts_lines: bool = False
    counts_records: bool = False


_SHOPIFY_HEAD = (
    b"Name,Email,Financial Status,Paid at,Accepts Marketing,Currency,Subtotal,Shipping,Taxes,Total,Discount Code,"
    b"Discount Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Lineitem discount,"
    b"Billing Country,Shipping Country,Notes,Cancelled at,Refunded Amount,Vendor,Id,Tags,Source,Phone"
)
_SNOWPLOW = [b""] * 131
_SNOWPLOW[0:2] = [b"shop", b"web"]
_SNOWPLOW[2:5] = [
    b"2026-06-01 10:00:02.000",
    b"2026-06-01 10:00:01.000",
    b"2026-06-01 10:00:00.000",
]
_SNOWPLOW[5:7] = [b"page_view", b"0b2f3c1e-7f8a-4d55-9d2b-0123456789ab"]

FORMATS: dict[str, LogFormat] = {
    "csv": LogFormat(
        {"mapping": "csv.yml"},
        ".csv",
        (
            b"2026-06-01 10:00:00,view,u1,i1,9.5,1,plain",
            b'2026-06-01 10:01:00,buy,u2,"i,2",1234.567891,2.5,"said ""yes"""',
            b'2026-06-01T10:02:00+02:00,view,,i3,,,"two\nlines"',
            b"someday,view,u1,i1,cheap,1,",
            b"2026-06-01 10:03:00,sneeze,u1,i1",
        ),
        head=b"time,kind,customer,sku,price,pieces,note\n",
        mapping=_GENERIC.format(file_type="csv"),
    ),
    "jsonl": LogFormat(
        {"mapping": "jsonl.yml"},
        ".jsonl",
        (
            b'{"time":"2026-06-01T10:00:00Z","kind":"view","customer":"u1","sku":"i1","price":9.5,"pieces":1}',
            b'{"time":"2026-06-01T10:01:00+02:00","kind":"buy","customer":null,"sku":"i\\"1","note":"\\u00e4\\ud83d\\ude00"}',
            b'{"kind":"view","time":"2026-06-01T10:02:00Z","note":{"a":[1,2,{"b":null}]},"price":"1e2"}',
            b'{"time":1780000000,"kind":"sneeze"}',
            b"[1, 2]",
            b"   ",
            b'"text"',
        ),
        mapping=_GENERIC.format(file_type="jsonl"),
        counts_lines=True,
    ),
    "text": LogFormat(
        {"mapping": "text.yml"},
        ".log",
        (
            b"2026-06-01T10:00:00Z view u1 i1",
            b'2026-06-01T10:01:00Z buy u2 i2 a note, "quoted"',
            b"2026-06-01T10:02:00Z sneeze - -",
            b"no record at all",
            b"",
        ),
        mapping=_TEXT,
        counts_lines=True,
    ),
    "access_log": LogFormat(
        {
            "format": "access_log",
            "rules": [
                {"path": "^/item/(?P<item_id>[^/?]+)", "event_type": "product_view"},
                {"path": "^/", "event_type": "page_view"},
            ],
        },
        ".log",
        (
            b'192.0.2.1 - - [01/Jun/2026:10:00:00 +0200] "GET /item/i1?a=%C3%A4 HTTP/1.1" 200 512 "-" "Mozilla/5.0"',
            b'2001:db8::1 - ada [01/Jun/2026:10:00:01 +0000] "GET / HTTP/2.0" 304 0 "https://example.com/" "Googlebot/2.1"',
            b'192.0.2.2 - - [01/Jun/2026:10:00:02 +0000] "-" 400 0 "-" "-"',
        ),
    ),
    "ga4": LogFormat(
        {"format": "ga4"},
        ".jsonl",
        (
            b'{"event_date":"20260601","event_timestamp":"1780308000000000","event_name":"view_item","user_pseudo_id":"1.2",'
            b'"event_params":[{"key":"ga_session_id","value":{"int_value":"1"}}],'
            b'"items":[{"item_id":"i1","item_name":"Lamp","price":9.5,"quantity":"1"},{"item_id":"i2"}]}',
            b'{"event_date":"20260601","event_timestamp":"1780308000000001","event_name":"purchase","user_pseudo_id":"1.2",'
            b'"ecommerce":{"transaction_id":"t1","purchase_revenue":19},"items":[{"item_id":"i1","price":9.5,"quantity":"2"}]}',
            b'{"event_date":"20260601","event_timestamp":"1780308000000002","event_name":"page_view","user_pseudo_id":"3.4",'
            b'"event_params":[],"items":[]}',
        ),
    ),
    "segment": LogFormat(
        {"format": "segment"},
        ".jsonl",
        (
            b'{"type":"track","event":"Product Viewed","messageId":"m1","timestamp":"2026-06-01T10:00:00Z","anonymousId":"a1",'
            b'"properties":{"product_id":"i1","price":9.5}}',
            b'{"type":"track","event":"Order Completed","messageId":"m2","timestamp":"2026-06-01T10:01:00Z","userId":"u1",'
            b'"properties":{"order_id":"o1","total":19,"products":[{"product_id":"i1","price":9.5,"quantity":2},{"sku":"i2"}]}}',
            b'{"type":"identify","messageId":"m3","timestamp":"2026-06-01T10:02:00Z","userId":"u1","anonymousId":"a1",'
            b'"traits":{"email":"ada@example.com"}}',
        ),
    ),
    "snowplow": LogFormat(
        {"format": "snowplow"},
        ".tsv",
        (
            b"\t".join(_SNOWPLOW),
            b"\t".join([*_SNOWPLOW[:6], b"other", *_SNOWPLOW[7:]]),
            b"shop\tweb",
        ),
        counts_records=True,
    ),
    "shopify_orders": LogFormat(
        {"format": "shopify_orders"},
        ".csv",
        (
            b"#1001,ada@example.com,paid,2026-06-01 10:00:00 +0200,yes,EUR,29.00,5.00,0.00,34.00,,0.00,"
            b'2026-06-01 10:00:00 +0200,1,"Lamp, large",19.00,L1,0.00,DE,DE,,,0.00,Acme,1,,web,',
            b"#1001,,,,,,,,,,,,2026-06-01 10:00:00 +0200,2,Bulb,5.00,B1,0.00,,,,,,Acme,,,,",
            b'#1002,bob@example.com,refunded,,no,EUR,5,0,0,5,,0,2026-06-02 09:00:00 +0200,1,Bulb,5.00,B1,0,DE,DE,"a\nnote",'
            b"2026-06-03 10:00:00 +0200,5.00,Acme,2,,web,",
        ),
        head=_SHOPIFY_HEAD + b"\n",
    ),
}

_TOKENS = (
    b'"', b'""', b"'", b"\0", b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\r", b"\n", b"\r\n",
    b"\n\r", b"\n\n", b"\x0b", b"\x0c", b"\x1a", b"\x1c", b"\x1e", b"\x1f", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8",
    b"\xef\xbb\xbf", b",", b";", b"\t", b" ", b"{", b"}", b"[", b"]", b"{}", b"[]", b":", b"\\", b"\\u0000", b"\\ud800",
    b"\\x", b"#", b"null", b"nan", b"infinity", b"-1", b"1e999", b"-0.0", b"9" * 40, b"0001-01-01", b"9999-12-31",
    b"2026-02-30", b"24:00:00", b"+99:99", b"%s", b"%", b"$1", b"\\1", b"{{", b"NULL", b"true", b"\xf0\x9f\x98\x80",
    b"-\xc2\xa0-", b"\xe2\x80\xae", b"a\xcc\x88",
)  # fmt: skip
_RUN = re.compile(rb"(.{1,6}?)\1{30,}", re.DOTALL)
_SPLIT = re.compile(rb"\r\n|\r|\n")


class Content(bytes):
    """The bytes of a file, shown in a few lines, however many times a part of them is repeated."""

    def __repr__(self) -> str:
        parts, at = [], 0
        for run in _RUN.finditer(self):
            parts += [repr(self[at : run.start()]), f"{run[1]!r} * {len(run[0]) // len(run[1])}"]
            at = run.end()
        return " + ".join([*parts, repr(self[at:])])


@st.composite
def _edits(draw: st.DrawFn, content: bytes) -> bytes:
    """One thing that goes wrong with a file."""
    at = draw(st.integers(0, len(content)))
    kind = draw(
        st.sampled_from(
            ["insert", "insert", "flip", "cut", "repeat", "huge", "deep", "swap", "line_ends"]
        )
    )
    if kind == "insert":
        return content[:at] + draw(st.sampled_from(_TOKENS)) + content[at:]
    if kind == "flip" and at < len(content):
        flipped = content[at] ^ (1 << draw(st.integers(0, 7)))
        return content[:at] + bytes([flipped]) + content[at + 1 :]
    end = min(len(content), at + draw(st.integers(1, 80)))
    if kind == "cut":
        return content[:at] + content[end:]
    if kind == "repeat":
        return content[:end] + content[at:]
    if kind == "huge":
        return content[:at] + b"x" * draw(st.sampled_from([5_000, 70_000, 300_000])) + content[at:]
    if kind == "deep":
        depth = draw(st.sampled_from([5, 100, 1_200]))
        opened, closed = draw(st.sampled_from([(b"[", b"]"), (b'{"a":', b"}")]))
        return content[:at] + opened * depth + b"1" + closed * depth + content[at:]
    if kind == "line_ends":
        return content.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b"\n\n", b"\r\r\n"])))
    lines = content.split(b"\n")
    draw(st.randoms(use_true_random=False)).shuffle(lines)
    return b"\n".join(lines)


@st.composite
def _spoiled(draw: st.DrawFn, format_: LogFormat) -> bytes:
    lines = draw(st.lists(st.sampled_from(format_.lines), max_size=8))
    content = format_.head + b"\n".join(lines) + draw(st.sampled_from([b"\n", b""]))
    for _ in range(draw(st.integers(0, 4))):
        content = draw(_edits(content))
    how = draw(st.sampled_from(["", "", "", "utf-8-sig", "utf-16", "utf-32"]))
    return content.decode("utf-8", "replace").encode(how) if how else content


def make_contents(format_: LogFormat) -> st.SearchStrategy[Content]:
    """Files of a format, spoiled; and bytes and scraps that never were of it, below its head."""
    scraps = st.lists(st.sampled_from((*_TOKENS, *format_.lines)), max_size=12).map(b"".join)
    nonsense = st.binary(max_size=500) | scraps
    contents = (
        _spoiled(format_)
        | _spoiled(format_)
        | nonsense.map(lambda body: format_.head + body)
        | nonsense
    )
    return contents.map(Content)


@st.composite
def make_archives(draw: st.DrawFn, format_: LogFormat) -> tuple[Content, bytes | None]:
    """A gzip file, often cut off or spoiled; and what it holds by zlib, None where it is not whole."""
    content = draw(make_contents(format_))
    half = len(content) // 2
    archive = gzip.compress(content[:half], mtime=0) + gzip.compress(content[half:], mtime=0)
    how = draw(st.sampled_from(["whole", "cut", "cut", "flip", "insert"]))
    at = draw(st.integers(0, len(archive) - 1))
    if how == "cut":
        archive = archive[:at]
    if how == "flip":
        flipped = archive[at] ^ (1 << draw(st.integers(0, 7)))
        archive = archive[:at] + bytes([flipped]) + archive[at + 1 :]
    if how == "insert":
        archive = archive[:at] + draw(st.sampled_from(_TOKENS)) + archive[at:]
    return Content(archive), _inflate(archive)


def _inflate(archive: bytes) -> bytes | None:
    content = b""
    while archive:
        member = zlib.decompressobj(wbits=31)
        try:
            content += member.decompress(archive)
        except zlib.error:
            return None
        if not member.eof:
            return None
        archive = member.unused_data
    return content


def number_lines(content: bytes, blanks: bytes = b" \t") -> list[int]:
    """The numbers, from 1, of a text's physical lines that are not blank; counted without the loader's code.

    A line is blank that has nothing but `blanks`.
    """
    for bom, encoding in (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if content.startswith(bom):
            content = content.decode(encoding, "replace").encode()
            break
    lines = _SPLIT.split(content.removeprefix(b"\xef\xbb\xbf"))
    return [number for number, line in enumerate(lines, start=1) if line.strip(blanks)]
