"""GA4 exports through the real loader: items as rows, days that are written anew, JSON lines and Parquet alike."""

import json
import shutil

import duckdb
import pytest

from tests.integration.sources.loading import SAMPLES, Load, counts

pytestmark = pytest.mark.integration

DAY = SAMPLES / "ga4/events_20260102.jsonl"
ADA = "ada@example.com"
# All that an event says, without where it was read and without its id.
SAID = "SELECT * EXCLUDE (event_id, file_id, line_number) FROM lake.raw.events ORDER BY ALL"

# Types as BigQuery writes them into Parquet.
VALUE = "STRUCT(string_value VARCHAR, int_value BIGINT, float_value DOUBLE, double_value DOUBLE)"
PARAMS = f'STRUCT("key" VARCHAR, "value" {VALUE})[]'
ITEM = (
    "STRUCT(item_id VARCHAR, item_name VARCHAR, item_brand VARCHAR, item_variant VARCHAR, item_category VARCHAR, "
    "item_category2 VARCHAR, item_category3 VARCHAR, price_in_usd DOUBLE, price DOUBLE, quantity BIGINT, "
    "item_revenue DOUBLE, item_refund DOUBLE, coupon VARCHAR, item_list_name VARCHAR, item_list_index VARCHAR, "
    f"item_params {PARAMS})"
)
COLUMNS = {
    "event_date": "VARCHAR",
    "event_timestamp": "BIGINT",
    "event_name": "VARCHAR",
    "event_params": PARAMS,
    "event_bundle_sequence_id": "BIGINT",
    "user_id": "VARCHAR",
    "user_pseudo_id": "VARCHAR",
    "privacy_info": "STRUCT(analytics_storage VARCHAR, ads_storage VARCHAR)",
    "device": "STRUCT(category VARCHAR)",
    "geo": "STRUCT(country VARCHAR, region VARCHAR)",
    "traffic_source": 'STRUCT("name" VARCHAR, medium VARCHAR, source VARCHAR)',
    "collected_traffic_source": "STRUCT(manual_campaign_name VARCHAR, manual_medium VARCHAR)",
    "platform": "VARCHAR",
    "ecommerce": (
        "STRUCT(transaction_id VARCHAR, purchase_revenue DOUBLE, refund_value DOUBLE, tax_value DOUBLE, shipping_value DOUBLE)"
    ),
    "items": f"{ITEM}[]",
    "batch_page_id": "BIGINT",
    "batch_ordering_id": "BIGINT",
    "batch_event_index": "BIGINT",
}


@pytest.fixture
def load(settings, tmp_path):
    return Load(settings, tmp_path)


def _typed_lines(path):
    """The lines of the sample day that nested columns can hold: those with its known oddities of type left out."""
    lines = [json.loads(line) for line in DAY.read_text().splitlines()[:21]]
    good = [
        line
        for line in lines
        if isinstance(line.get("items", []), list)
        and isinstance(line.get("event_params", []), list)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in good))
    return len(good)


def _write_parquet(json_path, parquet_path, replaced=""):
    columns = ", ".join(f"'{name}': '{type_}'" for name, type_ in COLUMNS.items())
    duckdb.sql(
        f"COPY (SELECT * {replaced} FROM read_json('{json_path}', columns = {{{columns}}}, format = 'newline_delimited')) "
        f"TO '{parquet_path}' (FORMAT parquet)"
    )


