"""Segment, RudderStack and PostHog calls through the real loader."""

import json

import duckdb
import pytest

from tests.integration.sources.loading import SAMPLES, Load, counts

pytestmark = pytest.mark.integration

CALLS = SAMPLES / "segment/calls.jsonl"
POSTHOG = SAMPLES / "segment/posthog.jsonl"
ADA = "ada@example.com"
BROWSER, OTHER_BROWSER = (
    "01990000-0000-7000-8000-000000000001",
    "01990000-0000-7000-8000-000000000002",
)


@pytest.fixture
def load(settings, tmp_path):
    return Load(settings, tmp_path)


def test_segment_each_line_gives_its_records_or_a_reject(load):
    result = load(CALLS, name="web", format="segment")

    assert load.query(
        "SELECT line_number, event_type, timezone('UTC', occurred_at)::VARCHAR, anonymous_id, user_id, item_id, order_id "
        "FROM lake.raw.events ORDER BY line_number, event_id"
    ) == [
        (1, "page_view", "2026-01-02 08:00:00", "a-1", None, None, None),
        (2, "product_view", "2026-01-02 08:00:01", "a-1", None, "HAT", None),
        (3, "add_to_cart", "2026-01-02 08:00:02", "a-1", None, "SCARF", None),
        (5, "list_view", "2026-01-02 08:00:03", "a-1", None, None, None),
        (6, "search", "2026-01-02 08:00:04", "a-1", None, None, None),
        (7, "identify", "2026-01-02 08:00:05", "a-1", "C-1", None, None),
        (8, "identify", "2026-01-02 08:00:06", "a-0", "C-1", None, None),
        (9, "custom", "2026-01-02 08:00:07", "a-1", "C-1", None, None),
        (10, "purchase", "2026-01-02 08:00:08", "a-1", "C-1", "HAT", "T-1"),
        (10, "purchase", "2026-01-02 08:00:08", "a-1", "C-1", "SCARF", "T-1"),
        (11, "purchase", "2026-01-02 08:10:00", None, ADA, None, "T-2"),
        (12, "refund", "2026-01-02 09:00:00", None, "C-1", "SCARF", "T-1"),
        (13, "refund", "2026-01-02 09:10:00", None, ADA, None, "T-2"),
        (18, "custom", "2026-01-02 10:00:04", "a-1", None, None, None),
        (19, "custom", "2026-01-02 10:00:05", "a-1", None, None, None),
        (20, "identify", "2026-01-02 10:00:00", "r-1", "C-2", None, None),
        (21, "custom", "2026-01-02 11:00:02", "r-1", None, None, None),
        (22, "begin_checkout", "2026-01-02 11:00:03", "r-1", None, None, None),
        (26, "custom", "2026-01-02 11:00:06", "r-1", None, None, None),
    ]
    assert load.query(
        "SELECT line_number, entity, reason_code, reason FROM lake.raw.rejects ORDER BY 1"
    ) == [
        (
            17,
            "messages",
            "missing_field",
            "none of user_id, email, phone, anonymous_id has a value",
        ),
        (23, "events", "missing_field", "event_type is empty"),
        (24, "events", "bad_type", "occurred_at: expected a time"),
        (25, "events", "bad_type", "price: expected a number"),
        (27, "events", "malformed", "the line is not a record of this format"),
    ]
    assert counts(result) == (37, 31, 1, 5)


