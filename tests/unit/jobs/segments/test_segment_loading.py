import re
import textwrap
from datetime import date
from pathlib import Path

import pytest

from jobs.errors import ConfigError
from jobs.segments import Segment, load_segment, load_segments, segment_schema
from jobs.segments.definition import CONDITION_KEYS
from jobs.segments.fields import (
    ATTRIBUTES,
    EVENT_TYPES,
    EVENT_WORDS,
    FEATURES,
    FILTER_BOUNDS,
    FILTER_COLUMNS,
)
from jobs.settings import PROJECT_ROOT
from jobs.sources.mapping import EVENT_TYPES as CANONICAL_EVENT_TYPES

GUIDE = (PROJECT_ROOT / "docs" / "segments.md").read_text()
SHIPPED = PROJECT_ROOT / "config" / "segments"
HEAD = "id: {id}\nname: Rule\nowner: crm\ndescription: A rule.\nwhere:\n"
VIEWS = "  count: {event: product_view, within: 24 hours}\n  more_than: 3\n"


def write(folder: Path, name: str, where: str = VIEWS, head: str = HEAD) -> Path:
    file = folder / f"{name}.yml"
    file.write_text(head.format(id=name) + where)
    return file


def test_load_segments_returns_them_by_id_with_defaults(tmp_path: Path) -> None:
    write(tmp_path, "viewers")
    write(tmp_path, "buyers", "  not: {segment: viewers}\n")
    (tmp_path / "notes.txt").write_text("not a rule")
    segments = load_segments(tmp_path)
    assert [segment.rule_version for segment in segments] == ["buyers@1", "viewers@1"]
    assert segments[1].definition() == {
        "id": "viewers",
        "name": "Rule",
        "version": 1,
        "owner": "crm",
        "description": "A rule.",
        "purpose": "marketing",
        "enabled": True,
        "where": {
            "count": {"event": ["product_view"], "within": "24 hours"},
            "more_than": 3.0,
        },
    }


def test_load_segments_without_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing: there is no such folder; set segments:"):
        load_segments(tmp_path / "missing")


def test_load_segments_refuses_one_id_twice(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (tmp_path / "b.yaml").write_text((tmp_path / "a.yml").read_text())
    with pytest.raises(ConfigError, match=r"b\.yaml: id: 'a' is taken by .*a\.yml; give one"):
        load_segments(tmp_path)


def test_load_segments_refuses_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "a", "  segment: b\n")
    write(tmp_path, "b", "  any: [{segment: c}, {feature: count_orders, equals: 1}]\n")
    write(tmp_path, "c", "  not: {segment: a}\n")
    with pytest.raises(
        ConfigError, match=r"in a circle: (a -> b -> c|b -> c -> a|c -> a -> b) -> "
    ):
        load_segments(tmp_path)


