import re
from datetime import date
from html.parser import HTMLParser

import pytest

from jobs.report import ReportData, build_report
from jobs.report.data import SCHEMAS
from jobs.report.page import SECTIONS

from .frames import make_data, make_frame

HOSTILE = "<script>alert(1)</script>\"'&"
_VOID = {"meta", "link", "br", "line", "path", "rect", "circle", "col"}


class _Reader(HTMLParser):
    """Collects tags, ids and text, and checks that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.loads: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.loads += [
            (name, value)
            for name, value in attrs
            if name in ("src", "href", "srcset", "action", "data", "xlink:href", "poster")
        ]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader


def hostile_data() -> ReportData:
    """A row in every frame, with a hostile string in every text."""
    values = {"Date": date(2026, 7, 1), "Int64": 3, "Float64": 0.5, "Boolean": False}
    rows = {}
    for name, schema in SCHEMAS.items():
        row = tuple(
            [HOSTILE, HOSTILE] if dtype.__name__ == "List" else values.get(dtype.__name__, HOSTILE)
            for dtype in schema.values()
        )
        rows[name] = make_frame(name, row)
    second = rows["kpis_daily"].with_columns(day=date(2026, 7, 2))
    return make_data(**rows | {"kpis_daily": rows["kpis_daily"].vstack(second)})


def test_build_report_shows_the_numbers_of_its_data():
    page = build_report(
        make_data(
            totals=make_frame(
                "totals", (12345, 400, 90, 50, 20, 2000, 60, 0.4, 70, 9000.0, 500.0, 8500.0, 30)
            ),
            segment_kpis=make_frame(
                "segment_kpis", ("s1", "Big spenders", "rule", 77, 0.011, 3210.0, 45.6, 1.25, 0.314)
            ),
            funnel=make_frame("funnel", (1, "session", 4321, 999, None, 1.0)),
            recommended_items=make_frame("recommended_items", ("Red shoe", "Shoes", None, 42, 7)),
            recommendation_totals=make_frame("recommendation_totals", (420, 42, 15)),
        )
    )
    text = re.sub(r"\s+", " ", " ".join(read(page).text))
    for expected in (
        "Demo shop",
        "2 Jul 2026",
        "12,345",
        "8,500 EUR",
        "3.0%",
        "40.0%",
        "Big spenders",
        "3,210 EUR",
        "45.60 EUR",
        "31.4%",
        "4,321",
        "Red shoe",
        "50.0% of the catalogue",
    ):
        assert expected in text


def test_build_report_without_data_says_so_in_every_section():
    page = build_report(make_data())
    for section, _ in SECTIONS:
        body = page.split(f'<section id="{section}"')[1].split("</section>")[0]
        assert 'class="empty"' in body


def test_build_report_of_one_day_shows_it_as_a_table():
    day = (date(2026, 7, 2), 900, 100, 80, 7, 140.0, 0.07, None, 20.0)
    page = build_report(make_data(kpis_daily=make_frame("kpis_daily", day)))
    assert "a single day so far" in page
    assert "140.00\u00a0EUR" in page


def test_build_report_escapes_what_strangers_wrote():
    page = build_report(hostile_data())
    assert "<script" not in page.lower()
    assert "&lt;script&gt;" in page
    assert read(page).open == []


@pytest.mark.parametrize("data", [make_data(), hostile_data()], ids=["empty", "full"])
def test_build_report_loads_nothing(data):
    page = build_report(data)
    reader = read(page)
    assert reader.tags.isdisjoint({"script", "iframe", "img", "object", "embed", "base", "form"})
    assert [value for _, value in reader.loads if not value.startswith(("#", "data:,"))] == []
    assert re.findall(r"https?://|@import|url\(|@font-face", page) == []


def test_build_report_links_every_section_once():
    reader = read(build_report(hostile_data()))
    assert len(reader.ids) == len(set(reader.ids))
    targets = {value[1:] for name, value in reader.loads if value.startswith("#")}
    assert targets <= set(reader.ids)
    assert {section for section, _ in SECTIONS} <= targets


def test_build_report_twice_gives_the_same_bytes():
    assert build_report(hostile_data()).encode() == build_report(hostile_data()).encode()
