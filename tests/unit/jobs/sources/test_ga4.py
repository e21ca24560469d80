import re

import duckdb
import pytest

from jobs.sources import ga4
from jobs.sources.entities import ENTITIES, EVENT_TYPES

LAYOUT = ga4.make_layout("jsonl")


def _ask(sql, **values):
    con = duckdb.connect()
    names = ", ".join(f"${name}::VARCHAR AS {name}" for name in values)
    return con.execute(f"SELECT {sql} FROM (SELECT {names})", values).fetchone()[0]


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
    ("url", "path"),
    [
        ("https://shop.example.com/hats/polar?ref=1#top", "/hats/polar"),
        ("https://shop.example.com", "/"),
        ("https://shop.example.com?q=hat", "/"),
        ("//shop.example.com/a", "/a"),
        ("/hats/?x=1", "/hats/"),
        ("https://shop.example.com/u/ada@example.com/x", "/u/[e-mail]/x"),
        ("https://shop.example.com/u/ada%40example.com", "/u/[e-mail]"),
        (None, None),
    ],
)
def test_path_of_keeps_the_path_only(url, path):
    assert _ask(ga4.path_of("url"), url=url) == path


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.example.com/search?q=hat", "www.example.com/search"),
        ("https://www.example.com/", "www.example.com"),
        ("https://ada@example.com:secret@www.example.com/a", "[e-mail]@www.example.com/a"),
        (None, None),
    ],
)
def test_site_of_keeps_host_and_path(url, site):
    assert _ask(ga4.site_of("url"), url=url) == site


@pytest.mark.parametrize(
    ("text", "is_kept"),
    [("C-1", True), ("12345678901", True), ("ada@example.com", False), ("ada%40example.com", False), ("+49 30 1234567", False)],
)  # fmt: skip
def test_person_addresses_become_pseudonyms(text, is_kept):
    found = _ask(ga4.person("who"), who=text)

    assert (found == text) is is_kept
    assert is_kept or re.fullmatch(r"[0-9a-f]{32}", found)


@pytest.mark.parametrize("text", ["(not set)", "(Not Set)", "<Other>", "(other)", "undefined", "NULL"])  # fmt: skip
def test_known_placeholders_are_null(text):
    assert _ask(ga4.known("value"), value=text) is None


def test_known_other_texts_are_kept():
    assert _ask(ga4.known("value"), value="Other") == "Other"


@pytest.mark.parametrize(
    ("text", "count"),
    [('[{"a": 1}, 3, null, {}]', 2), ("[]", 0), ('{"a": 1}', None), ("[1", None), ("x", None), (None, None)],
)  # fmt: skip
def test_objects_in_anything_else_is_null(text, count):
    assert _ask(f"len({ga4.objects_in('told')})", told=text) == count


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
