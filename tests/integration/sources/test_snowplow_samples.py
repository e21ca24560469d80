"""Snowplow's enriched events through the real loader: tab-separated lines, the SDKs' JSON and Parquet say the same."""

import json

import duckdb
import pytest

from tests.integration.sources.loading import SAMPLES, Load, counts

pytestmark = pytest.mark.integration

LINES = SAMPLES / "snowplow/enriched.tsv"
OBJECTS = SAMPLES / "snowplow/enriched.jsonl"
ADA = "ada@example.com"
SAID = (
    "SELECT * EXCLUDE (file_id, line_number) FROM lake.raw.{} WHERE line_number < 23 ORDER BY ALL"
)


@pytest.fixture
def load(settings, tmp_path):
    return Load(settings, tmp_path)


@pytest.fixture
def load_elsewhere(settings, tmp_path):
    return Load(settings.model_copy(update={"data_dir": tmp_path / "elsewhere"}), tmp_path)


def test_snowplow_each_line_gives_its_events_or_a_reject(load):
    result = load(LINES, name="web", format="snowplow")

    assert counts(result) == (31, 27, 1, 3)
    assert load.query(
        "SELECT line_number, event_type, anonymous_id, user_id, session_id, item_id, order_id "
        "FROM lake.raw.events ORDER BY line_number, event_id"
    ) == [
        (1, "page_view", "d-1", None, "s-1", None, None),
        (2, "custom", "d-1", None, "s-1", None, None),
        (3, "list_view", "d-1", None, "s-1", None, None),
        (4, "product_view", "d-1", None, "s-1", "HAT", None),
        (5, "add_to_cart", "d-1", None, "s-1", "HAT", None),
        (7, "begin_checkout", "d-1", None, "s-1", None, None),
        (8, "custom", "d-1", None, "s-1", None, None),
        (9, "purchase", "d-1", "C-1", "s-1", "HAT", "T-1"),
        (9, "purchase", "d-1", "C-1", "s-1", "SCARF", "T-1"),
        (10, "purchase", "n-2", ADA, None, None, "T-2"),
        (11, "refund", "d-1", "C-1", "s-1", "SCARF", "T-1"),
        (12, "refund", "d-1", None, "s-1", None, "T-2"),
        (13, "custom", "d-1", None, "s-1", None, "T-9"),
        (14, "purchase", "d-1", None, "s-1", "GLOVE", "T-9"),
        (15, "add_to_cart", "d-1", None, "s-1", None, None),
        (16, "custom", "d-1", None, "s-1", None, None),
        (17, "add_to_cart", "d-1", None, "s-1", "GLOVE", None),
        (18, "search", "d-1", None, "s-1", None, None),
        (19, "custom", "d-1", None, "s-1", None, None),
        (20, "custom", "d-1", None, "s-1", None, None),
        (21, "custom", "d-1", None, "s-1", None, None),
        (22, "custom", "phone-1", None, "phone-s-1", None, None),
        (23, "page_view", "d-1", None, "s-1", None, None),
    ]
    assert load.query(
        "SELECT line_number, entity, reason_code, reason FROM lake.raw.rejects ORDER BY 1"
    ) == [
        (24, "events", "bad_type", "occurred_at: expected a time"),
        (25, "events", "malformed", "the line is not a record of this format (missing columns)"),
        (26, "events", "malformed", "the line is not a record of this format (too many columns)"),
    ]


def test_snowplow_money_of_entities_and_of_the_first_ecommerce_events(load):
    load(LINES, name="web", format="snowplow")

    assert load.query(
        "SELECT line_number, item_id, price::DOUBLE, quantity::INT, currency, order_discount::DOUBLE, order_tax::DOUBLE, "
        "order_shipping::DOUBLE FROM lake.raw.events WHERE price IS NOT NULL OR order_tax IS NOT NULL "
        "ORDER BY line_number, event_id"
    ) == [
        (4, "HAT", 44.9, 2, "EUR", None, None, None),
        (5, "HAT", 44.9, 2, "EUR", None, None, None),
        (9, "HAT", 44.9, 2, "EUR", 5.0, 8.5, 4.9),
        (9, "SCARF", 20.0, None, "EUR", 5.0, 8.5, 4.9),
        # 67.30 were paid, with 7.60 tax and 4.90 shipping, after 5.00 discount.
        (10, None, 59.8, 1, "EUR", 5.0, 7.6, 4.9),
        (11, "SCARF", 20.0, 1, "EUR", None, None, None),
        (12, None, 54.8, 1, "EUR", None, None, None),
        (13, None, None, None, "EUR", None, 1.5, 1.0),
        (14, "GLOVE", 3.5, 2, "EUR", None, None, None),
        (17, "GLOVE", 3.5, 2, "EUR", None, None, None),
    ]