def test_segment_money_of_lines_and_orders(load):
    load(CALLS, name="web", format="segment")

    assert load.query(
        "SELECT line_number, item_id, price::DOUBLE, quantity::INT, discount::DOUBLE, currency, order_discount::DOUBLE, "
        "order_tax::DOUBLE, order_shipping::DOUBLE FROM lake.raw.events WHERE price IS NOT NULL "
        "ORDER BY line_number, event_id"
    ) == [
        (2, "HAT", 49.9, None, None, "EUR", None, None, None),
        (3, "SCARF", 20.0, 1, None, "EUR", None, None, None),
        # Of the transaction's discount of 15.00, the lines tell 10.00 themselves.
        (10, "HAT", 49.9, 2, 10.0, "EUR", 5.0, 8.5, 4.9),
        (10, "SCARF", 20.0, 1, None, "EUR", 5.0, 8.5, 4.9),
        # 67.30 in all, without 7.60 tax and 4.90 shipping, before 5.00 discount.
        (11, None, 59.8, 1, None, "EUR", 5.0, 7.6, 4.9),
        (12, "SCARF", 20.0, 1, None, "EUR", None, None, None),
        (13, None, 67.3, 1, None, "EUR", None, None, None),
    ]


def test_segment_context_of_calls(load):
    load(CALLS, name="web", format="segment")

    assert load.query(
        "SELECT line_number, timezone('UTC', received_at)::VARCHAR, session_id, title, category, brand, url_path, referrer, "
        "channel, campaign, device, consent_flags FROM lake.raw.events WHERE line_number IN (1, 2, 20) ORDER BY 1"
    ) == [
        (1, "2026-01-02 08:00:00.2", None, None, None, None, "/", "mail.example.com/inbox", "email", "winter", "mobile",
         "analytics=denied,marketing=granted"),
        (2, "2026-01-02 08:00:01.3", None, "Übergroße Mütze – «Polar» 🧢", "Clothes/Hats", "Nordic", "/hats/polar", None,
         None, None, "mobile", None),
        (20, "2026-01-02 10:00:00", "r-1.1767348000", None, None, None, None, None, None, None, None,
         "ads=denied,marketing=granted"),
    ]  # fmt: skip
    assert load.query(
        "SELECT line_number, bot_rule IS NOT NULL FROM lake.raw.events WHERE is_bot"
    ) == [(21, True)]
    assert [
        (line, json.loads(properties))
        for line, properties in load.query(
            "SELECT line_number, properties FROM lake.raw.events WHERE line_number IN (1, 5, 21, 26) ORDER BY 1"
        )
    ] == [
        (1, {"event_name": "page", "page_name": "Home"}),
        (5, {"event_name": "Product List Viewed", "list_name": "winter", "item_ids": ["HAT", "SCARF"]}),
        (21, {"event_name": "Quiz • Finished"}),
        (26, {"event_name": "商品を見た"}),
    ]  # fmt: skip


def test_segment_identify_gives_a_profile_without_names_and_addresses(load):
    load(CALLS, name="web", format="segment")

    assert load.query(
        "SELECT profile_record_id, user_id, country, region, birth_year, gender, loyalty_tier, "
        "timezone('UTC', signed_up_at)::VARCHAR, timezone('UTC', updated_at)::VARCHAR FROM lake.raw.profiles ORDER BY 1"
    ) == [
        ("web:m-06", "C-1", "DE", "BE", 1990, "female", None, "2023-11-14 22:13:20", "2026-01-02 08:00:05"),
        ("web:m-19", "C-2", "FR", None, None, None, "gold", None, "2026-01-02 10:00:00"),
    ]  # fmt: skip


def test_segment_consents_come_from_who_becomes_known_and_who_decides(load):
    load(CALLS, name="web", format="segment")

    assert load.query(
        "SELECT consent_id, user_id, anonymous_id, purpose, state, evidence FROM lake.raw.consents ORDER BY 1"
    ) == [
        ("web:m-06:1", "C-1", "a-1", "marketing", "granted", "identify"),
        ("web:m-06:2", "C-1", "a-1", "analytics", "denied", "identify"),
        ("web:m-18:1", None, "a-1", "marketing", "denied", "Segment Consent Preference Updated"),
        ("web:m-19:1", "C-2", "r-1", "marketing", "granted", "identify"),
        ("web:m-19:2", "C-2", "r-1", "ads", "denied", "identify"),
    ]