def test_load_segments_refuses_an_unknown_reference(tmp_path: Path) -> None:
    write(tmp_path, "a", "  segment: b\n")
    with pytest.raises(ConfigError, match=r"a\.yml: where: there is no segment 'b'; known: a"):
        load_segments(tmp_path)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("  coutn: {event: search}\n", "where: expected one condition, named by one of all, any"),
        ("  - segment: b\n", "where: expected one condition"),
        ("  all: []\n", "where.all: empty; add at least one"),
        (
            "  count: {event: bang, within: 1 day}\n  at_least: 1\n",
            "where.count.event[0]: there is no 'bang'; write 'page_view', ",
        ),
        (
            "  all:\n    - count: {event: product_views, within: 1 day}\n      at_least: 1\n",
            "where.all[0].count.event[0]: there is no 'product_views'; did you mean product_view?; docs",
        ),
        (
            "  count: {event: search, within: 1 week}\n  at_least: 1\n",
            "where.count.within: '1 week' is no time; write",
        ),
        ("  count: {event: search, within: 0 days}\n  at_least: 1\n", "where.count.within: "),
        ("  count: {event: search}\n  at_least: 1\n", "where.count.within: missing; add it"),
        ("  count: {event: search, within: 1 day}\n", "where: add one of more_than, at_least"),
        (
            "  count: {event: search, within: 1 day}\n  atleast: 1\n",
            "where.atleast: no such setting here; mend its spelling",
        ),
        ("  count: {event: search, within: 1 day}\n  at_least: '1'\n", "where.at_least: "),
        ("  count: {event: search, within: 1 day}\n  at_least: .nan\n", "where.at_least: "),
        ("  count: {event: search, within: 1 day}\n  equals: true\n", "where.equals: "),
        (
            "  count: {event: search, within: 1 day}\n  at_least: 1\n  more_than: 1\n",
            "where: write more_than or at_least, not both",
        ),
        (
            "  count: {event: search, within: 1 day}\n  at_least: 5\n  at_most: 4\n",
            "where: nothing lies between 5 and 4",
        ),
        (
            "  count: {event: search, within: 1 day, same: item}\n  at_most: 4\n",
            "where: with same: item a rule asks for one item with enough events",
        ),
        (
            "  count: {event: search, within: 1 day, same: item, distinct: item}\n  at_least: 4\n",
            "where.count: one item has one item",
        ),
        (
            "  count: {event: search, within: 1 day, filter: {}}\n  at_least: 4\n",
            "where.count.filter: add what to filter by",
        ),
        (
            "  count: {event: search, within: 1 day, filter: {category: 12}}\n  at_least: 4\n",
            "where.count.filter.category: ",
        ),
        ("  sequence: {first: search, within: 1 day}\n", "where.sequence: write either then"),
        (
            "  sequence: {first: search, then_not: purchase, within: 1 day}\n",
            "where.sequence: add after: how long to wait",
        ),
        (
            "  sequence: {first: search, then_not: purchase, after: 1 day, within: 24 hours}\n",
            "where.sequence: after is as long as within",
        ),
        (
            "  sequence: {first: search, then: purchase, after: 1 hour, within: 24 hours}\n",
            "where.sequence: after and still belong to then_not",
        ),
        (
            "  feature: days_since_lst_order\n  at_least: 90\n",
            "where.feature: there is no 'days_since_lst_order'; did you mean days_since_last_order?",
        ),
        ("  feature: rfm_segment\n  at_least: 90\n", "where: rfm_segment is not a number; use is"),
        ("  feature: count_orders\n  is: '1'\n", "where: count_orders is a number; compare it"),
        ("  feature: rfm_segment\n  is: [a, b]\n", "where.is: expected one text"),
        # YAML reads Norway's code as false.
        ("  attribute: country\n  is: NO\n", "where: country is a text; put the value in quotes"),
        ("  attribute: is_registered\n  is: 'yes'\n", "where: is_registered is yes or no; write"),
        ("  attribute: customer_id\n  is: '1'\n", "where.attribute: there is no 'customer_id'"),
        (f"{VIEWS}tests: []\n", "tests: no such setting here"),
        (f"{VIEWS}enabled: 'no'\n", "enabled: "),
        (f"{VIEWS}version: 0\n", "version: "),
        (f"{VIEWS}valid_from: 2026-02-01\nvalid_to: 2026-01-01\n", "file: valid_to lies before"),
    ],
)
def test_load_segments_names_file_and_setting(tmp_path: Path, where: str, message: str) -> None:
    file = write(tmp_path, "rule", where)
    with pytest.raises(ConfigError) as err:
        load_segments(tmp_path)
    assert f"reading {file}: {message}" in str(err.value)


@pytest.mark.parametrize("segment_id", ["Buyers", "1st", "a-b", "a b", "x'; drop table y"])
def test_load_segments_refuses_other_ids_than_snake_case(tmp_path: Path, segment_id: str) -> None:
    (tmp_path / "rule.yml").write_text(HEAD.format(id=f'"{segment_id}"') + VIEWS)
    with pytest.raises(ConfigError, match=r"rule\.yml: id: "):
        load_segments(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"id: [", "line 1: not valid YAML"),
        (b"just words", "expected settings by name"),
        (b"id: \xff", "not UTF-8 text"),
    ],
)
def test_load_segments_refuses_what_is_no_rule_file(
    tmp_path: Path, text: bytes, message: str
) -> None:
    (tmp_path / "rule.yml").write_bytes(text)
    with pytest.raises(ConfigError, match=message):
        load_segments(tmp_path)


def test_is_active_includes_both_ends_of_the_validity(tmp_path: Path) -> None:
    write(tmp_path, "sale", f"{VIEWS}valid_from: 2026-01-10\nvalid_to: 2026-01-12\n")
    (sale,) = load_segments(tmp_path)
    days = [day for day in range(8, 15) if sale.is_active(date(2026, 1, day))]
    assert days == [10, 11, 12]


def test_segment_schema_file_is_current() -> None:
    file = PROJECT_ROOT / "config" / "schemas" / "segment.schema.json"
    assert file.read_text() == segment_schema(), (
        "make it anew: python -m jobs.segments > config/schemas/segment.schema.json"
    )


def test_guide_lists_every_name_of_the_language() -> None:
    names = {*EVENT_TYPES, *ATTRIBUTES, *FEATURES, *FILTER_COLUMNS, *FILTER_BOUNDS}
    names |= {*CONDITION_KEYS[3:], *Segment.model_fields, *(f.stem for f in SHIPPED.glob("*.yml"))}
    listed = set(re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL)))
    # A feature that exists for each window is listed once.
    missing = {n for n in names if re.sub(r"_(1|7|14|30|90|365)d$", "_{w}d", n) not in listed}
    assert missing - listed == set()


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL))
def test_guide_shows_rules_that_load(tmp_path: Path, example: str) -> None:
    text = textwrap.dedent(example)
    head = "" if "id:" in text else HEAD.format(id="example").removesuffix("where:\n")
    (tmp_path / "example.yml").write_text(head + text)
    assert load_segment(tmp_path / "example.yml").references() in {
        (),
        ("cart_abandoned_10min",),
        ("lapsing_customers",),
    }


def test_event_types_are_those_of_the_sources() -> None:
    assert EVENT_TYPES == CANONICAL_EVENT_TYPES
    assert tuple(EVENT_WORDS) == EVENT_TYPES
