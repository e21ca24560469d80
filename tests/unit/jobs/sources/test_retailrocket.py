import pytest

from jobs.sources.retailrocket import (
    make_item_properties_layout,
    recognises_category_tree,
    recognises_events,
    recognises_item_properties,
)
from tests.unit.jobs.sources.reading import read_rows

EVENTS = "timestamp,visitorid,event,itemid"
PROPERTIES = "timestamp,itemid,property,value"
TREE = "categoryid,parentid"


@pytest.mark.parametrize(
    ("name", "value", "rows"),
    [
        ("790", "n15360.000", [("price", "15360.000")]),
        ("790", "n-1.5", [("price", "-1.5")]),
        ("790", "15360", [("price", "15360")]),
        ("790", "nothing", [("price", "nothing")]),
        ("categoryid", "1338", [("category", "1338")]),
        ("available", "0", [("is_in_stock", "0")]),
        ("888", "1116713 960601 n277.200", []),
        ("", "1", []),
    ],
)
def test_make_item_properties_layout_keeps_what_people_can_read(tmp_path, name, value, rows):
    path = tmp_path / "item_properties_part1.csv"
    path.write_text(f"{PROPERTIES}\n1435460400000,460429,{name},{value}\n")

    assert read_rows(make_item_properties_layout(), path, "property, value") == rows


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (EVENTS, [True, False, False]),
        (EVENTS + ",transactionid", [True, False, False]),
        (EVENTS + ",price", [False, False, False]),
        (PROPERTIES, [False, True, False]),
        (TREE, [False, False, True]),
        ("", [False, False, False]),
    ],
)
def test_recognises_each_file_by_its_header(header, known):
    recognisers = (recognises_events, recognises_item_properties, recognises_category_tree)

    assert [recognises("file.csv", [header, "1,2"]) for recognises in recognisers] == known


@pytest.mark.parametrize("head", [[], dict.fromkeys(EVENTS.split(","), "VARCHAR")])
def test_recognises_nothing_without_text(head):
    assert not recognises_events("events.csv", head)