def test_ga4_each_line_gives_its_events_or_a_reject(load):
    result = load(DAY, name="web", format="ga4")

    assert counts(result) == (29, 23, 2, 4)
    assert load.query(
        "SELECT line_number, event_type, timezone('UTC', occurred_at)::VARCHAR, anonymous_id, user_id, session_id, item_id, "
        "order_id FROM lake.raw.events ORDER BY line_number, event_id"
    ) == [
        (1, "custom", "2026-01-02 08:00:00.000001", "100.1", None, "100.1.1001", None, None),
        (2, "custom", "2026-01-02 08:00:00.000001", "100.1", None, "100.1.1001", None, None),
        (3, "page_view", "2026-01-02 08:00:01", "100.1", None, "100.1.1001", None, None),
        (4, "list_view", "2026-01-02 08:00:02", "100.1", None, "100.1.1001", None, None),
        (5, "custom", "2026-01-02 08:00:03", "100.1", None, "100.1.1001", "HAT", None),
        (6, "product_view", "2026-01-02 08:00:04", "100.1", None, "100.1.1001", "HAT", None),
        (7, "add_to_cart", "2026-01-02 08:00:05", "100.1", None, "100.1.1001", "HAT", None),
        (9, "begin_checkout", "2026-01-02 08:00:06", "100.1", None, "100.1.1001", None, None),
        (10, "purchase", "2026-01-02 08:00:07", "100.1", "C-1", "100.1.1001", "HAT", "T-1"),
        (10, "purchase", "2026-01-02 08:00:07", "100.1", "C-1", "100.1.1001", "SCARF", "T-1"),
        # Two events of one batch have one time; without batch numbers their items tell them apart.
        (11, "product_view", "2026-01-02 09:00:00", "200.2", None, "200.2.2001", "HAT", None),
        (12, "product_view", "2026-01-02 09:00:00", "200.2", None, "200.2.2001", "GLOVE", None),
        (13, "purchase", "2026-01-02 09:00:01", "200.2", ADA, "200.2.2001", None, "T-2"),
        (14, "purchase", "2026-01-02 09:00:02", "200.2", None, None, None, None),
        (15, "purchase", "2026-01-02 09:00:03", "200.2", None, None, "GLOVE", "T-3"),
        (16, "refund", "2026-01-02 11:00:00", "100.1", None, None, "SCARF", "T-1"),
        (17, "refund", "2026-01-02 11:00:01", "200.2", None, None, None, "T-2"),
        (18, "custom", "2026-01-02 11:00:02", "200.2", None, None, None, None),
        (19, "search", "2026-01-02 11:00:03", "200.2", None, None, None, None),
        (20, "page_view", "2026-01-02 11:00:04", None, None, None, None, None),
        (21, "login", "2026-01-02 11:00:05", "200.2", "C-2", None, None, None),
    ]
    assert load.query(
        "SELECT line_number, entity, reason_code, reason FROM lake.raw.rejects ORDER BY 1"
    ) == [
        (22, "events", "missing_field", "occurred_at is empty"),
        (23, "events", "out_of_range", "price is below 0"),
        (24, "events", "malformed", "the line is not a record of this format"),
        (25, "events", "malformed", "the line is not a record of this format"),
    ]


def test_ga4_money_is_before_discounts_and_in_its_currency(load):
    load(DAY, name="web", format="ga4")

    assert load.query(
        "SELECT line_number, item_id, price::DOUBLE, quantity::INT, discount::DOUBLE, currency, order_tax::DOUBLE, "
        "order_shipping::DOUBLE FROM lake.raw.events WHERE price IS NOT NULL ORDER BY line_number, event_id"
    ) == [
        (6, "HAT", 49.9, None, None, "EUR", None, None),
        (7, "HAT", 49.9, 2, None, "EUR", None, None),
        # 44.90 were paid for each of two hats, 5.00 below their price.
        (10, "HAT", 49.9, 2, 10.0, "EUR", 17.53, 4.9),
        (10, "SCARF", 20.0, 1, None, "EUR", 17.53, 4.9),
        (11, "HAT", 49.9, None, None, None, None, None),
        (12, "GLOVE", 15.0, None, None, None, None, None),
        (13, None, 59.8, 1, None, "EUR", None, None),
        (15, "GLOVE", 16.5, 1, None, "USD", None, None),
        (16, "SCARF", 20.0, 1, None, "EUR", None, None),
        (17, None, 59.8, 1, None, "EUR", None, None),
    ]


