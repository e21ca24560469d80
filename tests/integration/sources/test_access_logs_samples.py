"""Access logs through the real loader: what each request becomes, and what is no request."""

import pytest

from tests.integration.sources.loading import SAMPLES, Load, counts

pytestmark = pytest.mark.integration

RULES = [
    {"path": "^/product/(?P<item_id>[^/]+)$", "event_type": "product_view"},
    {"path": "^/category/(?P<category>[^/]+)", "event_type": "list_view", "method": "get"},
    {"path": "^/search", "event_type": "search"},
    {"path": "^/cart/add/(?P<item_id>[^/]+)", "event_type": "add_to_cart", "method": "POST"},
    {
        "path": r"^/checkout/done\?.*order=(?P<order_id>[^&]+)",
        "event_type": "purchase",
        "method": "POST",
    },
]
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)


@pytest.fixture
def load(settings, tmp_path):
    return Load(settings, tmp_path)


def test_combined_log_each_line_is_an_event_or_a_reject(load):
    result = load(SAMPLES / "access_logs/combined.log", format="access_log", rules=RULES)

    assert counts(result) == (22, 20, 0, 2)
    assert load.query(
        "SELECT line_number, event_type, url_path, coalesce(item_id, category, order_id, search_query) "
        "FROM lake.raw.events ORDER BY 1"
    ) == [
        (1, "page_view", "/", None),
        (2, "custom", "/static/site.css", None),
        (3, "product_view", "/product/sku-1", "sku-1"),
        (4, "product_view", "/product/sku-1", "sku-1"),
        (5, "custom", "/product/sku-1", None),
        (6, "custom", "/product/gone", None),
        (7, "list_view", "/category/caf%C3%A9-table", "café-table"),
        (8, "list_view", "/category/caf%E9", "caf%E9"),
        (9, "search", "/search", "grüne lampe"),
        (10, "add_to_cart", "/cart/add/sku-1", "sku-1"),
        (11, "purchase", "/checkout/done", "A-17"),
        (12, "custom", "/checkout/done", None),
        (13, "product_view", "/product/sku-2", "sku-2"),
        (14, "page_view", "/", None),
        (15, "product_view", "/product/sku-3", "sku-3"),
        (16, "product_view", "/product/sku-1", "sku-1"),
        (17, "product_view", "/product/sku-1", "sku-1"),
        (18, "custom", None, None),
        (19, "custom", None, None),
        (20, "product_view", "/product/sku-4", "sku-4"),
    ]
    assert load.query(
        "SELECT line_number, reason_code, reason FROM lake.raw.rejects ORDER BY 1"
    ) == [
        (21, "bad_type", "occurred_at: expected a time"),
        (22, "malformed", "the line is not a record of this format"),
    ]


def test_combined_log_who_when_and_whence(load):
    load(SAMPLES / "access_logs/combined.log", format="access_log", rules=RULES)

    assert load.query(
        "SELECT line_number, timezone('UTC', occurred_at)::VARCHAR, channel, campaign, referrer, device, is_bot, bot_rule "
        "FROM lake.raw.events WHERE line_number IN (1, 3, 13, 15, 16, 17, 18) ORDER BY 1"
    ) == [
        (1, "2026-06-01 08:00:00", None, None, "https://search.example.com/find", "desktop", False, None),
        (3, "2026-06-01 08:00:20", "email", "summer sale 2026", None, "desktop", False, None),
        (13, "2026-06-01 08:04:00", None, None, None, "mobile", False, None),
        (15, "2026-06-01 08:05:00", None, None, None, "tablet", False, None),
        (16, "2026-06-01 08:06:00", None, None, None, "desktop", False, None),
        (17, "2026-06-01 08:07:00", None, None, None, None, True, "user_agent"),
        (18, "2026-06-01 08:08:00", None, None, None, None, False, None),
    ]  # fmt: skip
    ids = dict(load.query("SELECT line_number, anonymous_id FROM lake.raw.events"))
    assert ids[1] == f"203.0.113.7 {WINDOWS}"
    assert ids[13] == ids[14]  # the address behind the proxy, whatever its port
    assert len(set(ids.values())) == 7
    assert dict(
        load.query("SELECT line_number, user_id FROM lake.raw.events WHERE user_id IS NOT NULL")
    ) == {
        10: "ada",
        11: "ada",
        12: "ada",
        15: "ada lovelace",
    }
    assert load.query("SELECT properties FROM lake.raw.events WHERE line_number IN (12, 18) ORDER BY line_number") == [
        ('{"method":"POST","status":"500","bytes":"400"}',),
        ('{"status":"408"}',),
    ]  # fmt: skip


