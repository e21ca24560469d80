import pytest

from jobs.sources import snowplow
from jobs.sources.entities import ENTITIES, EVENT_TYPES


def test_columns_are_the_131_of_the_canonical_event_in_their_order():
    assert len(snowplow.COLUMNS) == len(set(snowplow.COLUMNS)) == 131
    # Counted from 0, as the analytics SDK lists them.
    places = {"event": 5, "event_id": 6, "user_id": 12, "domain_userid": 15, "page_url": 29, "contexts": 52, "se_action": 54,
              "unstruct_event": 58, "ti_sku": 68, "useragent": 77, "dvce_type": 101, "tr_currency": 108,
              "derived_contexts": 122, "derived_tstamp": 124, "event_name": 126, "true_tstamp": 130}  # fmt: skip
    assert {name: snowplow.COLUMNS.index(name) for name in places} == places


def test_event_names_are_of_known_types():
    assert set(snowplow.EVENT_NAMES.values()) <= set(EVENT_TYPES)


def test_structured_events_never_make_orders():
    types = {type_ for name, type_ in snowplow.EVENT_NAMES.items() if name.startswith("struct:")}

    assert types & {"purchase", "refund"} == set()
    assert "add_to_cart" in types


@pytest.mark.parametrize("file_type", ["csv", "jsonl", "parquet"])
def test_layout_columns_are_those_of_the_tables(file_type):
    layout = snowplow.make_layout(file_type)

    assert layout.file_type == file_type
    for part in layout.parts:
        assert set(part.columns) <= set(ENTITIES[part.entity].columns)


@pytest.mark.parametrize("file_type", ["csv", "jsonl"])
def test_layout_reads_no_ip_address(file_type):
    assert "user_ipaddress" not in snowplow.make_layout(file_type).fields.values()


def test_layout_of_json_reads_the_columns_of_entities():
    fields = snowplow.make_layout("jsonl").fields

    assert fields["told_products"] == "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"
    assert "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1" in fields.values()  # fmt: skip


@pytest.mark.parametrize(
    ("head", "is_snowplow"),
    [
        (["\t" * 130], True),
        (['{"app_id":"shop","event_id":"e","collector_tstamp":"2026-01-02T08:00:00Z"}'], True),
        ({"event_id": "VARCHAR", "collector_tstamp": "TIMESTAMP"}, True),
        (["\t" * 129], False),
        (['{"event_id":"e"}'], False),
        ([], False),
        ({"event_id": "VARCHAR"}, False),
    ],
)
def test_recognises_by_its_columns(head, is_snowplow):
    assert snowplow.recognises("part-00000.gz", head) is is_snowplow
