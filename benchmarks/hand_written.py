"""The tables of the `features` stage by hand: one connection, temporary tables, whole numbers in place of texts, one sort.

What somebody would write who needs these tables from this lake and nothing else, as a measure of what dbt's many tables cost.
Left out is what the lake of `warehouse_rows` has no rows of: orders of the shop itself, messages, feedback, exchange rates, item
properties, category trees, consent flags, titles and currencies of events, events that leave their item's category or brand to the
catalogue, orders without an id, discounts, tax and shipping of whole orders, refunds of amounts, visits too long for a person, in
the features. Columns that only these fill are constants: e-mails, pushes, recommendations, reviews, scroll depths, regions of
events. The shop's clock shows UTC. To compare more columns, add them to a statement of `STEPS` or `TABLES`.
"""

import csv
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from jobs.lake import connect
from jobs.settings import Settings

SCHEMA = "hand"
SEEDS = Path(__file__).resolve().parents[1] / "dbt_project" / "seeds"
WINDOWS = (1, 7, 14, 30, 90, 365)
DAY_PARTS = ("night", "morning", "afternoon", "evening")  # of six hours each
COUNTED = {
    "count_page_views": "page_view",
    "count_product_views": "product_view",
    "count_list_views": "list_view",
    "count_searches": "search",
    "count_add_to_carts": "add_to_cart",
    "count_remove_from_carts": "remove_from_cart",
    "count_wishlists": "add_to_wishlist",
    "count_checkouts": "begin_checkout",
}
NEVER_COUNTED = (
    "count_recommendation_impressions",
    "count_recommendation_clicks",
    "count_email_opens",
    "count_email_clicks",
    "count_push_opens",
    "count_reviews",
)
EVENT_TYPES = (*COUNTED.values(), "login", "purchase", "refund")
# Texts of few values are read as enums: numbers that stand in the order of the texts.
WORDS = {
    "items": "item_id",
    "categories": "category",
    "brands": "brand",
    "paths": "url_path",
    "channels": "channel",
    "campaigns": "campaign",
    "devices": "device",
    "countries": "country",
}


def _read_seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


_MACROS = """
    CREATE OR REPLACE TEMP MACRO text_or_null(t) AS nullif(trim(t), '');
    CREATE OR REPLACE TEMP MACRO day_of(us) AS (us // 86400000000)::INTEGER;
    CREATE OR REPLACE TEMP MACRO place_of(us, event_id) AS us::HUGEINT * 18446744073709551616 + hash(event_id);
    CREATE OR REPLACE TEMP MACRO date_of(day) AS DATE '1970-01-01' + day;
    CREATE OR REPLACE TEMP MACRO seconds_of(first_us, last_us) AS last_us // 1000000 - first_us // 1000000;
    CREATE OR REPLACE TEMP MACRO money(x) AS round(x, 2)::DECIMAL(18, 2);
    CREATE OR REPLACE TEMP MACRO cents(x) AS (100 * x)::BIGINT;
    CREATE OR REPLACE TEMP MACRO rate(a, b) AS round(a::DOUBLE / nullif(b::DOUBLE, 0), 6);
    CREATE OR REPLACE TEMP MACRO average(a, b) AS round(a::DOUBLE / nullif(b::DOUBLE, 0), 2);
    CREATE OR REPLACE TEMP MACRO looked(seconds) AS CASE WHEN seconds > 600 THEN 600 ELSE seconds END;
    CREATE OR REPLACE TEMP MACRO total(x) AS coalesce(x, 0)::DOUBLE;
    -- A number and whose it is in one number: of these the highest is the most, of equals the first by name.
    CREATE OR REPLACE TEMP MACRO most(n, code) AS CASE WHEN n > 0 THEN n::BIGINT * 1048576 + (1048575 - code) END;
    CREATE OR REPLACE TEMP MACRO most_n(most) AS most >> 20;
    CREATE OR REPLACE TEMP MACRO most_code(most) AS 1048575 - (most & 1048575);
"""
# Read at once: every statement that reads the lake reads its catalogue first.
_TYPES = f"""
    CREATE TEMP TABLE words AS
    SELECT {", ".join(f"list(DISTINCT text_or_null({column})) AS {words}" for words, column in WORDS.items())}
    FROM (
        SELECT {", ".join(WORDS.values())} FROM lake.raw.events UNION ALL BY NAME SELECT item_id, category, brand FROM lake.raw.items
    );
    {"".join(f"CREATE TEMP TYPE {words} AS ENUM (SELECT word FROM (SELECT unnest({words}) AS word FROM words) WHERE word IS NOT NULL ORDER BY 1);" for words in WORDS)}
    CREATE TEMP TYPE event_types AS ENUM {EVENT_TYPES};
    CREATE TEMP TYPE price_tiers AS ENUM ('budget', 'luxury', 'mid');
"""