def test_ga4_context_is_kept_without_placeholders_and_addresses(load):
    load(DAY, name="web", format="ga4")

    assert load.query(
        "SELECT line_number, url_path, referrer, search_query, channel, campaign, device, country, region, consent_flags "
        "FROM lake.raw.events WHERE line_number IN (1, 3, 19, 20) ORDER BY 1"
    ) == [
        (1, None, None, None, "direct", None, "mobile", "Germany", "Berlin", "analytics=granted,ads=denied"),
        (3, "/winter/", "mail.example.com/inbox", None, "email", "winter", "mobile", "Germany", None, None),
        (19, "/", None, "wool hat", None, None, None, None, None, None),
        (20, "/account/[e-mail]/orders", None, None, None, None, None, None, None, "analytics=denied,ads=denied"),
    ]  # fmt: skip
    assert load.query(
        "SELECT line_number, title, category, brand FROM lake.raw.events WHERE line_number = 6"
    ) == [(6, "Übergroße Mütze – «Polar» 🧢", "Clothes/Hats", "Nordic")]
    assert [
        (line, json.loads(properties))
        for line, properties in load.query(
            "SELECT line_number, properties FROM lake.raw.events WHERE line_number IN (4, 5, 9, 10, 18) "
            "ORDER BY line_number, event_id"
        )
    ] == [
        (4, {"event_name": "view_item_list", "list_name": "Winter", "item_ids": ["HAT", "SCARF"]}),
        (5, {"event_name": "select_item", "list_name": "Winter", "list_position": "2"}),
        (9, {"event_name": "begin_checkout", "item_ids": ["HAT", "SCARF"]}),
        (10, {"event_name": "purchase", "coupon": "WINTER"}),
        (10, {"event_name": "purchase", "coupon": "WINTER"}),
        (18, {"event_name": "quiz_finished", "percent_scrolled": "90"}),
    ]


def test_ga4_consent_mode_is_a_decision_of_each_visit(load):
    load(DAY, name="web", format="ga4")

    # The second event of the visit, at the same instant, tells one of them again.
    assert load.query(
        "SELECT anonymous_id, user_id, purpose, state, evidence, timezone('UTC', recorded_at)::VARCHAR "
        "FROM lake.raw.consents ORDER BY purpose"
    ) == [
        ("100.1", None, "ads", "denied", "privacy_info", "2026-01-02 08:00:00.000001"),
        ("100.1", None, "analytics", "granted", "privacy_info", "2026-01-02 08:00:00.000001"),
    ]


@pytest.mark.parametrize("list_element", ["", "element", "item"])
def test_ga4_parquet_says_what_json_lines_say(settings, tmp_path, list_element):
    json_path, parquet_path = (
        tmp_path / "events_20260102.jsonl",
        tmp_path / "events_20260102.parquet",
    )
    wrapped = ", ".join(
        f"{{'list': list_transform({name}, lambda x: {{'{list_element}': x}})}} AS {name}"
        for name in ("event_params", "items")
    )
    count = _typed_lines(json_path)
    _write_parquet(json_path, parquet_path, f"REPLACE ({wrapped})" if list_element else "")
    of_json, of_parquet = (
        Load(settings, tmp_path),
        Load(settings.model_copy(update={"data_dir": tmp_path / "other"}), tmp_path),
    )
    of_json(json_path, name="web", format="ga4")

    of_parquet(parquet_path, name="web", format="ga4")

    assert count == 19
    assert len(of_parquet.query(SAID)) == 19  # one line comes twice, one gives two rows
    assert of_parquet.query(SAID) == of_json.query(SAID)


