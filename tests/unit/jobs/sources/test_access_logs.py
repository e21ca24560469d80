from urllib.parse import unquote

import duckdb
import pytest

from jobs.sources.access_logs import (
    _decoded,
    make_access_log_layout,
    make_w3c_layout,
    recognises_access_log,
    recognises_w3c,
)
from jobs.sources.mapping import PathRule
from tests.unit.jobs.sources.reading import read_rows

START = "203.0.113.7 - - [01/Jun/2026:10:00:00 +0000]"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"


def _rows(tmp_path, lines, columns, rules=()):
    path = tmp_path / "access.log"
    path.write_text("\n".join(lines) + "\n")
    rules = [PathRule(**rule) for rule in rules]
    return read_rows(make_access_log_layout(rules), path, columns)


def _request(request, status=200):
    return f'{START} "{request}" {status} 12 "-" "{CHROME}"'


@pytest.mark.parametrize(
    ("request_line", "status", "event_type"),
    [
        ("GET / HTTP/1.1", 200, "page_view"),
        ("GET / HTTP/1.1", 304, "page_view"),
        ("get / HTTP/1.1", 200, "page_view"),
        ("GET /help.html?x=a.css HTTP/2.0", 200, "page_view"),
        ("GET /old", 200, "page_view"),
        ("GET / HTTP/1.1", 400, "custom"),
        ("GET / HTTP/1.1", 199, "custom"),
        ("GET /site.css HTTP/1.1", 200, "custom"),
        ("GET /feed.XML?all=1 HTTP/1.1", 200, "custom"),
        ("HEAD / HTTP/1.1", 200, "custom"),
        ("POST / HTTP/1.1", 200, "custom"),
        ("-", 408, "custom"),
        (r"\x16\x03\x01", 400, "custom"),
    ],
)
def test_make_access_log_layout_request_without_a_rule_is_page_view_or_custom(
    tmp_path, request_line, status, event_type
):
    assert _rows(tmp_path, [_request(request_line, status)], "event_type, reason_code") == [
        (event_type, None)
    ]


def test_make_access_log_layout_first_rule_that_fits_counts(tmp_path):
    rules = [
        {"path": "^/p/(?P<item_id>[0-9]+)$", "event_type": "product_view"},
        {"path": "^/p/", "event_type": "list_view"},
    ]
    lines = [_request("GET /p/17 HTTP/1.1"), _request("GET /p/lamps HTTP/1.1")]

    assert _rows(tmp_path, lines, "event_type, item_id", rules) == [
        ("product_view", "17"),
        ("list_view", None),
    ]


@pytest.mark.parametrize(
    ("method", "request_line", "event_type"),
    [
        (None, "POST /p/17 HTTP/1.1", "product_view"),
        (None, "HEAD /p/17 HTTP/1.1", "custom"),
        (None, "OPTIONS /p/17 HTTP/1.1", "custom"),
        ("HEAD", "HEAD /p/17 HTTP/1.1", "product_view"),
        ("post", "POST /p/17 HTTP/1.1", "product_view"),
        ("POST", "GET /p/17 HTTP/1.1", "page_view"),
    ],
)
def test_make_access_log_layout_rule_is_for_its_method(tmp_path, method, request_line, event_type):
    rules = [{"path": "^/p/", "event_type": "product_view", "method": method}]

    assert _rows(tmp_path, [_request(request_line)], "event_type", rules) == [(event_type,)]


def test_make_access_log_layout_rule_sees_the_query_string_if_it_asks_for_it(tmp_path):
    rules = [
        {"path": r"^/show\.php\?(?:.*&)?id=(?P<item_id>\d+)", "event_type": "product_view"},
        {"path": "id=(?P<order_id>.*)", "event_type": "purchase"},
    ]
    lines = [
        _request("GET /show.php?lang=de&id=4711 HTTP/1.1"),
        _request("GET /other.php?id=4711 HTTP/1.1"),
    ]

    assert _rows(tmp_path, lines, "event_type, item_id, order_id", rules) == [
        ("product_view", "4711", None),
        ("page_view", None, None),
    ]