_PEOPLE = """
CREATE TEMP TABLE people AS
WITH deciders AS (
    SELECT customer_id, purpose, arg_max(state, row(recorded_at, state <> 'granted', state, consent_id)) AS state
    FROM lake.raw.consents AS told
    JOIN lake.identity.identifiers ON identifier = coalesce(text_or_null(user_id), email, phone, text_or_null(anonymous_id))
    WHERE recorded_at < $as_of AND coalesce(told.received_at <= $as_of, true)
    GROUP BY ALL
),
decisions AS (
    SELECT customer_id, bool_or(purpose = 'analytics' AND state <> 'granted') AS is_denied,
        bool_or(purpose = 'marketing' AND state = 'granted') AS has_marketing_consent,
        string_agg(purpose, ', ' ORDER BY purpose) FILTER (state = 'granted') AS granted_purposes
    FROM deciders GROUP BY customer_id
),
known AS (
    SELECT customer_id, bool_or(kind <> 'device') AS is_registered,
        arg_min(identifier, row(first_known_at, identifier)) FILTER (kind = 'user') AS user_id
    FROM lake.identity.identifiers GROUP BY customer_id
)
SELECT (row_number() OVER (ORDER BY customer_id))::INTEGER AS customer_no, known.*, coalesce(is_denied, false) AS is_denied,
    coalesce(has_marketing_consent, false) AS has_marketing_consent, granted_purposes
FROM known LEFT JOIN decisions USING (customer_id)
"""
_IDENTIFIERS = """
CREATE TEMP TABLE identifiers AS
SELECT (row_number() OVER ())::INTEGER AS identifier_no, identifier, customer_no, is_denied, epoch_us(linked_at) AS linked_us
FROM lake.identity.identifiers JOIN people USING (customer_id)
"""
# Events as they were known at $as_of: whoever acts is a device before a person, whose an event is a person before a device. Words
# become numbers before the joins, while each stands once in what was read.
_TOLD = """
CREATE TEMP TABLE told AS
WITH events AS (
    SELECT event_id, source, event_type::event_types AS event_type, epoch_us(occurred_at) AS us, epoch_us(received_at) AS told_us,
        text_or_null(anonymous_id) AS device_id,
        coalesce(text_or_null(user_id), CASE WHEN NOT starts_with(email, 'g_') THEN email END, phone) AS person_id,
        text_or_null(item_id)::items AS item, text_or_null(category)::categories AS category, text_or_null(brand)::brands AS brand, price,
        coalesce(quantity, 1) AS quantity, coalesce(discount, 0) AS discount, text_or_null(order_id) AS order_id, search_query,
        url_path::paths AS path, channel::channels AS channel, campaign::campaigns AS campaign, device::devices AS device,
        country::countries AS country
    FROM lake.raw.events WHERE NOT is_bot AND occurred_at < $as_of AND received_at <= $as_of
)
SELECT events.* EXCLUDE (device_id, person_id), devices.identifier_no AS device_no, persons.identifier_no AS person_no,
    coalesce(device_no, person_no) AS actor_no, coalesce(persons.customer_no, devices.customer_no) AS customer_no,
    coalesce(persons.is_denied, devices.is_denied) AS is_denied,
    greatest(told_us, coalesce(persons.linked_us, devices.linked_us)) AS known_us
FROM events LEFT JOIN identifiers AS devices ON device_id = devices.identifier LEFT JOIN identifiers AS persons ON person_id = persons.identifier
"""
_SET_ASIDE = """
CREATE TEMP TABLE set_aside AS
WITH purchases AS (SELECT *, rowid AS told_no FROM told WHERE event_type = 'purchase'),
lines AS (
    SELECT *, max(us) OVER (PARTITION BY source, order_id, CASE WHEN order_id IS NULL THEN actor_no END, item, price, quantity
        ORDER BY us RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_us
    FROM purchases
)
SELECT told_no FROM lines
WINDOW firing AS (PARTITION BY source, actor_no, order_id, us)
QUALIFY bool_and(before_us IS NOT NULL) OVER firing AND (order_id IS NOT NULL OR us - min(before_us) OVER firing <= 1000000)
"""
# Nobody who does less in every hour can be too fast; nobody who views less on every day can be too steady.
_SUSPECTS = """
CREATE TEMP TABLE suspects AS
WITH hours AS (
    SELECT actor_no, us // 3600000000 AS hour, count(*) FILTER (event_type NOT IN ('purchase', 'refund')) AS n_paced,
        count(*) FILTER (event_type IN ('page_view', 'product_view', 'list_view')) AS n_views,
        bool_or(event_type = 'purchase') AS has_bought
    FROM told WHERE actor_no IS NOT NULL GROUP BY 1, 2
),
days AS (
    SELECT actor_no, max(n_paced) AS n_paced, sum(n_views) AS n_views, bool_or(has_bought) AS has_bought
    FROM hours GROUP BY actor_no, hour // 24
)
SELECT actor_no, max(n_paced) * 2 > 120 AS may_be_fast, max(n_views) * 2 > 30 AND NOT bool_or(has_bought) AS may_be_steady
FROM days GROUP BY actor_no HAVING may_be_fast OR may_be_steady
"""
_BOTS = """
CREATE TEMP TABLE bots AS
WITH seen AS (
    SELECT actor_no, event_type, us, may_be_fast, may_be_steady FROM told JOIN suspects USING (actor_no)
    WHERE event_type NOT IN ('purchase', 'refund')
),
fast AS (
    SELECT actor_no, us - lag(us, 120) OVER actor < 60000000 OR us - lag(us, 1000) OVER actor < 3600000000 AS is_bot
    FROM seen WHERE may_be_fast WINDOW actor AS (PARTITION BY actor_no ORDER BY us)
),
pages AS (
    SELECT actor_no, min(us // 1000) AS ms FROM seen
    WHERE may_be_steady AND event_type IN ('page_view', 'product_view', 'list_view') GROUP BY actor_no, us // 1000000
),
gaps AS (
    SELECT actor_no, ms, least(ms - lag(ms) OVER (PARTITION BY actor_no ORDER BY ms), 1800001) AS gap FROM pages
),
steady AS (
    SELECT actor_no, count(gap) OVER unpaused = 200 AND max(gap) OVER unpaused <= 20000
        OR count(gap) OVER paced = 30 AND max(gap) OVER paced <= 1800000 AND bool_or(ms % 60000 > 0) OVER paced
        AND 30 * sum(gap * gap) OVER paced - sum(gap) OVER paced * sum(gap) OVER paced
            < 0.1 * 0.1 * sum(gap) OVER paced * sum(gap) OVER paced AS is_bot
    FROM gaps
    WINDOW unpaused AS (PARTITION BY actor_no ORDER BY ms ROWS BETWEEN 199 PRECEDING AND CURRENT ROW),
        paced AS (PARTITION BY actor_no ORDER BY ms ROWS BETWEEN 29 PRECEDING AND CURRENT ROW)
)
SELECT actor_no FROM (FROM fast UNION ALL FROM steady) WHERE is_bot GROUP BY actor_no
"""
_BORROWED = """
CREATE TEMP TABLE borrowed AS
WITH shared AS (
    SELECT identifier_no AS device_no FROM lake.identity.links JOIN identifiers ON other_identifier = identifiers.identifier
    WHERE cut_reason IS NOT NULL AND link_kind IN ('login', 'order') GROUP BY 1
),
starts AS (
    SELECT told.rowid AS told_no, event_id, device_no, person_no, us, told_us,
        coalesce(us - lag(us) OVER (PARTITION BY device_no ORDER BY us, event_id) > 1800000000, true) AS is_start
    FROM told SEMI JOIN shared USING (device_no) WHERE event_type <> 'refund'
),
visits AS (
    SELECT *, count(*) FILTER (is_start) OVER (PARTITION BY device_no ORDER BY us, event_id ROWS UNBOUNDED PRECEDING) AS visit FROM starts
),
named AS (
    SELECT told_no, told_us, person_no,
        coalesce(last_value(person_no IGNORE NULLS) OVER so_far, first_value(person_no IGNORE NULLS) OVER later) AS identifier_no,
        coalesce(last_value(CASE WHEN person_no IS NOT NULL THEN told_us END IGNORE NULLS) OVER so_far,
            first_value(CASE WHEN person_no IS NOT NULL THEN told_us END IGNORE NULLS) OVER later) AS named_us
    FROM visits
    WINDOW so_far AS (PARTITION BY device_no, visit ORDER BY us, event_id ROWS UNBOUNDED PRECEDING),
        later AS (PARTITION BY device_no, visit ORDER BY us, event_id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
)
SELECT told_no, customer_no, is_denied, greatest(told_us, named_us, linked_us) AS known_us
FROM named JOIN identifiers USING (identifier_no) WHERE person_no IS NULL
"""
# One sort, by numbers; behind it all of a customer's rows follow each other, those of visits before the others, so a visit is
# found by looking at the row before, without a partition, and how long a page was looked at by looking at the row after.
_EVENTS = """
CREATE TEMP TABLE ev AS
WITH owned AS (
    SELECT told.* REPLACE (coalesce(borrowed.customer_no, told.customer_no) AS customer_no,
        coalesce(borrowed.known_us, told.known_us) AS known_us, coalesce(borrowed.is_denied, told.is_denied) AS is_denied)
    FROM told
    ANTI JOIN set_aside ON told.rowid = set_aside.told_no
    ANTI JOIN bots ON told.actor_no = bots.actor_no
    LEFT JOIN borrowed ON told.rowid = borrowed.told_no
),
sorted AS (
    SELECT customer_no, us, event_id, event_type, NOT is_denied AND event_type <> 'refund' AS opens_session, known_us, item, category,
        brand, price, quantity, discount, order_id, search_query, CASE WHEN NOT is_denied THEN path END AS path,
        CASE WHEN NOT is_denied THEN channel END AS channel, CASE WHEN NOT is_denied THEN campaign END AS campaign,
        CASE WHEN NOT is_denied THEN device END AS device, country
    FROM owned WHERE NOT is_denied OR event_type IN ('purchase', 'refund')
    ORDER BY 2 * customer_no - opens_session::INTEGER, us, event_id
),
followed AS (
    SELECT *, opens_session AND coalesce(customer_no = lag(customer_no) OVER () AND us - lag(us) OVER () <= 1800000000, false) AS goes_on
    FROM sorted
)
SELECT * EXCLUDE (opens_session, goes_on), row_number() OVER () AS rn, opens_session AND NOT goes_on AS is_start,
    CASE WHEN opens_session THEN (count(*) FILTER (opens_session AND NOT goes_on) OVER (ROWS UNBOUNDED PRECEDING))::INTEGER END AS session_no,
    CASE WHEN lead(goes_on) OVER () THEN seconds_of(us, lead(us) OVER ())::INTEGER END AS pause,
    event_type = 'list_view' AND lead(goes_on) OVER () AND lead(event_type) OVER () = 'product_view' AS is_followed,
    day_of(us) AS event_day, greatest(day_of(known_us - 1), event_day) AS known_day
FROM followed;
DROP TABLE told
"""
# Every event of a visit tells its path, channel, device and country, so its first one and its last one say it for the visit.
_VISITS = """
CREATE TEMP TABLE visits AS
WITH grouped AS (
    SELECT session_no, max(us) AS last_us, count(*) AS count_events, max(event_day) AS last_day, min(known_day) AS known_day,
        max(known_day) AS last_known_day, arg_min(campaign, rn) AS campaign,
        count(*) FILTER (event_type = 'page_view') AS count_page_views,
        count(*) FILTER (event_type = 'product_view') AS count_product_views,
        count(*) FILTER (event_type = 'search') AS count_searches,
        count(*) FILTER (event_type = 'add_to_cart') AS count_add_to_carts,
        count(*) FILTER (event_type = 'begin_checkout') AS count_begin_checkouts,
        count(DISTINCT item) FILTER (event_type = 'product_view') AS count_items_viewed,
        count(DISTINCT path) FILTER (event_type IN ('page_view', 'product_view', 'list_view')) AS depth,
        arg_min(event_type, place_of(us, event_id)) AS entry_event_type, arg_max(event_type, place_of(us, event_id)) AS exit_event_type,
        arg_min(path, place_of(us, event_id)) AS entry_path, arg_max(path, place_of(us, event_id)) AS exit_path
    FROM ev WHERE session_no IS NOT NULL GROUP BY session_no
)
SELECT grouped.*, customer_no, md5(concat_ws('|', customer_id, event_id)) AS session_id,
    session_no - min(session_no) OVER (PARTITION BY customer_no) + 1 AS session_number, us AS first_us, event_day,
    channel, device, country
FROM grouped JOIN (SELECT * EXCLUDE (campaign, known_day) FROM ev WHERE is_start) USING (session_no)
JOIN people USING (customer_no)
"""
_LINES = """
CREATE TEMP TABLE lines AS
SELECT rn, event_id AS order_line_id, order_id, first_value(customer_no) OVER told AS customer_no,
    first_value(session_no) OVER told AS session_no, min(us) OVER same_order AS ordered_us, known_day, item, category, brand, price,
    quantity, money(coalesce(price::DECIMAL(38, 6) * quantity, 0)) AS gross_value,
    least(greatest(money(discount), 0), gross_value) AS discount
FROM ev WHERE event_type = 'purchase'
WINDOW same_order AS (PARTITION BY order_id), told AS (PARTITION BY order_id ORDER BY us, event_id)
"""
_REFUNDS = """
CREATE TEMP TABLE refunds AS
WITH told AS (FROM ev WHERE event_type = 'refund'),
pieces AS (
    SELECT *, gross_value - discount AS paid, sum(quantity) OVER (PARTITION BY order_id, item ORDER BY ordered_us DESC, order_line_id DESC
        ROWS UNBOUNDED PRECEDING) AS last_piece
    FROM lines WHERE quantity > 0
),
order_items AS (
    SELECT order_id, item, any_value(customer_no) AS customer_no, min(ordered_us) AS ordered_us, sum(quantity) AS pieces
    FROM pieces GROUP BY ALL
),
matches AS (
    SELECT told.rn, 1 AS preference, order_items.order_id, order_items.item, quantity AS pieces
    FROM told JOIN order_items USING (order_id, item)
    UNION ALL
    SELECT told.rn, 2, order_items.order_id, order_items.item, quantity
    FROM told JOIN order_items ON told.customer_no = order_items.customer_no AND told.item = order_items.item AND us >= ordered_us
    QUALIFY row_number() OVER (PARTITION BY told.rn ORDER BY ordered_us DESC, order_items.order_id DESC) = 1
    UNION ALL
    SELECT told.rn, 3, order_items.order_id, order_items.item, pieces
    FROM told JOIN order_items ON told.order_id = order_items.order_id AND told.item IS NULL AND told.price IS NULL
),
best AS (FROM matches QUALIFY preference = min(preference) OVER (PARTITION BY rn)),
placed AS (
    SELECT rn, best.order_id, best.item, known_day, pieces, price,
        sum(pieces) OVER (PARTITION BY best.order_id, best.item ORDER BY us, event_id ROWS UNBOUNDED PRECEDING) AS last_piece
    FROM best JOIN told USING (rn)
),
taken AS (
    SELECT placed.rn, order_line_id, pieces.order_id, customer_no, ordered_us, greatest(placed.known_day, pieces.known_day) AS known_day,
        greatest(placed.last_piece - placed.pieces, pieces.last_piece - quantity) - (pieces.last_piece - quantity) AS first_offset,
        least(placed.last_piece, pieces.last_piece) - (pieces.last_piece - quantity) AS last_offset,
        least(coalesce(placed.price, paid / quantity), paid / quantity) AS unit_value
    FROM placed JOIN pieces ON placed.order_id = pieces.order_id AND placed.item IS NOT DISTINCT FROM pieces.item
        AND placed.last_piece - placed.pieces < pieces.last_piece AND placed.last_piece > pieces.last_piece - quantity
)
SELECT rn, order_line_id, order_id, customer_no, ordered_us, known_day, last_offset - first_offset AS quantity,
    money(last_offset * unit_value) - money(first_offset * unit_value) AS value
FROM taken
"""
_BOUGHT = """
CREATE TEMP TABLE bought AS
WITH sums AS (
    SELECT order_id, customer_no, session_no, ordered_us, count(*) AS count_lines, sum(quantity) AS count_items,
        sum(gross_value) AS gross_value, sum(discount) AS discount_value, bool_and(price IS NOT NULL) AS is_priced
    FROM lines GROUP BY ALL
),
back AS (
    SELECT order_id, sum(quantity) AS quantity, sum(value) AS value FROM refunds GROUP BY ALL
)
SELECT sums.*, gross_value - discount_value AS paid_value, coalesce(value, 0) AS refunded_value, value IS NOT NULL AS is_refunded,
    paid_value - refunded_value AS net_value, day_of(ordered_us) AS order_day, paid_value = 0 AND is_priced AS is_zero,
    CASE WHEN paid_value > 0 THEN refunded_value >= paid_value ELSE is_refunded AND quantity >= count_items END AS is_cancelled
FROM sums LEFT JOIN back USING (order_id)
"""