def test_ga4_day_replaces_what_was_known_during_the_day(load, tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    shutil.copy(SAMPLES / "ga4/events_intraday_20260103.jsonl", folder)
    first = load(folder, name="web", format="ga4")
    shutil.copy(SAMPLES / "ga4/events_20260103.jsonl", folder)

    second = load(folder, name="web", format="ga4")
    third = load(folder, name="web", format="ga4")

    assert counts(first) == (2, 2, 0, 0)
    assert (counts(second), second.withdrawn) == ((3, 3, 0, 0), 2)
    assert counts(third) == (0, 0, 0, 0)
    assert load.query("SELECT count(*), count(country) FROM lake.raw.events") == [(3, 3)]


def test_ga4_day_that_is_written_anew_has_only_its_new_rows(load, tmp_path):
    path = tmp_path / "events_20260103"  # a table's files need no ending
    path.write_bytes((SAMPLES / "ga4/events_20260103.jsonl").read_bytes())
    load(path, name="web", format="ga4")
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")

    result = load(path, name="web", format="ga4")

    assert result.withdrawn == 3
    assert load.query("SELECT event_type, country FROM lake.raw.events ORDER BY occurred_at") == [
        ("product_view", "Germany"),
        ("page_view", "France"),
    ]


def test_ga4_purchases_of_the_merchandise_store_are_complete(load, tmp_path, real_data):
    flat = real_data / "ga4_merch_store_purchases/purchase_items.parquet"
    duckdb.sql(
        f"""
        COPY (
            SELECT event_date, event_timestamp, 'purchase' AS event_name, user_pseudo_id,
                {{'country': any_value(country), 'region': any_value(region)}} AS geo,
                list({{'item_id': item_id, 'item_name': item_name, 'item_revenue': item_revenue_in_usd, 'quantity': quantity}}) AS items
            FROM '{flat}' GROUP BY ALL ORDER BY event_timestamp
        ) TO '{tmp_path}/events_20210131.parquet'
        """
    )

    result = load(tmp_path / "events_20210131.parquet", name="web", format="ga4", currency="USD")

    assert counts(result) == (16003, 16003, 0, 0)
    assert load.query(
        "SELECT count(DISTINCT (anonymous_id, occurred_at)), count(DISTINCT anonymous_id), "
        "round(sum(price * quantity))::INT, count(*) FILTER (item_id IS NULL) FROM lake.raw.events"
    ) == [(5690, 4418, 362110, 448)]


ODD_VALUES = [None, "", " ", "x", "-1", "1e400", 3, -2.5, True, [], {}, [None], [[]], [3, "x"], {"list": 3}, {"a": {"b": []}},
              [{}], [{"key": 1, "value": "x"}], [{"key": {}, "value": []}], '{"a"', "[1", "😀" * 50]  # fmt: skip


def _replacements(record):
    """The record with each of its values, at whatever depth, replaced by each odd value."""
    for name, value in record.items():
        for odd in ODD_VALUES:
            yield {**record, name: odd}
        if isinstance(value, dict):
            yield from ({**record, name: inner} for inner in _replacements(value))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from ({**record, name: [inner, *value[1:]]} for inner in _replacements(value[0]))


@pytest.mark.parametrize(
    ("format_", "sample", "lines"),
    [
        ("ga4", "ga4/events_20260102.jsonl", (0, 9)),
        ("segment", "segment/calls.jsonl", (1, 9)),
        ("segment", "segment/posthog.jsonl", (1, 2)),
        ("snowplow", "snowplow/enriched.jsonl", (4, 9)),
    ],
)
def test_values_of_any_type_are_loaded_or_rejected(load, tmp_path, format_, sample, lines):
    records = (SAMPLES / sample).read_text().splitlines()
    odd = [each for line in lines for each in _replacements(json.loads(records[line]))]
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in odd))

    result = load(path, name="web", format=format_, max_reject_rate=1)

    assert result.loaded + result.duplicates + result.rejected == result.rows
    assert result.rows >= len(odd) > 400
    assert set(result.reasons) <= {"missing_field", "bad_type", "out_of_range", "unknown_currency", "time_in_future",
                                   "time_before_start"}  # fmt: skip
