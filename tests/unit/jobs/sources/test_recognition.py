"""What a file is, by its beginning."""

import json

import pytest

from jobs.errors import InputDataError
from jobs.sources.formats import FORMATS
from jobs.sources.recognition import Head, merge_samples, recognise_format, take_sample

REES46 = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
)
GA4 = json.dumps({"event_name": "purchase", "event_timestamp": "1", "user_pseudo_id": "a"})
SEGMENT = json.dumps({"type": "track", "event": "Product Viewed", "messageId": "m", "userId": "u"})
SHOPIFY = "Name,Email,Created at,Lineitem quantity,Lineitem name,Lineitem price"
ACCESS = '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /p/1 HTTP/1.1" 200 12 "-" "Mozilla/5.0"'


@pytest.mark.parametrize(
    ("name", "lines", "format_name"),
    [
        ("2019-Oct.csv.gz", [REES46], "rees46"),
        ("events.csv", ["timestamp,visitorid,event,itemid,transactionid"], "retailrocket"),
        ("category_tree.csv", ["categoryid,parentid"], "retailrocket_category_tree"),
        ("events_20260101.json.gz", [GA4], "ga4"),
        ("calls.jsonl", [SEGMENT], "segment"),
        ("orders_export.csv", [SHOPIFY], "shopify_orders"),
        ("access.log", [ACCESS, ACCESS], "access_log"),
        ("u_ex26.log", ["#Fields: date time cs-method cs-uri-stem sc-status"], "w3c"),
        ("mine.csv", ["when,what,who", "2026-01-01,view,u1"], None),
        ("empty.csv", [], None),
    ],
)
def test_recognise_format_of_first_lines_names_the_reader(name, lines, format_name):
    assert recognise_format(Head(name, lines=tuple(lines))) == format_name


def test_recognise_format_of_parquet_columns_names_the_reader():
    columns = {"event_name": "VARCHAR", "event_timestamp": "BIGINT"}

    assert recognise_format(Head("a.parquet", columns=columns)) == "ga4"


@pytest.mark.parametrize(("name", "format_name"), [("a.json", "snowplow"), ("a.log", None)])
def test_recognise_format_that_its_reader_would_take_for_something_else_is_none(name, format_name):
    """Snowplow's JSON in a file whose name does not say so would be read as tab-separated lines."""
    line = json.dumps({"event_id": "e", "collector_tstamp": "2026-01-01"})

    assert recognise_format(Head(name, lines=(line,))) == format_name


@pytest.mark.parametrize("name", FORMATS)
def test_every_recogniser_answers_to_what_it_does_not_know(name):
    recogniser = FORMATS[name].call(FORMATS[name].recogniser)

    assert recogniser("x.csv", ["a,b", "1,2"]) is False
    assert recogniser("x.parquet", {"a": "VARCHAR"}) is False


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_take_sample_of_csv_finds_the_delimiter(delimiter):
    rows = [
        ["id", " name ", "price"],
        ["1", "a, b; c|d\te", ""],
        ["2", "x", "3"],
        ["3", "y", "4"],
        ["broken"],
    ]
    lines = [delimiter.join(f'"{cell}"' if len(cell) > 6 else cell for cell in row) for row in rows]

    sample = take_sample(Head("items.csv", lines=(*lines, "")))

    assert (sample.file_type, sample.delimiter, sample.count_records) == ("csv", delimiter, 3)
    assert sample.values == {
        "id": ["1", "2", "3"],
        "name": ["a, b; c|d\te", "x", "y"],
        "price": ["3", "4"],
    }


def test_take_sample_of_csv_with_a_column_twice_leaves_it_out():
    sample = take_sample(Head("a.csv", lines=("id,x,X,y", "1,2,3,4")))

    assert sample.values == {"id": ["1"], "y": ["4"]}


@pytest.mark.parametrize(
    "line", ["4711,anna@example.com,x", "2026-01-01,view,u1", "view,u1,12.50", "01.02.2026,k77,k78"]
)
def test_take_sample_without_header_is_refused_without_its_values(line):
    with pytest.raises(InputDataError, match="does not name the columns") as caught:
        take_sample(Head("a.csv", lines=(line, line)))

    assert not any(cell in str(caught.value) for cell in line.split(","))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "it is empty"),
        (("one column", "x"), "no table"),
        (("[", '{"a": 1},', '{"a": 2}', "]"), "not one object a line"),
        (('[{"a": 1}, {"a": 2}]',), "not one object a line"),
        (("{", '  "a": 1', "}"), "not one object a line"),
    ],
)
def test_take_sample_of_what_is_no_table_says_what_it_is(lines, message):
    with pytest.raises(InputDataError, match=message):
        take_sample(Head("a.json", lines=lines))


def test_take_sample_of_json_names_values_by_their_paths():
    records = [
        {
            "id": 1,
            "user": {"id": "u1", "geo": {"country": "DE"}},
            "ok": True,
            "a.b": 1,
            "tags": ["x"],
        },
        {"id": 2, "user": None, "lines": [{"sku": "s1", "n": 2}, {"sku": "s2"}], "ok": None},
    ]

    sample = take_sample(Head("a.jsonl", lines=tuple(map(json.dumps, records))))

    assert sample.file_type == "jsonl"
    assert sample.values == {
        "id": ["1", "2"],
        "user.id": ["u1"],
        "user.geo.country": ["DE"],
        "ok": ["true"],
        "user": [],
    }
    assert sample.lists == {"lines": {"sku": ["s1", "s2"], "n": ["2"]}}


def test_take_sample_of_parquet_takes_its_rows():
    head = Head("a.parquet", columns={"id": "BIGINT"}, rows=({"id": 1}, {"id": None}))

    assert take_sample(head).values == {"id": ["1"]}


def test_merge_samples_tells_which_columns_some_lack():
    old = take_sample(Head("a1.csv", lines=("id,x", "1,2")))
    new = take_sample(Head("a2.csv", lines=("id,x,y", "3,4,5")))
    other = take_sample(Head("a0.csv", lines=("id;z", "9;9")))

    joined, lacking = merge_samples([other, old, new])

    assert joined.values == {"id": ["3", "1"], "x": ["4", "2"], "y": ["5"]}
    assert joined.count_records == 2
    assert lacking == {"y"}