_SESSIONS = """
CREATE OR REPLACE TABLE lake.hand.sessions AS
SELECT session_id, customer_id, session_number, make_timestamptz(first_us) AS started_at, make_timestamptz(last_us) AS ended_at,
    seconds_of(first_us, last_us) AS duration_seconds, count_events, count_page_views, count_product_views, count_searches,
    count_add_to_carts, count_begin_checkouts, count_items_viewed, depth, coalesce(n, 0) AS count_orders, total(value) AS net_value,
    entry_event_type::VARCHAR AS entry_event_type, exit_event_type::VARCHAR AS exit_event_type, entry_path::VARCHAR AS entry_path,
    exit_path::VARCHAR AS exit_path, channel::VARCHAR AS channel, campaign::VARCHAR AS campaign, device::VARCHAR AS device,
    country::VARCHAR AS country, session_number = 1 AS is_new_customer, count_events = 1 AS is_bounce,
    duration_seconds >= 10 OR greatest(count_page_views, count_product_views, depth) >= 2 OR count_orders > 0 AS is_engaged,
    CASE WHEN count_events > 5000 THEN 'too_many_events' WHEN duration_seconds > 86400 THEN 'too_long' END AS monster_reason,
    monster_reason IS NOT NULL AS is_monster
FROM visits JOIN people USING (customer_no)
LEFT JOIN (SELECT session_no, count(*) AS n, sum(net_value) AS value FROM bought GROUP BY ALL) USING (session_no)
"""
_ORDER_LINES = """
CREATE OR REPLACE TABLE lake.hand.order_lines AS
SELECT order_line_id, order_id, customer_id, make_timestamptz(ordered_us) AS ordered_at, item::VARCHAR AS item_id,
    category::VARCHAR AS category, brand::VARCHAR AS brand, lines.quantity::DOUBLE AS quantity, price::DOUBLE AS price,
    'EUR' AS currency, 1::DOUBLE AS exchange_rate, gross_value::DOUBLE AS gross_value, discount::DOUBLE AS discount,
    total(back.quantity) AS refunded_quantity, total(back.value) AS refunded_value,
    (gross_value - discount - coalesce(back.value, 0))::DOUBLE AS net_value
FROM lines JOIN people USING (customer_no)
LEFT JOIN (SELECT order_line_id, sum(quantity) AS quantity, sum(value) AS value FROM refunds GROUP BY ALL) AS back USING (order_line_id)
"""
_ORDERS = """
CREATE OR REPLACE TABLE lake.hand.orders AS
SELECT order_id, customer_id, session_id, make_timestamptz(ordered_us) AS ordered_at, row_number() OVER by_customer AS order_number,
    (order_day - lag(order_day) OVER by_customer)::BIGINT AS days_since_previous_order, count_lines,
    count_items::DOUBLE AS count_items, gross_value::DOUBLE AS gross_value, discount_value::DOUBLE AS discount_value,
    refunded_value::DOUBLE AS refunded_value, net_value::DOUBLE AS net_value, 0::DOUBLE AS tax_value, 0::DOUBLE AS shipping_value,
    'EUR' AS currency, channel::VARCHAR AS channel, campaign::VARCHAR AS campaign, device::VARCHAR AS device, is_refunded,
    is_cancelled, is_zero
FROM bought JOIN people USING (customer_no) LEFT JOIN visits USING (session_no)
WINDOW by_customer AS (PARTITION BY bought.customer_no ORDER BY ordered_us, order_id)
"""
_CATALOGUE = """
CREATE TEMP TABLE catalogue AS
WITH described AS (
    SELECT items.item_id::items AS item, text_or_null(items.title) AS title, description, text_or_null(category)::categories AS category,
        text_or_null(brand)::brands AS brand, price, is_in_stock, available_from, available_until
    FROM lake.raw.items AS items LEFT JOIN lake.raw.files AS files ON items.file_id = files.file_id AND files.entity = 'items'
    WHERE coalesce(items.received_at <= $as_of, true) AND coalesce(valid_from <= $as_of, true) AND coalesce(valid_to > $as_of, true)
    QUALIFY row_number() OVER (PARTITION BY items.item_id ORDER BY items.received_at DESC NULLS LAST, files.loaded_at DESC NULLS LAST,
        files.path DESC NULLS LAST, valid_from DESC NULLS LAST, items.line_number DESC, items.source, items.file_id DESC) = 1
),
seen AS (
    SELECT item, arg_max(category, row(us, event_id)) AS category, arg_max(brand, row(us, event_id)) AS brand,
        arg_max(price, row(us, event_id)) AS price
    FROM told WHERE event_type <> 'refund' AND item IS NOT NULL AND item NOT IN (
        SELECT item FROM described WHERE title IS NOT NULL AND category IS NOT NULL AND brand IS NOT NULL AND price IS NOT NULL)
    GROUP BY item
)
SELECT item, title, description, coalesce(described.category, seen.category) AS category, coalesce(described.brand, seen.brand) AS brand,
    coalesce(described.price, seen.price) AS price, is_in_stock, available_from, available_until
FROM described FULL JOIN seen USING (item)
"""
_ITEMS = """
CREATE OR REPLACE TABLE lake.hand.items AS
WITH thirds AS (
    SELECT item, count(*) OVER (PARTITION BY category) AS n, 3 * (rank() OVER (PARTITION BY category ORDER BY price) - 1) // n AS third
    FROM catalogue WHERE category IS NOT NULL AND price IS NOT NULL
)
SELECT item::VARCHAR AS item_id, title, description, category::VARCHAR AS category, brand::VARCHAR AS brand, price::DOUBLE AS price,
    'EUR' AS currency, is_in_stock, available_from, available_until,
    CASE WHEN n >= 3 THEN (['budget', 'mid', 'luxury'])[third + 1] END AS price_tier
FROM catalogue LEFT JOIN thirds USING (item)
"""
# The archetype is the first in the list whose every limit somebody reaches.
_ARCHETYPE = "CASE {} END".format(
    " ".join(
        "WHEN {} THEN '{}'".format(
            " AND ".join(
                f"{column.removesuffix('_min')} >= {least}"
                for column, least in row.items()
                if column.endswith("_min") and least
            )
            or "true",
            row["archetype"],
        )
        for row in sorted(_read_seed("customer_archetypes"), key=lambda row: int(row["priority"]))
    )
)
_CUSTOMERS = f"""
CREATE OR REPLACE TABLE lake.hand.customers AS
WITH seen AS (
    SELECT customer_no, min(us) AS first_us, max(us) AS last_us, arg_max(country, us) AS country,
        arg_min(rn, place_of(us, event_id)) FILTER (channel IS NOT NULL) AS first_touch,
        arg_max(rn, place_of(us, event_id)) FILTER (channel IS NOT NULL) AS last_touch
    FROM ev GROUP BY customer_no
),
{", ".join(f"{place}_one AS (SELECT customer_no, us, channel, campaign, path, device FROM ev JOIN (SELECT {place}_touch AS rn FROM seen) USING (rn))" for place in ("first", "last"))},
profiles AS (
    SELECT customer_no, {", ".join(f"arg_min({name}, place) AS {name}" for name in ("country", "region", "birth_year", "gender", "loyalty_tier", "signed_up_at"))}
    FROM (
        SELECT *, row_number() OVER (ORDER BY updated_at DESC NULLS LAST, received_at DESC NULLS LAST, files.loaded_at DESC NULLS LAST,
            files.path DESC NULLS LAST, line_number DESC, told.source, told.file_id DESC) AS place
        FROM lake.raw.profiles AS told
        LEFT JOIN lake.raw.files AS files ON told.file_id = files.file_id AND files.entity = 'profiles'
        WHERE coalesce(received_at <= $as_of, true) AND coalesce(updated_at < $as_of, true)
    ) JOIN identifiers ON identifier = coalesce(text_or_null(user_id), CASE WHEN NOT starts_with(email, 'g_') THEN email END, phone)
    GROUP BY customer_no
),
totals AS (
    SELECT customer_no, count(*) AS count_orders, sum(net_value) AS net_value, rate(sum(discount_value), sum(gross_value)) AS discount_share
    FROM bought GROUP BY ALL
),
order_days AS (
    SELECT *, order_day - lag(order_day) OVER (PARTITION BY customer_no ORDER BY order_day) AS gap
    FROM (SELECT DISTINCT customer_no, order_day FROM bought)
),
rhythms AS (
    SELECT customer_no, min(order_day) AS first_order_day, max(order_day) AS last_order_day, rate(sum(gap), count(gap)) AS gap_mean,
        round(sqrt((count(gap) * sum(gap * gap) - sum(gap) * sum(gap))::DOUBLE / nullif(count(gap) * (count(gap) - 1), 0)), 6) AS gap_spread,
        CASE WHEN count(*) >= 3 THEN gap_mean + greatest(coalesce(gap_spread, 0), gap_mean / 4) END AS rhythm
    FROM order_days GROUP BY ALL
),
visited AS (
    SELECT customer_no, count(*) AS count_sessions,
        {", ".join(f"sum(CASE WHEN session_number <= 3 THEN {name} ELSE 0 END) AS {name}" for name in ("count_product_views", "count_searches", "count_items_viewed"))}
    FROM visits GROUP BY ALL
),
categories AS (
    SELECT customer_no, rate(max(n), sum(n)) AS category_share FROM (
        SELECT customer_no, category, count(*) AS n FROM ev WHERE event_type = 'product_view' AND category IS NOT NULL GROUP BY ALL
    ) GROUP BY ALL
),
joined AS (
    SELECT customer_no, seen.customer_no IS NOT NULL AS is_seen, profiles.customer_no IS NOT NULL AS has_profile,
        coalesce(profiles.country, seen.country::VARCHAR) AS country, region, birth_year, gender, loyalty_tier, signed_up_at,
        first_us, last_us, $today - day_of(coalesce(first_us, epoch_us(signed_up_at))) AS days_known,
        $today - day_of(coalesce(last_us, epoch_us(signed_up_at))) AS days_away
    FROM seen FULL JOIN profiles USING (customer_no)
),
facts AS (
    SELECT joined.*, customer_id, user_id, (is_seen AND is_registered) OR has_profile AS is_registered, has_marketing_consent,
        granted_purposes, net_value, first_order_day, last_order_day, $today - last_order_day AS days_unbought, rhythm,
        coalesce(count_sessions, 0) AS count_sessions, coalesce(count_orders, 0) AS count_orders,
        coalesce(discount_share, 0) AS discount_share, coalesce(category_share, 0) AS category_share,
        coalesce(count_product_views, 0) AS count_product_views, coalesce(count_searches, 0) AS count_searches,
        coalesce(count_items_viewed, 0) AS count_items_viewed
    FROM joined JOIN people USING (customer_no) LEFT JOIN totals USING (customer_no) LEFT JOIN rhythms USING (customer_no)
    LEFT JOIN visited USING (customer_no) LEFT JOIN categories USING (customer_no)
)
SELECT facts.customer_id, user_id, is_registered, facts.country, region, birth_year, gender, loyalty_tier, signed_up_at,
    make_timestamptz(first_us) AS first_seen_at, make_timestamptz(last_us) AS last_seen_at, count_sessions, count_orders,
    total(net_value) AS net_value, date_of(first_order_day) AS first_order_date, date_of(last_order_day) AS last_order_date,
    0::BIGINT AS count_email_opens_90d, 0::BIGINT AS count_email_clicks_90d, has_marketing_consent, granted_purposes,
    CASE WHEN days_unbought <= rhythm THEN 'active' WHEN days_unbought <= 2 * rhythm THEN 'at_risk'
        WHEN days_unbought <= 3 * rhythm THEN 'lapsed' WHEN rhythm IS NOT NULL THEN 'lost' WHEN days_known < 30 THEN 'new'
        WHEN days_away < 30 THEN 'active' WHEN days_away < 90 THEN 'at_risk' WHEN days_away < 180 THEN 'lapsed' ELSE 'lost'
        END AS lifecycle_stage,
    round(rhythm, 6) AS order_rhythm_days, {_ARCHETYPE} AS archetype,
    {", ".join(f"{place}.channel::VARCHAR AS {place}_channel, {place}.campaign::VARCHAR AS {place}_campaign, {place}.path::VARCHAR AS {place}_path, make_timestamptz({place}.us) AS {place}_touch_at" for place in ("first", "last"))},
    last.device::VARCHAR AS last_device
FROM facts LEFT JOIN first_one AS first USING (customer_no) LEFT JOIN last_one AS last USING (customer_no)
ORDER BY customer_no
"""
_CUSTOMER_EVENTS = """
CREATE OR REPLACE TABLE lake.hand.customer_events AS
WITH valued AS (
    SELECT rn, order_id, gross_value - discount AS value FROM lines
    UNION ALL
    SELECT rn, min(order_id), -sum(value) FROM refunds GROUP BY rn
)
SELECT event_id, customer_id, session_id, event_type::VARCHAR AS event_type, make_timestamptz(us) AS occurred_at,
    make_timestamptz(known_us) AS known_at, item::VARCHAR AS item_id, category::VARCHAR AS category, brand::VARCHAR AS brand,
    price::DOUBLE AS price, quantity::DOUBLE AS quantity, value::DOUBLE AS value, coalesce(valued.order_id, ev.order_id) AS order_id,
    search_query, path::VARCHAR AS url_path, ev.channel::VARCHAR AS channel, ev.campaign::VARCHAR AS campaign,
    ev.device::VARCHAR AS device, ev.country::VARCHAR AS country, NULL::VARCHAR AS region
FROM ev JOIN people USING (customer_no) LEFT JOIN visits USING (session_no) LEFT JOIN valued USING (rn)
"""

