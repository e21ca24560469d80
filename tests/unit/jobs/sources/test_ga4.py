import re

import pytest

from jobs.sources import ga4
from jobs.sources.entities import ENTITIES, EVENT_TYPES

LAYOUT = ga4.make_layout("jsonl")


def test_event_names_are_of_known_types():
    assert set(ga4.EVENT_NAMES.values()) <= set(EVENT_TYPES)


def test_layout_columns_are_those_of_the_tables():
    for part in LAYOUT.parts:
        assert set(part.columns) <= set(ENTITIES[part.entity].columns)


@pytest.mark.parametrize(
    ("path", "unit", "rank"),
    [
        ("export/events_20260102.json.gz", "20260102", ""),
        ("events_20260102", "20260102", ""),
        ("s3://bucket/events_20260102/000000000001.parquet", "20260102", ""),
        ("export/events_20260102-000000000001.json.gz", "20260102", ""),
        ("export/events_intraday_20260102.json", "20260102", "intraday_"),
        ("export/events_fresh_20260102_000.parquet", "20260102", "fresh_"),
    ],
)
def test_delivery_is_the_day_of_a_table(path, unit, rank):
    found = re.search(LAYOUT.delivery, path)

    assert found.group("unit", "rank") == (unit, rank)
    assert rank in LAYOUT.ranks


@pytest.mark.parametrize(
    "path", ["users_20260102", "pseudonymous_users_20260102.json", "my_events_20260102", "events_202601021"]
)  # fmt: skip
def test_delivery_other_tables_have_none(path):
    assert re.search(LAYOUT.delivery, path) is None


def test_final_day_outranks_what_came_before():
    assert LAYOUT.ranks == ("intraday_", "fresh_", "")


@pytest.mark.parametrize(
    ("head", "is_ga4"),
    [
        (['{"event_date":"20260102","event_timestamp":"1","event_name":"page_view"}'], True),
        (["", "{broken", '{"event_timestamp":1,"event_name":"x"}'], True),
        ({"event_name": "VARCHAR", "event_timestamp": "BIGINT"}, True),
        (['{"event":"page_view"}'], False),
        (["event_name,event_timestamp"], False),
        (["[1]", "3"], False),
        ([], False),
        ({"user_pseudo_id": "VARCHAR"}, False),
    ],
)
def test_recognises_by_its_fields(head, is_ga4):
    assert ga4.recognises("export.json", head) is is_ga4


@pytest.mark.parametrize(("told", "taken"), [("parquet", "parquet"), ("jsonl", "jsonl"), ("csv", "jsonl")])  # fmt: skip
def test_make_layout_files_without_an_ending_are_json_lines(told, taken):
    assert ga4.make_layout(told).file_type == taken