def test_snowplow_context_of_events(load):
    load(LINES, name="web", format="snowplow")

    assert load.query(
        "SELECT line_number, timezone('UTC', occurred_at)::VARCHAR, timezone('UTC', received_at)::VARCHAR, title, category, "
        "brand, search_query, url_path, referrer, channel, campaign, device, country, region, is_bot "
        "FROM lake.raw.events WHERE line_number IN (1, 4, 18, 22) ORDER BY 1"
    ) == [
        (1, "2026-01-02 08:00:00.123", "2026-01-02 08:00:00.9", None, None, None, None, "/winter/", "mail.example.com/inbox",
         "email", "winter", "desktop", "DE", "BE", False),
        (4, "2026-01-02 08:00:03.123", "2026-01-02 08:00:03.9", "Übergroße Mütze – «Polar» 🧢", "Clothes/Hats", "Nordic",
         None, None, "www.google.com", "search", None, "desktop", "DE", "BE", False),
        (18, "2026-01-02 08:00:16.123", "2026-01-02 08:00:16.9", None, None, None, "wool hat", None, None, None, None,
         "desktop", "DE", "BE", False),
        (22, "2026-01-02 08:00:20.123", "2026-01-02 08:00:20.9", None, None, None, None, None, None, None, None, "mobile",
         "DE", "BE", True),
    ]  # fmt: skip
    vendor = "com.snowplowanalytics.snowplow.ecommerce"
    assert [
        (line, json.loads(properties))
        for line, properties in load.query(
            "SELECT line_number, properties FROM lake.raw.events WHERE line_number IN (3, 4, 8, 15) ORDER BY 1"
        )
    ] == [
        (3, {"event_name": "list_view", "event_vendor": vendor, "app_id": "shop", "platform": "web", "list_name": "Winter",
             "item_ids": ["HAT", "SCARF"]}),
        (4, {"event_name": "product_view", "event_vendor": vendor, "app_id": "shop", "platform": "web", "list_position": "1",
             "list_price": "49.9", "variant": "blue", "page_type": "product"}),
        (8, {"event_name": "checkout_step", "event_vendor": vendor, "app_id": "shop", "platform": "web",
             "checkout_step": "2"}),
        (15, {"event_name": "event", "app_id": "shop", "platform": "web", "se_category": "shop",
              "se_action": "Add-to-Basket", "se_label": "GLOVE", "se_property": "pcs", "se_value": "2"}),
    ]  # fmt: skip


def test_snowplow_consents_are_rows_of_their_scopes(load):
    load(LINES, name="web", format="snowplow")

    assert load.query(
        "SELECT line_number, anonymous_id, purpose, state, evidence, timezone('UTC', recorded_at)::VARCHAR "
        "FROM lake.raw.consents ORDER BY consent_id"
    ) == [
        (19, "d-1", "marketing", "granted", "consent_preferences", "2026-01-02 08:00:17.123"),
        (19, "d-1", "analytics", "granted", "consent_preferences", "2026-01-02 08:00:17.123"),
        (20, "d-1", "all", "denied", "consent_preferences", "2026-01-02 08:00:18.123"),
        (21, "d-1", "marketing", "withdrawn", "consent_withdrawn", "2026-01-02 08:00:19.123"),
    ]


def test_snowplow_ip_addresses_are_not_read(load):
    load(LINES, name="web", format="snowplow")

    for table in ("events", "consents"):
        assert load.query(
            f"SELECT count(*) FROM lake.raw.{table} AS t WHERE contains(t::VARCHAR, '192.0.2.1')"
        ) == [(0,)]


def test_snowplow_json_of_the_sdk_says_what_the_lines_say(load, load_elsewhere):
    load(LINES, name="web", format="snowplow")

    result = load_elsewhere(OBJECTS, name="web", format="snowplow")

    assert counts(result) == (28, 26, 1, 1)
    assert load_elsewhere.query(SAID.format("events")) == load.query(SAID.format("events"))
    assert load_elsewhere.query(SAID.format("consents")) == load.query(SAID.format("consents"))


def test_snowplow_parquet_says_what_the_lines_say(load, load_elsewhere, tmp_path):
    duckdb.sql(
        f"COPY (SELECT * FROM read_json('{OBJECTS}', ignore_errors = true)) TO '{tmp_path}/enriched.parquet'"
    )
    load(LINES, name="web", format="snowplow")

    load_elsewhere(tmp_path / "enriched.parquet", name="web", format="snowplow")

    assert len(load_elsewhere.query(SAID.format("events"))) == 22
    assert load_elsewhere.query(SAID.format("events")) == load.query(SAID.format("events"))
    assert load_elsewhere.query(SAID.format("consents")) == load.query(SAID.format("consents"))