# Rows of features are numbered in their order, by cut-off and customer: `base + customer_no`. A condition that cannot be parted into
# two sides is no join by order, whose sort would tear customers' rows apart.
_CUTOFFS = """
CREATE TEMP TABLE cutoffs AS
SELECT unnest($days::INTEGER[]) AS cutoff, (generate_subscripts($days::INTEGER[], 1)::INTEGER - 1) * (SELECT max(customer_no) FROM people) AS base
"""
_TIERS = """
CREATE TEMP TABLE tiers AS
SELECT category, quantile_disc(price, 1.0 / 3) AS budget_up_to, quantile_disc(price, 2.0 / 3) AS mid_up_to
FROM catalogue WHERE category IS NOT NULL AND price IS NOT NULL GROUP BY category HAVING count(*) >= 3
"""
# Visits over midnight, and those known in parts, are few. As they stand in `ev` they are taken back (-1) and put in as they were
# known on each day on which more of them was: with the pauses of then, where a longer one parts them, on the day they began.
_ODD = """
CREATE TEMP TABLE odd AS
WITH seen AS (
    FROM ev SEMI JOIN (FROM visits WHERE event_day <> last_day OR known_day <> last_known_day) USING (session_no)
),
versions AS (
    SELECT session_no, known_day AS version, lead(known_day) OVER (PARTITION BY session_no ORDER BY known_day) AS replaced
    FROM seen GROUP BY session_no, known_day
),
read AS (
    SELECT seen.*, version, replaced, lead(us) OVER reading AS next_us, lead(event_type) OVER reading AS next_type,
        coalesce(us - lag(us) OVER reading > 1800000000, true) AS begins
    FROM seen JOIN versions USING (session_no) WHERE known_day <= version
    WINDOW reading AS (PARTITION BY session_no, version ORDER BY rn)
),
parted AS (
    SELECT *, count(*) FILTER (begins) OVER (PARTITION BY session_no, version ORDER BY rn ROWS UNBOUNDED PRECEDING) AS part,
        next_us - us <= 1800000000 AS goes_on, seconds_of(us, next_us) AS seconds
    FROM read
),
readings AS (
    SELECT customer_no, event_day, version, replaced, min(event_day) OVER (PARTITION BY session_no, version, part) AS session_day,
        event_type, category, brand, price, begins AS is_start, begins AND NOT coalesce(goes_on, false) AS is_bounce,
        CASE WHEN goes_on THEN seconds END AS pause, CASE WHEN seconds <= 1800 THEN looked(seconds) END AS looked,
        event_type = 'list_view' AND seconds <= 1800 AND next_type = 'product_view' AS is_followed
    FROM parted
)
SELECT * EXCLUDE (version, replaced), version AS known_day, 1 AS sign FROM readings
UNION ALL BY NAME
SELECT * EXCLUDE (version, replaced), replaced AS known_day, -1 AS sign FROM readings WHERE replaced IS NOT NULL
UNION ALL BY NAME
SELECT customer_no, event_day, event_day AS session_day, event_type, category, brand, price, is_start,
    is_start AND pause IS NULL AS is_bounce, pause, looked(pause) AS looked, is_followed, known_day, -1 AS sign FROM seen
"""
_BITS = 21  # of a count