def test_make_access_log_layout_search_words_come_from_the_path_or_a_parameter(tmp_path):
    rules = [
        {"path": "^/find/(?P<search_query>[^/]+)", "event_type": "search"},
        {"path": "^/search", "event_type": "search"},
    ]
    lines = [
        _request("GET /find/blue%20lamp HTTP/1.1"),
        _request("GET /search?page=1&q=blue+lamp HTTP/1.1"),
        _request("GET /search?q=&keyword=lamp HTTP/1.1"),
        _request("GET /search HTTP/1.1"),
        _request("GET /?q=lamp HTTP/1.1"),
    ]

    assert _rows(tmp_path, lines, "event_type, search_query", rules) == [
        ("search", "blue lamp"),
        ("search", "blue lamp"),
        ("search", "lamp"),
        ("search", None),
        ("page_view", None),
    ]


@pytest.mark.parametrize("quote", ["it's", "a'||'b", "'); DROP TABLE x; --"])
def test_make_access_log_layout_rule_with_quotes_stays_a_rule(tmp_path, quote):
    rules = [{"path": quote.replace("|", r"\|").replace(")", r"\)"), "event_type": "list_view"}]

    rows = _rows(tmp_path, [_request(f"GET /{quote} HTTP/1.1")], "event_type", rules)

    assert rows == [("list_view",)]


@pytest.mark.parametrize(
    "line",
    [
        f'{START} "GET / HTTP/1.1" 200 12',
        f'{START} "GET / HTTP/1.1" 200 -',
        f'{START} "GET / HTTP/1.1" 200 12 "-" "{CHROME}" "198.51.100.1"',
        f'{START} "GET / HTTP/1.1" 200 12 "-" "{CHROME}" 0.005 "upstream"',
        f'shop.example.com:443 {START} "GET / HTTP/1.1" 200 12 "-" "{CHROME}"',
        f'2001:db8::1 - - [01/Jun/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 12 "-" "{CHROME}"',
        f'client.example.com ident ada [01/Jun/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 12 "-" "{CHROME}"',
        f'{START} "GET /?a=\\"b\\" HTTP/1.1" 200 12 "-" "{CHROME} \\"x\\" \\\\"',
    ],
)
def test_make_access_log_layout_variants_of_the_format_are_read(tmp_path, line):
    assert _rows(tmp_path, [line], "event_type, url_path, reason_code") == [
        ("page_view", "/", None)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        f'{START} "GET / HTTP/1.1" 200',
        f'{START} "GET / HTTP/1.1" 20 12',
        f'{START} "GET / HTTP/1.1" 200 12 "-" "{CHROME}',
        f'{START} "GET / HTTP/1.1 200 12 "-" "{CHROME}"x',
        START + ' "GET / HTTP/1.1" 200 12 "-"',
    ],
)
def test_make_access_log_layout_other_lines_are_malformed(tmp_path, line):
    assert _rows(tmp_path, [line], "reason_code") == [("malformed",)]


def test_make_access_log_layout_visitor_is_address_and_browser(tmp_path):
    lines = [
        f'10.0.0.1 - - [01/Jun/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "{agent}" "{forwarded}"'
        for agent, forwarded in [
            ("Safari", "198.51.100.1, 10.9.9.9"),
            ("Safari", "198.51.100.1:4711"),
            ("Firefox", "198.51.100.1"),
            ("Safari", "-"),
        ]
    ] + ['10.0.0.1 - - [01/Jun/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "Safari"']

    first, same, other_browser, direct, without = (
        row[0] for row in _rows(tmp_path, lines, "anonymous_id")
    )

    assert first == same
    assert direct == without
    assert len({first, other_browser, direct}) == 3


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0.0.0 Safari/537.36", "desktop"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.1 Safari/605.1.15", "desktop"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Mobile/15E148", "mobile"),
        ("Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) Mobile/15E148 Safari/604.1", "tablet"),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/131.0.0.0 Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (Linux; Android 14; SM-X700) Chrome/131.0.0.0 Safari/537.36", "tablet"),
        ("curl/8.5.0", None),
        ("-", None),
    ],
)
def test_make_access_log_layout_device_follows_from_the_agent(tmp_path, agent, device):
    line = f'{START} "GET / HTTP/1.1" 200 12 "-" "{agent}"'

    assert _rows(tmp_path, [line], "device, user_agent") == [
        (device, None if agent == "-" else agent)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "a%20b",
        "caf%C3%A9",
        "%E2%82%AC%F0%9F%98%80",
        "%ED%9F%BF%EE%80%80",
        "%F4%8F%BF%BF",
        "é%C3%A9",
    ],
)
def test_decoded_text_of_valid_bytes_is_decoded(text):
    con = duckdb.connect()

    assert con.execute(f"SELECT {_decoded('t')} FROM (SELECT ? AS t)", [text]).fetchone() == (
        unquote(text),
    )