def test_segment_messages_and_experiments_have_tables_of_their_own(load):
    load(CALLS, name="web", format="segment")

    assert load.query(
        "SELECT message_event_id, message_type, medium, user_id, anonymous_id, message_id, campaign, url_path "
        "FROM lake.raw.messages ORDER BY 1"
    ) == [
        ("web:m-13", "open", "email", "C-1", None, "e-1", "winter", None),
        ("web:m-14", "click", "email", "C-1", None, "e-1", "w", "/hats"),
        ("web:m-15", "open", "push", None, "a-1", None, None, None),
    ]
    assert load.query(
        "SELECT exposure_id, experiment_id, variant_id, anonymous_id FROM lake.raw.exposures"
    ) == [("web:m-17", "button", "green", "a-1")]


def test_segment_calls_told_again_change_nothing(load, tmp_path):
    load(CALLS, name="web", format="segment")
    copy = tmp_path / "1568274559000.1.2.3.gz.fdc9"  # Segment's own files have no telling name
    copy.write_text(CALLS.read_text().replace('"properties":{}', '"properties": {}'))

    result = load(copy, name="web", format="segment")

    assert result.loaded == 0
    assert load.query("SELECT count(*) FROM lake.raw.consents") == [(5,)]


def _posthog_rows(load):
    return load.query(
        "SELECT event_id, event_type, anonymous_id, user_id, session_id, item_id, price::DOUBLE, order_id, url_path, channel, "
        "device, country FROM lake.raw.events ORDER BY 1"
    )


POSTHOG_ROWS = [
    ("web:0190-01", "page_view", BROWSER, None, "s-1", None, None, None, "/hats/", "cpc", "desktop", "DE"),
    ("web:0190-02", "product_view", BROWSER, None, "s-1", "HAT", 49.9, None, None, None, None, None),
    ("web:0190-03", "identify", BROWSER, ADA, None, None, None, None, None, None, None, None),
    ("web:0190-04:1", "purchase", BROWSER, ADA, "s-1", "HAT", 49.9, "T-1", None, None, None, None),
    # A server knows whom it tells of; an id that was drawn by chance is a browser's.
    ("web:0190-05", "refund", None, "C-9", None, None, 49.9, "T-1", None, None, None, None),
    ("web:0190-06", "custom", None, "C-9", None, None, None, None, None, None, None, None),
    ("web:0190-07", "custom", None, "C-9", None, None, None, None, None, None, None, None),
    ("web:0190-08", "custom", OTHER_BROWSER, None, None, None, None, None, None, None, None, None),
    ("web:0190-09", "identify", OTHER_BROWSER, "C-9", None, None, None, None, None, None, None, None),
]  # fmt: skip


def test_posthog_events_tell_browsers_from_persons(load):
    result = load(POSTHOG, name="web", format="segment")

    assert counts(result) == (11, 11, 0, 0)
    assert _posthog_rows(load) == POSTHOG_ROWS
    assert load.query(
        "SELECT exposure_id, experiment_id, variant_id, user_id FROM lake.raw.exposures"
    ) == [("web:0190-06", "button", "green", "C-9")]
    assert load.query("SELECT user_id, country FROM lake.raw.profiles") == [(ADA, "DE")]


def test_posthog_parquet_holds_properties_as_text(load, tmp_path):
    path = tmp_path / "events.parquet"
    duckdb.sql(
        f"""
        COPY (
            SELECT json_extract_string(line, '$.uuid') AS uuid, json_extract_string(line, '$.event') AS event,
                json_extract_string(line, '$.distinct_id') AS distinct_id,
                json_extract(line, '$.properties')::VARCHAR AS properties,
                json_extract_string(line, '$.timestamp')::TIMESTAMPTZ AS "timestamp"
            FROM read_csv('{POSTHOG}', columns = {{line: 'VARCHAR'}}, delim = '\x1f', quote = '', header = false)
        ) TO '{path}' (FORMAT parquet)
        """
    )

    result = load(path, name="web", format="segment")

    assert counts(result) == (11, 11, 0, 0)
    assert _posthog_rows(load) == POSTHOG_ROWS