def _together(*names: str, bits: int = _BITS) -> str:
    """Several numbers as the parts of one, the first the lowest: added up once instead of once each."""
    return " + ".join(f"{name} * {1 << bits * place}::HUGEINT" for place, name in enumerate(names))


def _part(together: str, place: int, bits: int = _BITS) -> str:
    return f"(({together} >> {bits * place}) & {(1 << bits) - 1})::BIGINT"


def _weight(windows: tuple[int, ...], bits: int) -> str:
    """What to multiply a number with so that it stands in the part of each window that its day lies in."""
    cases = " ".join(
        f"WHEN ago < {days} THEN {sum(1 << (bits * later) for later in range(place, len(windows)))}::HUGEINT"
        for place, days in enumerate(windows)
    )
    return f"CASE {cases} ELSE 0::HUGEINT END"


# A sum of counts has room for all windows; money in cents and seconds take twice as much.
_NEAR, _FAR = WINDOWS[:3], WINDOWS[3:]
_WEIGHTS = f"""{_weight(WINDOWS, _BITS)} AS weight, {_weight(_NEAR, 2 * _BITS)} AS near_weight, {_weight(_FAR, 2 * _BITS)} AS far_weight"""
_VISIT_COUNTS = ("count_active_days", "count_events", *COUNTED, "count_sessions")
# All that adds up over a customer's days. A day comes in parts where events were late; of these the first that shows a visit
# makes the day an active one.
_DAYS = f"""
CREATE TEMP TABLE days AS
WITH events AS (
    SELECT customer_no, event_day, known_day, count(*) AS count_events, count(session_no) AS visited,
        {", ".join(f"count(*) FILTER (event_type = '{type_}') AS {name}" for name, type_ in COUNTED.items())},
        {", ".join(f"count(*) FILTER (session_no IS NOT NULL AND us // 21600000000 % 4 = {place}) AS {part}" for place, part in enumerate(DAY_PARTS))},
        count(*) FILTER (is_start) AS count_sessions, coalesce(sum(pause), 0)::BIGINT AS seconds,
        count(*) FILTER (is_start AND pause IS NULL) AS bounces,
        sum(looked(pause)) FILTER (event_type IN ('product_view', 'list_view'))::BIGINT AS looked,
        count(*) FILTER (is_followed) AS followed, count(price) FILTER (event_type = 'product_view') AS priced,
        sum(cents(money(price))) FILTER (event_type = 'product_view')::BIGINT AS priced_cents
    FROM ev GROUP BY ALL
)
SELECT customer_no, event_day, known_day, count_events, visited, {", ".join(COUNTED)}, count_sessions, seconds, looked, priced_cents,
    (visited > 0 AND known_day = min(CASE WHEN visited > 0 THEN known_day END) OVER (PARTITION BY customer_no, event_day))::BIGINT
        AS count_active_days,
    {_together(*DAY_PARTS, "CASE WHEN (event_day + 3) % 7 >= 5 THEN visited ELSE 0 END", "bounces")} AS habits,
    {_together("followed", "priced")} AS views
FROM events
UNION ALL BY NAME
SELECT customer_no, session_day AS event_day, known_day, sum(CASE WHEN is_start THEN sign END)::BIGINT AS count_sessions,
    sum(sign * pause)::BIGINT AS seconds, sum(CASE WHEN is_bounce THEN sign END) * {1 << 5 * _BITS}::HUGEINT AS habits
FROM odd GROUP BY customer_no, session_day, known_day
UNION ALL BY NAME
SELECT customer_no, event_day, known_day, sum(sign * looked) FILTER (event_type IN ('product_view', 'list_view'))::BIGINT AS looked,
    sum(CASE WHEN is_followed THEN sign END) AS views
FROM odd GROUP BY ALL
"""
_WINDOWS = f"""
CREATE TEMP TABLE windows AS
WITH known AS (
    SELECT *, base + customer_no AS feature_no, cutoff - event_day AS ago, {_WEIGHTS} FROM days JOIN cutoffs ON cutoff - known_day >= 0
)
SELECT feature_no, customer_no, cutoff, max(CASE WHEN count_events > 0 THEN ago END) AS first_seen,
    min(CASE WHEN count_events > 0 THEN ago END) AS last_seen, {", ".join(f"sum({name} * weight) AS {name}" for name in _VISIT_COUNTS)},
    sum(seconds * near_weight) AS near_seconds, sum(seconds * far_weight) AS far_seconds,
    sum(CASE WHEN ago < 90 THEN habits END) AS habits, sum(CASE WHEN ago < 90 THEN views END) AS views,
    sum(CASE WHEN ago < 90 THEN priced_cents END)::BIGINT AS priced_cents, sum(CASE WHEN ago < 30 THEN looked END)::BIGINT AS looked,
    sum(CASE WHEN ago < 30 THEN visited WHEN ago < 60 THEN visited * {1 << _BITS} END)::BIGINT AS visited,
    sum(CASE WHEN ago < 30 THEN (29 - 2 * ago) * visited END)::BIGINT AS slope
FROM known GROUP BY ALL HAVING first_seen IS NOT NULL
ORDER BY feature_no
"""
# Money lies on the day of the order.
_MONEY = """
CREATE TEMP TABLE money AS
WITH orders AS (
    SELECT customer_no, ordered_us, min(known_day) AS known_day FROM lines GROUP BY customer_no, ordered_us, order_id
),
parts AS (
    SELECT customer_no, day_of(ordered_us) AS event_day, known_day, 1 AS n, 0 AS gross, 0 AS discount, 0 AS refunded, 0 AS pieces, 0 AS back
    FROM orders
    UNION ALL
    SELECT customer_no, day_of(ordered_us), known_day, 0, cents(gross_value), cents(discount), 0, quantity, 0 FROM lines
    UNION ALL
    SELECT customer_no, day_of(ordered_us), known_day, 0, 0, 0, cents(value), 0, quantity FROM refunds
)
SELECT customer_no, event_day, known_day, sum(n)::BIGINT AS count_orders, sum(gross)::BIGINT AS gross, sum(discount)::BIGINT AS discount,
    sum(refunded)::BIGINT AS refunded, sum(gross - discount - refunded)::BIGINT AS net, sum(pieces) AS pieces, sum(back) AS back
FROM parts GROUP BY ALL
"""
_BUYERS = f"""
CREATE TEMP TABLE buyers AS
WITH known AS (
    SELECT *, base + customer_no AS feature_no, cutoff - event_day AS ago, {_WEIGHTS} FROM money JOIN cutoffs ON cutoff - known_day >= 0
)
SELECT feature_no, cutoff, max(CASE WHEN count_orders > 0 THEN ago END) AS first_order,
    min(CASE WHEN count_orders > 0 THEN ago END) AS last_order, sum(count_orders)::BIGINT AS all_orders, sum(gross)::BIGINT AS gross,
    sum(discount)::BIGINT AS discount, sum(refunded)::BIGINT AS refunded, sum(net)::BIGINT AS net, sum(pieces) AS pieces, sum(back) AS back,
    sum(count_orders * weight) AS count_orders, sum(net * near_weight) AS near_net, sum(net * far_weight) AS far_net
FROM known GROUP BY ALL
"""
_RHYTHMS = """
CREATE TEMP TABLE rhythms AS
WITH order_days AS (
    SELECT base + customer_no AS feature_no, cutoff, event_day FROM money JOIN cutoffs ON cutoff - known_day >= 0 WHERE count_orders > 0 GROUP BY ALL
),
gaps AS (
    SELECT *, event_day - lag(event_day) OVER (PARTITION BY feature_no ORDER BY event_day) AS gap FROM order_days
),
sums AS (
    SELECT feature_no, count(gap) AS n, sum(gap) AS gaps, sum(gap * gap) AS squares, max(cutoff) - max(event_day) AS last_order
    FROM gaps GROUP BY feature_no HAVING count(gap) > 0
)
SELECT feature_no, rate(gaps, n) AS mean_days_between_orders,
    round(sqrt(rate(n * squares - gaps * gaps, n * (n - 1))), 6) AS stddev_days_between_orders,
    rate(last_order * n - gaps, n) AS days_overdue, rate(last_order * n, gaps) AS overdue_ratio
FROM sums
"""
_TASTE_WEIGHTS = " ".join(f"WHEN '{row['event_type']}' THEN {row['weight']}" for row in _read_seed("event_weights"))  # fmt: skip
# How long a view took stands beside what it weighs; what odd visits correct weighs nothing.
_INTERESTS = f"""
CREATE TEMP TABLE interests AS
WITH shown AS (
    SELECT customer_no, event_day, known_day, category, brand, price, 1 AS n, CASE event_type {_TASTE_WEIGHTS} ELSE 0 END AS weight,
        CASE WHEN event_type = 'product_view' THEN looked(pause) END AS looked
    FROM ev WHERE event_type IN ('product_view', 'add_to_wishlist', 'add_to_cart', 'purchase')
    UNION ALL
    SELECT customer_no, event_day, known_day, category, brand, price, 0, 0, sign * looked FROM odd
    WHERE event_type = 'product_view' AND looked IS NOT NULL
)
SELECT customer_no, event_day, known_day, category, brand,
    (CASE WHEN price <= budget_up_to THEN 'budget' WHEN price <= mid_up_to THEN 'mid' WHEN price > mid_up_to THEN 'luxury' END)::price_tiers
        AS price_tier,
    sum(n)::INTEGER AS n, sum(weight)::DOUBLE AS weight, sum(looked)::INTEGER AS looked
FROM shown LEFT JOIN tiers USING (category) GROUP BY ALL
"""
_TASTES = """
CREATE TEMP TABLE tastes AS
SELECT base + customer_no AS feature_no, brand, category, price_tier, n, cutoff - event_day AS ago,
    round(1000000 * weight * power(0.5, ago / 30.0)) AS micros, CASE WHEN ago < 90 THEN n ELSE 0 END AS n_90d,
    CASE WHEN ago < 30 THEN looked END AS looked
FROM interests JOIN cutoffs ON cutoff - known_day >= 0 WHERE cutoff - event_day < 180
"""
# In the order of their names.
_DIMENSIONS = {"brand": "brands", "category": "categories", "price_tier": "price_tiers"}