@pytest.mark.parametrize(
    "text",
    ["100%", "%ZZ", "a%00b", "caf%E9", "%C3", "%C3%28", "%C0%AF", "%E0%80%80", "%ED%A0%80", "%F4%90%80%80", "%F5%80%80%80",
     "%80", "%C3é"],
)  # fmt: skip
def test_decoded_text_of_other_bytes_stays(text):
    con = duckdb.connect()

    assert con.execute(f"SELECT {_decoded('t')} FROM (SELECT ? AS t)", [text]).fetchone() == (text,)


def test_decoded_every_two_bytes_raise_nothing():
    con = duckdb.connect()
    text = "'%' || printf('%02X', a) || '%' || printf('%02X', b)"

    found = con.execute(
        f"SELECT count(*), count(*) FILTER (u <> t) FROM (SELECT t, {_decoded('t')} AS u "
        f"FROM (SELECT {text} AS t FROM range(256) AS x(a), range(256) AS y(b)))"
    ).fetchone()

    # 127 * 127 pairs of ASCII without NUL, and 30 * 64 characters of two bytes.
    assert found == (65536, 16129 + 1920)


def test_make_w3c_layout_values_of_any_order_are_found_by_their_names(tmp_path):
    path = tmp_path / "ex.log"
    path.write_text(
        "#Fields: sc-status CS-URI-STEM cs-method c-ip time date\n"
        "200 /a GET 203.0.113.7 10:00:00 2026-06-01\n"
        "#fields: cs-method sc-status date time cs-uri c-ip\n"
        "GET 200 2026-06-01 10:00:01 http://shop.example.com/b?utm_source=news 203.0.113.7\n"
    )

    rows = read_rows(
        make_w3c_layout([]), path, "event_type, url_path, occurred_at::VARCHAR, channel"
    )

    assert rows == [
        ("page_view", "/a", "2026-06-01 10:00:00+00", None),
        ("page_view", "/b", "2026-06-01 10:00:01+00", "news"),
    ]


def test_make_w3c_layout_fields_line_of_one_file_is_not_that_of_the_next(tmp_path):
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_text("#Fields: date time cs-uri-stem\n2026-06-01 10:00:00 /a\n")
    second.write_text("2026-06-01 10:00:00 /a\n")

    rows = read_rows(make_w3c_layout([]), first, "local_path, event_type, reason", second)

    assert rows == [
        (str(first), "custom", None),
        (str(second), "custom", "no line #Fields: stands before the line"),
    ]


@pytest.mark.parametrize(
    ("head", "is_log"),
    [
        ([_request("GET / HTTP/1.1")] * 3 + ["cut"], True),
        (["", _request("GET / HTTP/1.1")], True),
        ([_request("GET / HTTP/1.1"), "a", "b"], False),
        (["time,event", "1,2"], False),
        (['{"a": 1}'], False),
        ([], False),
        ({"time": "VARCHAR"}, False),
    ],
)
def test_recognises_access_log_needs_most_lines(head, is_log):
    assert recognises_access_log("access.log", head) is is_log


@pytest.mark.parametrize(
    ("head", "is_log"),
    [
        (["#Software: IIS", "#Fields: date time cs-method cs-uri-stem"], True),
        (["#Fields: date time cs-uri"], True),
        (["#Fields: date time x-event"], False),
        (["# just a comment", "a,b"], False),
        ([], False),
        ({"cs-uri": "VARCHAR"}, False),
    ],
)
def test_recognises_w3c_needs_the_fields_of_requests(head, is_log):
    assert recognises_w3c("u_ex260601.log", head) is is_log