def test_combined_log_addresses_stand_nowhere(load):
    load(SAMPLES / "access_logs/combined.log", format="access_log", rules=RULES)

    everything = str(load.query("SELECT * FROM lake.raw.events", reveals=False))

    assert "203.0.113.7" not in everything
    assert "198.51.100.9" not in everything
    assert "secret" not in everything


def test_combined_log_that_grew_gives_its_new_lines_only(load, tmp_path):
    lines = (SAMPLES / "access_logs/combined.log").read_text().splitlines(keepends=True)
    log = tmp_path / "access.log"
    log.write_text("".join(lines[:3]))  # ends between two equal requests
    load(log, format="access_log", rules=RULES)
    log.write_text("".join(lines[:6]))

    result = load(log, format="access_log", rules=RULES)

    assert counts(result) == (6, 3, 3, 0)
    assert load.query("SELECT count(*), count(DISTINCT event_id) FROM lake.raw.events") == [(6, 6)]


def test_w3c_log_fields_change_within_the_file(load):
    result = load(SAMPLES / "access_logs/u_ex260601.log", format="w3c", rules=RULES)

    assert counts(result) == (8, 6, 0, 2)
    assert load.query(
        "SELECT line_number, timezone('UTC', occurred_at)::VARCHAR, event_type, url_path, "
        "coalesce(item_id, order_id, search_query), device, channel, campaign, referrer FROM lake.raw.events ORDER BY 1"
    ) == [
        (5, "2026-06-01 08:00:00", "page_view", "/", None, "desktop", None, None, "https://search.example.com/find"),
        (6, "2026-06-01 08:00:20", "product_view", "/product/sku-1", "sku-1", "desktop", "email", "summer sale", None),
        (7, "2026-06-01 08:00:40", "purchase", "/checkout/done", "A-17", "desktop", None, None, None),
        (13, "2026-06-02 00:00:05", "product_view", "/product/sku-2", "sku-2", "mobile", None, None, None),
        (14, "2026-06-02 00:00:09", "search", "/search", "grüne lampe", "mobile", None, None, None),
        (15, "2026-06-02 00:00:09", "search", "/search", "grüne lampe", "mobile", None, None, None),
    ]  # fmt: skip
    assert load.query(
        "SELECT line_number, reason_code, reason FROM lake.raw.rejects ORDER BY 1"
    ) == [
        (8, "malformed", "the line has another number of fields than #Fields: names"),
        (16, "missing_field", "occurred_at is empty"),
    ]
    ids = dict(load.query("SELECT line_number, anonymous_id FROM lake.raw.events"))
    assert ids[5] == f"203.0.113.7 {WINDOWS}"  # as nginx's log would name this browser
    assert ids[13] == ids[14]
    assert load.query("SELECT user_id FROM lake.raw.events WHERE user_id IS NOT NULL") == [
        ("shop\\ada",)
    ]


def test_w3c_log_of_cloudfront_is_split_at_tabs(load):
    result = load(SAMPLES / "access_logs/cloudfront.log", format="w3c", rules=RULES)

    assert counts(result) == (1, 1, 0, 0)
    assert load.query(
        "SELECT event_type, item_id, device, channel, properties FROM lake.raw.events"
    ) == [
        (
            "product_view",
            "sku-9",
            "desktop",
            "ads",
            '{"method":"GET","status":"200","bytes":"2048"}',
        )
    ]


def test_w3c_log_without_fields_line_is_rejected(load):
    result = load(SAMPLES / "access_logs/no_fields.log", format="w3c")

    assert counts(result) == (1, 0, 0, 1)
    assert load.query("SELECT line_number, reason_code, reason FROM lake.raw.rejects") == [
        (1, "malformed", "no line #Fields: stands before the line")
    ]