def _liked(column: str) -> str:
    looked = ", sum(looked)::INTEGER AS looked" if column == "category" else ""
    return f"""
CREATE TEMP TABLE liked_{column} AS
SELECT feature_no, enum_code({column})::INTEGER AS code, most(sum(micros)::BIGINT, code) AS liked, sum(n)::INTEGER AS n,
    sum(n_90d)::INTEGER AS n_90d, min(ago) AS ago{looked}
FROM tastes WHERE {column} IS NOT NULL GROUP BY feature_no, {column}
"""


_TOPS = """
CREATE TEMP TABLE tops AS
SELECT * FROM (
    SELECT feature_no, max(liked) AS brand, sum(most_n(liked))::BIGINT AS brand_micros, max(most(n_90d, code)) AS brand_90d
    FROM liked_brand GROUP BY ALL
) FULL JOIN (
    SELECT feature_no, max(liked) AS category, sum(most_n(liked))::BIGINT AS category_micros, max(most(n_90d, code)) AS category_90d,
        count(CASE WHEN n_90d > 0 THEN 1 END) AS categories, sum(n_90d) AS in_categories, max(most(looked, code)) AS looked_30d,
        sum(looked) AS looked
    FROM liked_category GROUP BY ALL
) USING (feature_no) FULL JOIN (
    SELECT feature_no, max(liked) AS price_tier, sum(most_n(liked))::BIGINT AS price_tier_micros, sum(n_90d) AS in_tiers,
        sum(CASE WHEN code = enum_code('luxury'::price_tiers) THEN n_90d ELSE 0 END) AS in_luxury,
        sum(CASE WHEN code = enum_code('budget'::price_tiers) THEN n_90d ELSE 0 END) AS in_budget
    FROM liked_price_tier GROUP BY ALL
) USING (feature_no);
DROP TABLE tastes
"""
# Of the sorted rows the place is how many rows ago the first of its customer, cut-off and dimension was.
_AFFINITIES = f"""
CREATE OR REPLACE TABLE lake.hand.customer_affinities AS
WITH sorted AS (
    {" UNION ALL ".join(f"SELECT 3 * feature_no + {place} AS list_no, liked, n, ago FROM liked_{column}" for place, column in enumerate(_DIMENSIONS))}
    ORDER BY list_no, liked DESC
),
numbered AS (
    SELECT *, row_number() OVER () AS rn, list_no IS DISTINCT FROM lag(list_no) OVER () AS is_first FROM sorted
),
placed AS (
    SELECT list_no // 3 AS feature_no, list_no % 3 + 1 AS dimension, most_n(liked) AS micros, most_code(liked) + 1 AS code, n, ago,
        rn + 1 - last_value(CASE WHEN is_first THEN rn END IGNORE NULLS) OVER (ROWS UNBOUNDED PRECEDING) AS place
    FROM numbered
)
SELECT customer_id, date_of(cutoff) AS as_of_date, ({list(_DIMENSIONS)})[dimension] AS dimension,
    CASE dimension {" ".join(f"WHEN {place} THEN enum_range(NULL::{words})[code]::VARCHAR" for place, words in enumerate(_DIMENSIONS.values(), start=1))} END AS value,
    place, rate(micros / 1000000, CASE dimension {" ".join(f"WHEN {place} THEN {column}_micros" for place, column in enumerate(_DIMENSIONS, start=1))} END / 1000000 + 10) AS affinity,
    n::BIGINT AS count_events, ago::BIGINT AS days_since_last_event
FROM placed JOIN tops USING (feature_no) JOIN windows USING (feature_no) JOIN people USING (customer_no) WHERE place <= 10
"""


