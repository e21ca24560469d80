import duckdb
import pytest

from jobs.sources import segment
from jobs.sources.entities import ENTITIES, EVENT_TYPES, IDENTIFIERS, VAULT_ONLY


def test_event_names_are_of_known_types():
    assert set(segment.EVENT_NAMES.values()) <= set(EVENT_TYPES)


def test_messages_are_of_known_types():
    values = ENTITIES["messages"].values
    assert {type_ for type_, _ in segment.MESSAGES.values()} <= set(values["message_type"])
    assert {medium for _, medium in segment.MESSAGES.values()} <= set(values["medium"])


@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
def test_layout_columns_are_those_of_the_tables(file_type):
    for part in segment.make_layout(file_type).parts:
        assert set(part.columns) <= set(ENTITIES[part.entity].told_columns)


@pytest.mark.parametrize(
    ("call", "event", "key"),
    [
        ("track", "Product Viewed", "product_viewed"),
        ("track", "product_viewed", "product_viewed"),
        ("track", "productViewed", "product_viewed"),
        ("track", " Products  Searched! ", "products_searched"),
        (None, "$pageview", "pageview"),
        ("Page", "ignored", "call:page"),
        ("identify", None, "call:identify"),
        ("track", "!!!", "!!!"),
        ("track", "商品を見た", "商品を見た"),
        ("track", None, None),
    ],
)
def test_event_key_writes_a_name_in_one_way(call, event, key):
    sql = segment.make_layout("jsonl").derived["event_key"]
    found = duckdb.execute(
        f"SELECT {sql} FROM (SELECT $call::VARCHAR AS call, $event::VARCHAR AS told_event)",
        {"call": call, "event": event},
    ).fetchone()

    assert found == (key,)


def test_make_layout_of_parquet_unpacks_properties_from_text():
    lines, columns = segment.make_layout("csv"), segment.make_layout("parquet")

    assert (lines.file_type, columns.file_type) == ("jsonl", "parquet")
    assert lines.fields["p_price"] == "properties.price"
    assert "p_price" not in columns.fields
    assert columns.derived["p_price"] == "json_extract_string(property_text, '$.\"price\"')"


def test_traits_that_name_a_person_are_read_for_pseudonyms_and_the_vault_only():
    layout = segment.make_layout("jsonl")
    hidden = {*IDENTIFIERS, *VAULT_ONLY}
    shown = " ".join(
        sql for part in layout.parts for name, sql in part.columns.items() if name not in hidden
    )

    assert "trait_text, '$.gender'" in shown
    assert not any(
        name in shown for name in ("$.email", "$.phone", "$.firstName", "$.lastName", "$.name'")
    )
    assert "$.street" not in str(layout)


@pytest.mark.parametrize(
    ("head", "is_segment"),
    [
        (['{"type":"track","event":"x","messageId":"m"}'], True),
        (['{"type":"page","anonymousId":"a"}'], True),
        (['{"event":"$pageview","distinct_id":"d","properties":{}}'], True),
        ({"event": "VARCHAR", "distinct_id": "VARCHAR", "properties": "VARCHAR"}, True),
        ({"type": "VARCHAR", "messageId": "VARCHAR"}, True),
        (['{"type":"track"}'], False),
        (['{"type":"click","messageId":"m"}'], False),
        (['{"event_name":"page_view","event_timestamp":1}'], False),
        ({"event": "VARCHAR"}, False),
        ([], False),
    ],
)
def test_recognises_by_its_fields(head, is_segment):
    assert segment.recognises("calls.json", head) is is_segment