def _habit(column: str, code: str) -> str:
    return f"""(
    SELECT feature_no, max(most(n, {code})) AS {column}, sum(CASE WHEN {column} IS NOT NULL THEN n END) AS in_{column}
    FROM (SELECT feature_no, {column}, sum(n)::BIGINT AS n FROM known GROUP BY ALL) GROUP BY feature_no
)"""


_HABITS = f"""
CREATE TEMP TABLE habits AS
WITH habit_days AS (
    SELECT customer_no, event_day, known_day, device, country, channel, count(*) AS n FROM ev WHERE session_no IS NOT NULL GROUP BY ALL
),
known AS MATERIALIZED (
    SELECT base + customer_no AS feature_no, (event_day + 3) % 7 AS weekday, device, country, channel, n
    FROM habit_days JOIN cutoffs ON cutoff - known_day >= 0 WHERE cutoff - event_day < 90
)
SELECT * FROM {_habit("weekday", "weekday")} JOIN {_habit("device", "enum_code(device)")} USING (feature_no)
JOIN {_habit("country", "enum_code(country)")} USING (feature_no) JOIN {_habit("channel", "enum_code(channel)")} USING (feature_no)
"""
_CARTS = """
CREATE TEMP TABLE carts AS
WITH known AS (
    SELECT base + customer_no AS feature_no, cutoff, item, max(CASE WHEN event_type = 'add_to_cart' THEN us END) AS added,
        max(CASE WHEN event_type <> 'add_to_cart' THEN us END) AS gone,
        arg_max(cents(money(coalesce(price, 0)::DECIMAL(38, 6) * quantity)), CASE WHEN event_type = 'add_to_cart' THEN rn END) AS value
    FROM ev JOIN cutoffs ON cutoff - known_day >= 0
    WHERE event_type IN ('add_to_cart', 'remove_from_cart', 'purchase') AND item IS NOT NULL AND cutoff - event_day < 90
    GROUP BY ALL
),
kept AS (
    SELECT *, cutoff - day_of(added) AS ago FROM known WHERE added IS NOT NULL AND (gone IS NULL OR gone < added)
)
SELECT feature_no, count(*) FILTER (ago < 30) AS count_open_cart_items, sum(value) FILTER (ago < 30) AS open_cart_cents,
    min(ago) FILTER (ago < 30) AS open_cart_age_days, count(DISTINCT ago) FILTER (ago >= 1) AS count_abandoned_carts_90d
FROM kept GROUP BY ALL
"""
_RFM = """
CREATE TEMP TABLE rfm AS
WITH scored AS (
    SELECT feature_no, 5 - 5 * (rank() OVER (PARTITION BY cutoff ORDER BY last_order) - 1) // n AS recency_score,
        1 + 5 * (rank() OVER (PARTITION BY cutoff ORDER BY all_orders) - 1) // n AS frequency_score,
        1 + 5 * (rank() OVER (PARTITION BY cutoff ORDER BY net) - 1) // n AS monetary_score
    FROM (SELECT *, count(*) OVER (PARTITION BY cutoff) AS n FROM buyers WHERE all_orders > 0)
),
cells AS (
    SELECT recency_score, frequency_score, monetary_score, arg_min(rfm_segment, priority) AS rfm_segment
    FROM (SELECT DISTINCT recency_score, frequency_score, monetary_score FROM scored)
    JOIN rfm_segments ON recency_score BETWEEN recency_min AND recency_max AND frequency_score BETWEEN frequency_min AND frequency_max
        AND monetary_score BETWEEN monetary_min AND monetary_max
    GROUP BY 1, 2, 3
)
FROM scored LEFT JOIN cells USING (recency_score, frequency_score, monetary_score)
"""


def _engagement() -> str:
    """The score: each feature grows from nothing towards its weight, half of which it has at its half-saturation."""
    rows = _read_seed("engagement_weights")
    terms = {(row["feature"], int(row["window_days"])): row for row in rows}
    features = ("count_active_days", "count_sessions", "session_seconds", *COUNTED, "count_orders", "value")  # fmt: skip
    score = " + ".join(
        f"{terms[name, days]['weight']}::DOUBLE * {name}_{days}d::DOUBLE / ({name}_{days}d::DOUBLE + {terms[name, days]['half_saturation']}::DOUBLE)"
        for name in features
        for days in WINDOWS
        if (name, days) in terms
    )
    return f"round(100 * ({score}) / {sum(float(row['weight']) for row in rows)}::DOUBLE, 2)"


def _window(place: int, days: int) -> str:
    """The columns of a window. Counts are taken out of halves of their sums, for long numbers are slow."""
    half, at = ("", place) if days in _NEAR else (f" >> {3 * _BITS}", place - 3)

    def count(name: str) -> str:
        low = name if half else f"({name} & {(1 << 3 * _BITS) - 1})"
        return f"(({low}{half})::BIGINT >> {_BITS * at}) & {(1 << _BITS) - 1}"

    wide = "far" if half else "near"
    counts = ("count_active_days", "count_events", *COUNTED, *NEVER_COUNTED)
    return ", ".join((
        f"{count('count_sessions')} AS count_sessions_{days}d",
        f"{_part(f'{wide}_seconds', at, 2 * _BITS)} AS session_seconds_{days}d",
        *(f"{'0::BIGINT' if name in NEVER_COUNTED else count(name)} AS {name}_{days}d" for name in counts),
        f"coalesce({_part('buyers.count_orders', place)}, 0) AS count_orders_{days}d",
        f"total({_part(f'{wide}_net', at, 2 * _BITS)} / 100) AS value_{days}d",
    ))  # fmt: skip


def _named(words: str, most: str) -> str:
    return f"enum_range(NULL::{words})[most_code({most}) + 1]::VARCHAR"


_FEATURES = f"""
CREATE OR REPLACE TABLE lake.hand.customer_features AS
WITH shown AS (
    SELECT *, {" + ".join(_part("habits", place) for place in range(len(DAY_PARTS)))} AS in_90d FROM windows
)
SELECT customer_id, date_of(shown.cutoff) AS as_of_date, is_registered, first_seen::BIGINT AS days_since_first_seen,
    last_seen::BIGINT AS days_since_last_seen, coalesce(all_orders, 0) AS count_orders, total(gross / 100) AS gross_value,
    total(net / 100) AS total_value, average(net / 100, all_orders) AS average_order_value, first_order::BIGINT AS days_since_first_order,
    last_order::BIGINT AS days_since_last_order, mean_days_between_orders, stddev_days_between_orders, days_overdue, overdue_ratio,
    rate(refunded, gross) AS refund_rate, rate(back, pieces) AS refunded_quantity_rate,
    rate(discount, gross) AS discount_share, {", ".join(_window(place, days) for place, days in enumerate(WINDOWS))},
    rate(session_seconds_90d, count_sessions_90d) AS session_seconds_mean_90d, rate({_part("shown.habits", 5)}, count_sessions_90d) AS bounce_rate_90d,
    rate(count_add_to_carts_90d, count_product_views_90d) AS cart_to_view_rate_90d,
    rate(count_orders_90d, count_sessions_90d) AS order_to_session_rate_90d, rate({_part("views", 0)}, count_list_views_90d) AS list_to_view_rate_90d,
    NULL::DOUBLE AS recommendation_click_rate_90d, NULL::DOUBLE AS scroll_depth_mean_pct_90d,
    average(priced_cents / 100, {_part("views", 1)}) AS average_viewed_price_90d, rate(in_luxury, in_tiers) AS luxury_share_90d,
    rate(in_budget, in_tiers) AS budget_share_90d, coalesce(categories, 0) AS count_categories_90d,
    {_named("categories", "category_90d")} AS top_category_90d, rate(most_n(category_90d), in_categories) AS top_category_share_90d,
    {_named("brands", "brand_90d")} AS top_brand_90d,
    {", ".join(f"{_named(words, column)} AS top_{column}, rate(most_n({column}) / 1000000, {column}_micros / 1000000 + 10) AS top_{column}_affinity" for column, words in _DIMENSIONS.items())},
    coalesce(shown.looked, 0)::BIGINT AS view_seconds_30d, {_named("categories", "looked_30d")} AS top_category_by_time_30d,
    coalesce(most_n(looked_30d), 0) AS top_category_by_time_seconds_30d, rate(most_n(looked_30d), tops.looked) AS top_category_by_time_share_30d,
    coalesce(count_open_cart_items, 0) AS count_open_cart_items, total(open_cart_cents / 100) AS open_cart_value,
    open_cart_age_days::BIGINT AS open_cart_age_days, coalesce(count_abandoned_carts_90d, 0) AS count_abandoned_carts_90d,
    (CASE WHEN count_orders_30d > 0 THEN 5 WHEN count_checkouts_30d > 0 THEN 4 WHEN count_add_to_carts_30d > 0 THEN 3
        WHEN count_product_views_30d > 0 THEN 2 WHEN count_active_days_30d > 0 THEN 1 ELSE 0 END)::BIGINT AS funnel_step,
    (['none', 'visit', 'view', 'cart', 'checkout', 'purchase'])[funnel_step + 1] AS funnel_position,
    NULL::DOUBLE AS email_click_to_open_rate_90d, NULL::BIGINT AS days_since_last_email_open,
    rate(coalesce(slope, 0), 4495) AS events_slope_30d, rate(coalesce({_part("visited", 0)}, 0), {_part("visited", 1)}) AS events_ratio_30d,
    {_engagement()} AS engagement_score,
    {", ".join(f"rate({_part('shown.habits', place)}, in_90d) AS {part}_share_90d" for place, part in enumerate((*DAY_PARTS, "weekend")))},
    most_code(weekday) + 1 AS top_weekday_90d,
    {_named("devices", "device")} AS top_device_90d, rate(most_n(device), in_device) AS top_device_share_90d,
    {_named("countries", "country")} AS top_country_90d, NULL::VARCHAR AS top_region_90d,
    {_named("channels", "channel")} AS top_channel_90d, rate(most_n(channel), in_channel) AS top_channel_share_90d,
    recency_score, frequency_score, monetary_score, rfm_segment
FROM shown JOIN people USING (customer_no) LEFT JOIN rhythms USING (feature_no) LEFT JOIN tops USING (feature_no)
LEFT JOIN habits USING (feature_no) LEFT JOIN carts USING (feature_no) LEFT JOIN buyers USING (feature_no)
LEFT JOIN rfm USING (feature_no)
"""

STEPS = {
    "types": _TYPES,
    "people": _PEOPLE,
    "identifiers": _IDENTIFIERS,
    "told": _TOLD,
    "catalogue": _CATALOGUE,
    "set_aside": _SET_ASIDE,
    "suspects": _SUSPECTS,
    "bots": _BOTS,
    "borrowed": _BORROWED,
    "ev": _EVENTS,
    "visits": _VISITS,
    "lines": _LINES,
    "refunds": _REFUNDS,
    "bought": _BOUGHT,
    "tiers": _TIERS,
    "cutoffs": _CUTOFFS,
    "odd": _ODD,
    "days": _DAYS,
    "windows": _WINDOWS,
    "money": _MONEY,
    "buyers": _BUYERS,
    "rhythms": _RHYTHMS,
    "interests": _INTERESTS,
    "tastes": _TASTES,
    **{f"liked_{column}": _liked(column) for column in _DIMENSIONS},
    "tops": _TOPS,
    "habits": _HABITS,
    "carts": _CARTS,
    "rfm": _RFM,
}
TABLES = {
    "sessions": _SESSIONS,
    "order_lines": _ORDER_LINES,
    "orders": _ORDERS,
    "items": _ITEMS,
    "customers": _CUSTOMERS,
    "customer_events": _CUSTOMER_EVENTS,
    "customer_affinities": _AFFINITIES,
    "customer_features": _FEATURES,
}
STATEMENTS = STEPS | TABLES


def build_by_hand(
    settings: Settings, as_of: datetime, cutoff_dates: list[date]
) -> dict[str, float]:
    """Make the tables in the lake's schema `hand`, and return the seconds of each statement."""
    seconds = {}
    epoch = date(1970, 1, 1)
    values = {
        "as_of": as_of,
        "today": ((as_of - datetime.resolution).astimezone(UTC).date() - epoch).days,
        "days": [(day - epoch).days for day in cutoff_dates],
    }
    con = connect(settings, read_only=False)
    try:
        for statement in duckdb.extract_statements(_MACROS):
            con.execute(statement)
        con.execute(f"CREATE TEMP TABLE rfm_segments AS FROM read_csv('{SEEDS / 'rfm_segments.csv'}')")  # fmt: skip
        con.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{SCHEMA}")
        # Texts name the side to hash second; the estimates of joins of computed columns are far off.
        con.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        for name, statement in STATEMENTS.items():
            started = time.perf_counter()
            # Temporary tables are read faster once they stand; a transaction of the lake costs more than a small table.
            if name == next(iter(TABLES)):
                con.execute("BEGIN")
            given = {key: value for key, value in values.items() if f"${key}" in statement}
            for part in duckdb.extract_statements(statement):
                con.execute(part, given)
            seconds[name] = time.perf_counter() - started
        started = time.perf_counter()
        con.execute("COMMIT")
        seconds["commit"] = time.perf_counter() - started
    finally:
        con.close()
    return seconds


def main() -> int:
    """Make the tables in a lake of `warehouse_rows` and say what took how long."""
    from warehouse_rows import AS_OF, find_dates, settings_of

    settings = settings_of(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "4GB")
    started = time.perf_counter()
    for name, spent in build_by_hand(settings, AS_OF, find_dates(AS_OF)).items():
        print(f"{name:20}{spent:8.2f}")
    print(f"{'all':20}{time.perf_counter() - started:8.2f}; CPU {time.process_time():.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
