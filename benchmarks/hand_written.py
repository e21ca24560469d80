"""The tables of the `features` stage by hand: one connection, temporary tables, whole numbers in place of texts, one sort.

What somebody would write who needs these tables from this lake and nothing else, as a measure of what dbt's many tables cost.
Left out is what the lake of `warehouse_rows` has no rows of: orders of the shop itself, messages, feedback, exchange rates, item
properties, category trees, consent flags. To compare more columns, add them to a statement of `STATEMENTS`.
"""

import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from jobs.lake import connect
from jobs.settings import Settings

SCHEMA = "hand"
WINDOWS = (7, 30, 90, 365)
COUNTED = {
    "count_product_views": "product_view",
    "count_list_views": "list_view",
    "count_searches": "search",
    "count_add_to_carts": "add_to_cart",
    "count_wishlists": "add_to_wishlist",
    "count_email_opens": "email_open",
    "count_email_clicks": "email_click",
}
COUNTS = ("count_events", *COUNTED, "count_orders")

_MACROS = """
    CREATE OR REPLACE TEMP MACRO text_or_null(t) AS nullif(trim(t), '');
    CREATE OR REPLACE TEMP MACRO day_of(us) AS (us // 86400000000)::INTEGER;
    CREATE OR REPLACE TEMP MACRO date_of(day) AS DATE '1970-01-01' + day;
    CREATE OR REPLACE TEMP MACRO money(x) AS round(x, 2)::DECIMAL(18, 2);
    CREATE OR REPLACE TEMP MACRO rate(a, b) AS round(a::DOUBLE / nullif(b::DOUBLE, 0), 6);
    CREATE OR REPLACE TEMP MACRO average(a, b) AS round(a::DOUBLE / nullif(b::DOUBLE, 0), 2);
    CREATE OR REPLACE TEMP MACRO total(x) AS coalesce(x, 0)::DOUBLE;
"""

# Sources as they were known at $as_of.
_KNOWN = "NOT is_bot AND occurred_at < $as_of AND received_at <= $as_of"
_IDENTIFIER = """coalesce(text_or_null(user_id), CASE WHEN NOT starts_with(email, 'g_') THEN email END, phone,
        text_or_null(anonymous_id))"""
_ACTOR = """coalesce(text_or_null(anonymous_id), text_or_null(user_id),
        CASE WHEN NOT starts_with(email, 'g_') THEN email END, phone)"""

_PEOPLE = """
CREATE TEMP TABLE people AS
SELECT customer_id, (row_number() OVER (ORDER BY customer_id))::INTEGER AS customer_no, bool_or(kind <> 'device') AS is_registered,
    arg_min(identifier, row(first_known_at, identifier)) FILTER (kind = 'user') AS user_id
FROM lake.identity.identifiers GROUP BY customer_id
"""
_IDENTIFIERS = """
CREATE TEMP TABLE identifiers AS
SELECT identifier, customer_no, epoch_us(linked_at) AS linked_us FROM lake.identity.identifiers JOIN people USING (customer_id)
"""
_DECISIONS = """
CREATE TEMP TABLE decisions AS
SELECT customer_no, purpose,
    arg_max(state, row(recorded_at, state <> 'granted', state, consent_id)) AS state
FROM lake.raw.consents JOIN identifiers ON identifier = coalesce(text_or_null(user_id), email, phone, text_or_null(anonymous_id))
WHERE recorded_at < $as_of AND coalesce(received_at <= $as_of, true)
GROUP BY ALL
"""
_SET_ASIDE = f"""
CREATE TEMP TABLE set_aside AS
WITH tracked AS (
    SELECT event_id, source, {_ACTOR} AS actor_id, text_or_null(order_id) AS order_id, epoch_us(occurred_at) AS us,
        text_or_null(item_id) AS item_id, text_or_null(title) AS title, price, coalesce(quantity, 1) AS quantity
    FROM lake.raw.events WHERE event_type = 'purchase' AND {_KNOWN}
),
lines AS (
    SELECT *, CASE WHEN coalesce(order_id, actor_id) IS NOT NULL THEN max(us) OVER (
        PARTITION BY source, coalesce('o' || order_id, 'a' || actor_id), item_id, title, price, quantity
        ORDER BY us RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) END AS before_us
    FROM tracked
)
SELECT event_id FROM lines
WINDOW firing AS (PARTITION BY source, actor_id, order_id, us)
QUALIFY bool_and(before_us IS NOT NULL) OVER firing AND (order_id IS NOT NULL OR us - min(before_us) OVER firing <= 1000000)
"""
# Nobody who does less in every hour can be too fast; nobody who views less on every day can be too steady.
_SUSPECTS = f"""
CREATE TEMP TABLE suspects AS
WITH hours AS (
    SELECT {_ACTOR} AS actor_id, epoch_us(occurred_at) // 3600000000 AS hour,
        count(*) FILTER (event_type NOT IN ('purchase', 'refund', 'email_open', 'email_click', 'push_open', 'recommendation_impression')) AS n_paced,
        count(*) FILTER (event_type IN ('page_view', 'product_view', 'list_view')) AS n_views,
        bool_or(event_type = 'purchase') AS has_bought
    FROM lake.raw.events WHERE {_KNOWN} GROUP BY 1, 2
),
days AS (
    SELECT actor_id, max(n_paced) AS n_paced, sum(n_views) AS n_views, bool_or(has_bought) AS has_bought FROM hours
    WHERE actor_id IS NOT NULL GROUP BY actor_id, hour // 24
)
SELECT actor_id, max(n_paced) * 2 > 120 AS may_be_fast, max(n_views) * 2 > 30 AND NOT bool_or(has_bought) AS may_be_steady
FROM days GROUP BY actor_id HAVING may_be_fast OR may_be_steady
"""
_BOTS = f"""
CREATE TEMP TABLE bots AS
WITH seen AS (
    SELECT {_ACTOR} AS actor_id, event_type, epoch_us(occurred_at) AS us FROM lake.raw.events
    WHERE {_KNOWN} AND {_ACTOR} IN (SELECT actor_id FROM suspects)
),
fast AS (
    SELECT actor_id, us - lag(us, 120) OVER actor < 60000000 OR us - lag(us, 1000) OVER actor < 3600000000 AS is_bot
    FROM seen SEMI JOIN (FROM suspects WHERE may_be_fast) USING (actor_id)
    WHERE event_type NOT IN ('purchase', 'refund', 'email_open', 'email_click', 'push_open', 'recommendation_impression')
    WINDOW actor AS (PARTITION BY actor_id ORDER BY us)
),
pages AS (
    SELECT actor_id, min(us // 1000) AS ms FROM seen SEMI JOIN (FROM suspects WHERE may_be_steady) USING (actor_id)
    WHERE event_type IN ('page_view', 'product_view', 'list_view') GROUP BY actor_id, us // 1000000
),
gaps AS (
    SELECT actor_id, ms, least(ms - lag(ms) OVER (PARTITION BY actor_id ORDER BY ms), 1800001) AS gap FROM pages
),
steady AS (
    SELECT actor_id, count(gap) OVER unpaused = 200 AND max(gap) OVER unpaused <= 20000
        OR count(gap) OVER paced = 30 AND max(gap) OVER paced <= 1800000 AND bool_or(ms % 60000 > 0) OVER paced
        AND 30 * sum(gap * gap) OVER paced - sum(gap) OVER paced * sum(gap) OVER paced
            < 0.1 * 0.1 * sum(gap) OVER paced * sum(gap) OVER paced AS is_bot
    FROM gaps
    WINDOW unpaused AS (PARTITION BY actor_id ORDER BY ms ROWS BETWEEN 199 PRECEDING AND CURRENT ROW),
        paced AS (PARTITION BY actor_id ORDER BY ms ROWS BETWEEN 29 PRECEDING AND CURRENT ROW)
)
SELECT actor_id FROM (FROM fast UNION ALL FROM steady) WHERE is_bot GROUP BY actor_id
"""
_BORROWED = f"""
CREATE TEMP TABLE borrowed AS
WITH devices AS (
    SELECT other_identifier AS shared_device FROM lake.identity.links
    WHERE cut_reason IS NOT NULL AND link_kind IN ('login', 'order') GROUP BY 1
),
seen AS (
    SELECT event_id, text_or_null(anonymous_id) AS shared_device, epoch_us(occurred_at) AS us, epoch_us(received_at) AS told_us,
        nullif({_IDENTIFIER}, shared_device) AS person
    FROM lake.raw.events
    WHERE {_KNOWN} AND event_type NOT IN ('email_open', 'email_click', 'push_open', 'refund')
        AND text_or_null(anonymous_id) IN (FROM devices)
),
starts AS (
    SELECT *, coalesce(us - lag(us) OVER (PARTITION BY shared_device ORDER BY us, event_id) > 1800000000, true) AS is_start FROM seen
),
visits AS (
    SELECT *, count(*) FILTER (is_start) OVER (PARTITION BY shared_device ORDER BY us, event_id ROWS UNBOUNDED PRECEDING) AS visit FROM starts
),
named AS (
    SELECT event_id, person,
        coalesce(last_value(person IGNORE NULLS) OVER so_far, first_value(person IGNORE NULLS) OVER later) AS identifier,
        coalesce(last_value(CASE WHEN person IS NOT NULL THEN told_us END IGNORE NULLS) OVER so_far,
            first_value(CASE WHEN person IS NOT NULL THEN told_us END IGNORE NULLS) OVER later) AS linked_us
    FROM visits
    WINDOW so_far AS (PARTITION BY shared_device, visit ORDER BY us, event_id ROWS UNBOUNDED PRECEDING),
        later AS (PARTITION BY shared_device, visit ORDER BY us, event_id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
)
SELECT event_id, identifier, linked_us FROM named WHERE person IS NULL AND identifier IS NOT NULL
"""
_CATALOGUE = """
CREATE TEMP TABLE catalogue AS
WITH known AS (
    SELECT items.item_id, text_or_null(items.title) AS title, description, text_or_null(category) AS category,
        text_or_null(brand) AS brand, price, currency, is_in_stock, available_from, available_until
    FROM lake.raw.items AS items LEFT JOIN lake.raw.files AS files ON items.file_id = files.file_id AND files.entity = 'items'
    WHERE coalesce(items.received_at <= $as_of, true) AND coalesce(valid_from <= $as_of, true) AND coalesce(valid_to > $as_of, true)
    QUALIFY row_number() OVER (PARTITION BY items.item_id ORDER BY items.received_at DESC NULLS LAST, files.loaded_at DESC NULLS LAST,
        files.path DESC NULLS LAST, valid_from DESC NULLS LAST, items.line_number DESC, items.source, items.file_id DESC) = 1
)
SELECT * FROM known
"""
# One sort, by numbers that stand in the order of the texts; behind it all of a customer's rows follow each other, so a visit is
# found by looking at the row before, without a partition. Key: customer and time in one number.
_EVENTS = f"""
CREATE TEMP TABLE ev AS
WITH source AS (
    SELECT event_id, event_type, epoch_us(occurred_at) AS us, epoch_us(received_at) AS told_us, {_IDENTIFIER} AS identifier,
        {_ACTOR} AS actor_id, text_or_null(item_id) AS item_id, text_or_null(category) AS category, text_or_null(brand) AS brand,
        price, coalesce(quantity, 1) AS quantity, coalesce(discount, 0) AS discount, text_or_null(order_id) AS order_id,
        search_query, url_path, channel, campaign, device, country, region
    FROM lake.raw.events WHERE {_KNOWN}
),
owned AS (
    SELECT source.*, identifiers.customer_no, greatest(told_us, borrowed.linked_us, identifiers.linked_us) AS known_us,
        denied.customer_no IS NULL AND event_type NOT IN ('email_open', 'email_click', 'push_open', 'refund') AS opens_session,
        denied.customer_no IS NOT NULL AS is_denied
    FROM source
    ANTI JOIN set_aside ON source.event_id = set_aside.event_id
    ANTI JOIN bots ON source.actor_id = bots.actor_id
    LEFT JOIN borrowed ON source.event_id = borrowed.event_id
    JOIN identifiers ON coalesce(borrowed.identifier, source.identifier) = identifiers.identifier
    LEFT JOIN (FROM decisions WHERE purpose = 'analytics' AND state <> 'granted') AS denied ON identifiers.customer_no = denied.customer_no
    WHERE denied.customer_no IS NULL OR event_type IN ('purchase', 'refund')
),
sorted AS (
    SELECT customer_no, us, event_id, event_type, known_us, owned.item_id, owned.price, quantity, discount, order_id, search_query, country,
        region, opens_session, coalesce(owned.category, catalogue.category) AS category, coalesce(owned.brand, catalogue.brand) AS brand,
        CASE WHEN NOT is_denied THEN url_path END AS url_path, CASE WHEN NOT is_denied THEN channel END AS channel,
        CASE WHEN NOT is_denied THEN campaign END AS campaign, CASE WHEN NOT is_denied THEN device END AS device
    FROM owned LEFT JOIN catalogue ON owned.item_id = catalogue.item_id
    ORDER BY customer_no, us, event_id
),
keyed AS (
    SELECT *, row_number() OVER () AS rn,
        CASE WHEN opens_session THEN customer_no::HUGEINT * 4503599627370496 + us END AS key,
        max(key) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS last_key
    FROM sorted
),
started AS (
    SELECT *, coalesce(key - lag(last_key) OVER () > 1800000000, key IS NOT NULL) AS is_start FROM keyed
),
visited AS (
    SELECT *, sum(is_start::INTEGER) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS visit FROM started
)
SELECT * EXCLUDE (key, last_key, is_start, visit), CASE WHEN opens_session THEN visit::INTEGER END AS session_no, day_of(us) AS event_day,
    greatest(day_of(known_us - 1), event_day) AS known_day
FROM visited
"""
_VISITS = """
CREATE TEMP TABLE visits AS
SELECT session_no, any_value(customer_no) AS customer_no, arg_min(event_id, rn) AS first_event_id, min(us) AS first_us, max(us) AS last_us,
    count(*) AS count_events, count(*) FILTER (event_type = 'product_view') AS count_product_views,
    count(*) FILTER (event_type = 'add_to_cart') AS count_add_to_carts, arg_min(url_path, rn) AS entry_path,
    arg_max(url_path, rn) AS exit_path, arg_min(channel, rn) AS channel, arg_min(device, rn) AS device,
    min(event_day) AS event_day, max(event_day) AS last_day, min(known_day) AS known_day, max(known_day) AS last_known_day
FROM ev WHERE session_no IS NOT NULL GROUP BY session_no
"""
_SESSION_IDS = """
CREATE TEMP TABLE session_ids AS
SELECT session_no, md5(concat_ws('|', customer_id, first_event_id)) AS session_id FROM visits JOIN people USING (customer_no)
"""
_LINES = """
CREATE TEMP TABLE lines AS
WITH purchases AS (
    SELECT *, coalesce(order_id, md5(concat_ws('|', customer_id, coalesce(session_id, us::VARCHAR)))) AS resolved_id
    FROM (FROM ev WHERE event_type = 'purchase') JOIN people USING (customer_no) LEFT JOIN session_ids USING (session_no)
)
SELECT event_id AS order_line_id, resolved_id AS order_id, first_value(customer_no) OVER told AS customer_no,
    first_value(session_no) OVER told AS session_no, min(us) OVER same_order AS ordered_us, known_day, item_id, category, brand, price,
    quantity, money(coalesce(price::DECIMAL(38, 6) * quantity, 0)) AS gross_value,
    least(greatest(money(discount), 0), gross_value) AS discount
FROM purchases
WINDOW same_order AS (PARTITION BY resolved_id), told AS (PARTITION BY resolved_id ORDER BY us, event_id)
"""
_REFUNDS = """
CREATE TEMP TABLE refunds AS
WITH told AS (FROM ev WHERE event_type = 'refund'),
pieces AS (
    SELECT *, gross_value - discount AS paid, sum(quantity) OVER (PARTITION BY order_id, item_id ORDER BY ordered_us DESC, order_line_id DESC
        ROWS UNBOUNDED PRECEDING) AS last_piece
    FROM lines WHERE quantity > 0
),
order_items AS (
    SELECT order_id, item_id, any_value(customer_no) AS customer_no, min(ordered_us) AS ordered_us, sum(quantity) AS pieces
    FROM pieces GROUP BY ALL
),
matches AS (
    SELECT event_id, 1 AS preference, order_items.order_id, order_items.item_id, quantity AS pieces
    FROM told JOIN order_items USING (order_id, item_id)
    UNION ALL
    SELECT event_id, 2, order_items.order_id, order_items.item_id, quantity
    FROM told JOIN order_items ON told.customer_no = order_items.customer_no AND told.item_id = order_items.item_id AND us >= ordered_us
    QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY ordered_us DESC, order_items.order_id DESC) = 1
    UNION ALL
    SELECT event_id, 3, order_items.order_id, order_items.item_id, pieces
    FROM told JOIN order_items ON told.order_id = order_items.order_id AND told.item_id IS NULL AND told.price IS NULL
),
best AS (FROM matches QUALIFY preference = min(preference) OVER (PARTITION BY event_id)),
placed AS (
    SELECT event_id, best.order_id, best.item_id, known_day, pieces, price,
        sum(pieces) OVER (PARTITION BY best.order_id, best.item_id ORDER BY us, event_id ROWS UNBOUNDED PRECEDING) AS last_piece
    FROM best JOIN told USING (event_id)
),
taken AS (
    SELECT event_id, order_line_id, pieces.order_id, customer_no, ordered_us, greatest(placed.known_day, pieces.known_day) AS known_day,
        greatest(placed.last_piece - placed.pieces, pieces.last_piece - quantity) - (pieces.last_piece - quantity) AS first_offset,
        least(placed.last_piece, pieces.last_piece) - (pieces.last_piece - quantity) AS last_offset,
        least(coalesce(placed.price, paid / quantity), paid / quantity) AS unit_value
    FROM placed JOIN pieces ON placed.order_id = pieces.order_id AND placed.item_id IS NOT DISTINCT FROM pieces.item_id
        AND placed.last_piece - placed.pieces < pieces.last_piece AND placed.last_piece > pieces.last_piece - quantity
)
SELECT event_id AS refund_event_id, order_line_id, order_id, customer_no, ordered_us, known_day, last_offset - first_offset AS quantity,
    money(last_offset * unit_value) - money(first_offset * unit_value) AS value
FROM taken
"""

_SESSIONS = """
CREATE OR REPLACE TABLE lake.hand.sessions AS
SELECT session_id, customer_id, make_timestamptz(first_us) AS started_at, make_timestamptz(last_us) AS ended_at,
    last_us // 1000000 - first_us // 1000000 AS duration_seconds, count_events, count_product_views, count_add_to_carts,
    coalesce(count_orders, 0) AS count_orders, entry_path, exit_path, channel, device, count_events = 1 AS is_bounce
FROM visits JOIN session_ids USING (session_no) JOIN people USING (customer_no)
LEFT JOIN (SELECT session_no, count(DISTINCT order_id) AS count_orders FROM lines GROUP BY ALL) USING (session_no)
"""
_ORDER_LINES = """
CREATE OR REPLACE TABLE lake.hand.order_lines AS
SELECT order_line_id, order_id, customer_id, make_timestamptz(ordered_us) AS ordered_at, item_id, category, brand,
    lines.quantity::DOUBLE AS quantity, price::DOUBLE AS price, 'EUR' AS currency, 1::DOUBLE AS exchange_rate, gross_value::DOUBLE AS gross_value,
    discount::DOUBLE AS discount, total(back.quantity) AS refunded_quantity, total(back.value) AS refunded_value,
    (gross_value - discount - coalesce(back.value, 0))::DOUBLE AS net_value
FROM lines JOIN people USING (customer_no)
LEFT JOIN (SELECT order_line_id, sum(quantity) AS quantity, sum(value) AS value FROM refunds GROUP BY ALL) AS back USING (order_line_id)
"""
_ORDERS = """
CREATE OR REPLACE TABLE lake.hand.orders AS
SELECT order_id, customer_id, make_timestamptz(ordered_us) AS ordered_at, count_lines, gross_value::DOUBLE AS gross_value,
    discount_value::DOUBLE AS discount_value, total(value) AS refunded_value,
    (gross_value - discount_value - coalesce(value, 0))::DOUBLE AS net_value, 0::DOUBLE AS tax_value, 0::DOUBLE AS shipping_value,
    'EUR' AS currency, value IS NOT NULL AS is_refunded
FROM (
    SELECT order_id, customer_no, ordered_us, count(*) AS count_lines, sum(gross_value) AS gross_value, sum(discount) AS discount_value
    FROM lines GROUP BY ALL
) JOIN people USING (customer_no)
LEFT JOIN (SELECT order_id, sum(value) AS value FROM refunds GROUP BY ALL) USING (order_id)
"""
_ITEMS = f"""
CREATE OR REPLACE TABLE lake.hand.items AS
WITH seen AS (
    SELECT text_or_null(item_id) AS item_id, arg_max(text_or_null(title), row(occurred_at, event_id)) AS title,
        arg_max(text_or_null(category), row(occurred_at, event_id)) AS category,
        arg_max(text_or_null(brand), row(occurred_at, event_id)) AS brand, arg_max(price, row(occurred_at, event_id)) AS price
    FROM lake.raw.events WHERE {_KNOWN} AND event_type <> 'refund' AND item_id IS NOT NULL AND text_or_null(item_id) NOT IN (
        SELECT item_id FROM catalogue WHERE title IS NOT NULL AND category IS NOT NULL AND brand IS NOT NULL AND price IS NOT NULL)
    GROUP BY 1
),
joined AS (
    SELECT item_id, coalesce(catalogue.title, seen.title) AS title, description, coalesce(catalogue.category, seen.category) AS category,
        coalesce(catalogue.brand, seen.brand) AS brand, coalesce(catalogue.price, seen.price) AS price, 'EUR' AS currency, is_in_stock,
        available_from, available_until
    FROM catalogue FULL JOIN seen USING (item_id)
),
thirds AS (
    SELECT item_id, count(*) OVER (PARTITION BY category) AS n, 3 * (rank() OVER (PARTITION BY category ORDER BY price) - 1) // n AS third
    FROM joined WHERE category IS NOT NULL AND price IS NOT NULL
)
SELECT joined.* REPLACE (price::DOUBLE AS price), CASE WHEN n >= 3 THEN (['budget', 'mid', 'luxury'])[third + 1] END AS price_tier
FROM joined LEFT JOIN thirds USING (item_id)
"""
_CUSTOMERS = """
CREATE OR REPLACE TABLE lake.hand.customers AS
WITH seen AS (
    SELECT customer_no, min(us) AS first_us, max(us) AS last_us, arg_max(country, rn) AS country, arg_max(region, rn) AS region,
        arg_min(channel, rn) AS channel, arg_max(device, rn) AS device
    FROM ev GROUP BY customer_no
),
profiles AS (
    SELECT customer_no, country, region, birth_year, gender, loyalty_tier, signed_up_at
    FROM lake.raw.profiles AS told JOIN identifiers ON identifier = coalesce(text_or_null(user_id), email, phone)
    LEFT JOIN lake.raw.files AS files ON told.file_id = files.file_id AND files.entity = 'profiles'
    WHERE coalesce(received_at <= $as_of, true) AND coalesce(updated_at < $as_of, true)
    QUALIFY row_number() OVER (PARTITION BY customer_no ORDER BY updated_at DESC NULLS LAST, received_at DESC NULLS LAST,
        files.loaded_at DESC NULLS LAST, files.path DESC NULLS LAST, line_number DESC, told.source, told.file_id DESC) = 1
),
orders AS (
    SELECT customer_no, count(DISTINCT order_id) AS n, sum(gross_value - discount) AS value FROM lines GROUP BY ALL
),
back AS (SELECT customer_no, sum(value) AS value FROM refunds GROUP BY ALL),
joined AS (
    SELECT customer_no, seen.customer_no IS NOT NULL AS is_seen, profiles.customer_no IS NOT NULL AS has_profile,
        coalesce(profiles.country, seen.country) AS country, coalesce(profiles.region, seen.region) AS region, birth_year, gender,
        loyalty_tier, signed_up_at, first_us, last_us, channel, device,
        $today - day_of(coalesce(first_us, epoch_us(signed_up_at))) AS days_known,
        $today - day_of(coalesce(last_us, epoch_us(signed_up_at))) AS days_away
    FROM seen FULL JOIN profiles USING (customer_no)
)
SELECT customer_id, user_id, (is_seen AND is_registered) OR has_profile AS is_registered, country, region, birth_year, gender,
    loyalty_tier, signed_up_at, make_timestamptz(first_us) AS first_seen_at, make_timestamptz(last_us) AS last_seen_at,
    coalesce(sessions.n, 0) AS count_sessions, coalesce(orders.n, 0) AS count_orders,
    total(orders.value - coalesce(back.value, 0)) AS net_value, coalesce(state, 'denied') = 'granted' AS has_marketing_consent,
    CASE WHEN days_known < 30 THEN 'new' WHEN days_away < 30 THEN 'active' WHEN days_away < 90 THEN 'at_risk'
        WHEN days_away < 180 THEN 'lapsed' ELSE 'lost' END AS lifecycle_stage,
    channel AS first_channel, device AS last_device
FROM joined JOIN people USING (customer_no)
LEFT JOIN (SELECT customer_no, count(*) AS n FROM visits GROUP BY ALL) AS sessions USING (customer_no)
LEFT JOIN orders USING (customer_no) LEFT JOIN back USING (customer_no)
LEFT JOIN (FROM decisions WHERE purpose = 'marketing') USING (customer_no)
ORDER BY customer_id
"""
_CUSTOMER_EVENTS = """
CREATE OR REPLACE TABLE lake.hand.customer_events AS
WITH back AS (
    SELECT refund_event_id, min(order_id) AS order_id, -sum(value) AS value FROM refunds GROUP BY ALL
),
valued AS (
    SELECT order_line_id AS event_id, order_id, gross_value - discount AS value FROM lines UNION ALL FROM back
)
SELECT event_id, customer_id, session_id, event_type, make_timestamptz(us) AS occurred_at, make_timestamptz(known_us) AS known_at,
    item_id, category, brand, price::DOUBLE AS price, quantity::DOUBLE AS quantity, value::DOUBLE AS value,
    coalesce(valued.order_id, ev.order_id) AS order_id, search_query, url_path, channel, campaign, device, country, region
FROM ev JOIN people USING (customer_no) LEFT JOIN session_ids USING (session_no) LEFT JOIN valued USING (event_id)
"""
_CUTOFFS = "CREATE TEMP TABLE cutoffs AS SELECT unnest($days::INTEGER[]) AS cutoff"
# A day comes in parts where events were late. Of these the first that shows a visit makes the day an active one, so that parts can
# be added up without making days of them again.
_DAYS = f"""
CREATE TEMP TABLE days AS
WITH events AS (
    SELECT customer_no, event_day, known_day, count(*) AS count_events, count(session_no) > 0 AS has_visit,
        {", ".join(f"count(*) FILTER (event_type = '{type_}') AS {name}" for name, type_ in COUNTED.items())}
    FROM ev GROUP BY ALL
),
orders AS (
    SELECT customer_no, ordered_us, min(known_day) AS known_day FROM lines GROUP BY customer_no, ordered_us, order_id
),
money AS (
    SELECT customer_no, day_of(ordered_us) AS event_day, known_day, 1 AS n, 0 AS gross, 0 AS discount, 0 AS refunded FROM orders
    UNION ALL
    SELECT customer_no, day_of(ordered_us), known_day, 0, gross_value, discount, 0 FROM lines
    UNION ALL
    SELECT customer_no, day_of(ordered_us), known_day, 0, 0, 0, value FROM refunds
),
sums AS (
    SELECT customer_no, event_day, known_day, sum(n) AS count_orders, (100 * sum(gross))::BIGINT AS gross,
        (100 * sum(discount))::BIGINT AS discount, (100 * sum(refunded))::BIGINT AS refunded
    FROM money GROUP BY ALL
),
joined AS (
    SELECT customer_no, event_day, known_day, coalesce(has_visit, false) AS has_visit, gross, discount, refunded,
        gross - discount - refunded AS net, {", ".join(f"coalesce({name}, 0)::INTEGER AS {name}" for name in COUNTS)}
    FROM events FULL JOIN sums USING (customer_no, event_day, known_day)
)
SELECT *, (has_visit AND known_day = min(CASE WHEN has_visit THEN known_day END)
    OVER (PARTITION BY customer_no, event_day))::INTEGER AS count_active_days
FROM joined
"""
_WEIGHTS = {days: f"{1 << (32 * place)}::HUGEINT" for place, days in enumerate(WINDOWS)}


def _packed(name: str) -> str:
    """The four windows of a count as the four parts of one number: added up once instead of four times."""
    return f"sum({name} * weight) AS {name}"


def _unpacked(name: str) -> str:
    return ", ".join(
        f"(({name} >> {32 * place}) & 4294967295)::BIGINT AS {name}_{days}d"
        for place, days in enumerate(WINDOWS)
    )


_ALL_COUNTS = ("count_active_days", *COUNTS)
_WINDOWS = f"""
CREATE TEMP TABLE windows AS
WITH known AS (
    SELECT *, cutoff - event_day AS ago,
        CASE WHEN ago < 7 THEN {sum(1 << (32 * place) for place in range(4))}::HUGEINT
            WHEN ago < 30 THEN {sum(1 << (32 * place) for place in range(1, 4))}::HUGEINT
            WHEN ago < 90 THEN {sum(1 << (32 * place) for place in range(2, 4))}::HUGEINT
            WHEN ago < 365 THEN {1 << 96}::HUGEINT ELSE 0::HUGEINT END AS weight
    FROM days JOIN cutoffs ON cutoff >= event_day AND cutoff >= known_day
),
summed AS (
    SELECT customer_no, cutoff, max(CASE WHEN count_events > 0 THEN ago END) AS first_seen,
        min(CASE WHEN count_events > 0 THEN ago END) AS last_seen, max(CASE WHEN count_orders > 0 THEN ago END) AS first_order,
        min(CASE WHEN count_orders > 0 THEN ago END) AS last_order, sum(count_orders)::BIGINT AS all_orders, sum(gross)::BIGINT AS gross,
        sum(discount)::BIGINT AS discount, sum(refunded)::BIGINT AS refunded, sum(net)::BIGINT AS net,
        {", ".join(f"sum(CASE WHEN ago < {days} THEN net END)::BIGINT AS value_{days}d" for days in WINDOWS)},
        {", ".join(map(_packed, _ALL_COUNTS))}
    FROM known GROUP BY customer_no, cutoff
)
SELECT * EXCLUDE ({", ".join(_ALL_COUNTS)}), {", ".join(map(_unpacked, _ALL_COUNTS))}
FROM summed WHERE first_seen IS NOT NULL
"""
# Nearly every visit is of one day and known at once; only of the others is it looked up what was known.
_VISIT_WINDOWS = f"""
CREATE TEMP TABLE visit_windows AS
WITH parts AS (
    SELECT session_no, customer_no, event_day, known_day, min(us) AS first_us, max(us) AS last_us, count(*) AS n
    FROM ev SEMI JOIN (FROM visits WHERE event_day <> last_day OR known_day <> last_known_day) USING (session_no)
    GROUP BY ALL
),
known AS (
    SELECT customer_no, cutoff, cutoff - event_day AS ago, last_us // 1000000 - first_us // 1000000 AS seconds, count_events = 1 AS is_bounce
    FROM visits JOIN cutoffs ON cutoff >= known_day AND cutoff - event_day BETWEEN 0 AND 364
    WHERE event_day = last_day AND known_day = last_known_day
    UNION ALL
    SELECT customer_no, cutoff, cutoff - min(event_day), max(last_us) // 1000000 - min(first_us) // 1000000, sum(n) = 1
    FROM parts JOIN cutoffs ON cutoff >= known_day AND cutoff - event_day BETWEEN 0 AND 364
    GROUP BY session_no, customer_no, cutoff
)
SELECT customer_no, cutoff, {", ".join(f"count(CASE WHEN ago < {days} THEN 1 END) AS count_sessions_{days}d" for days in WINDOWS)},
    rate(sum(CASE WHEN ago < 90 THEN seconds END), count_sessions_90d) AS session_seconds_mean_90d,
    rate(count(CASE WHEN is_bounce AND ago < 90 THEN 1 END), count_sessions_90d) AS bounce_rate_90d
FROM known GROUP BY customer_no, cutoff
"""
_INTERESTS = """
CREATE TEMP TABLE interests AS
SELECT customer_no, cutoff, category, brand, (100 * money(CASE WHEN event_type = 'product_view' THEN price END))::BIGINT AS cents
FROM ev JOIN cutoffs ON cutoff >= known_day AND cutoff >= event_day AND cutoff - event_day < 90
WHERE event_type IN ('product_view', 'add_to_wishlist', 'add_to_cart', 'purchase')
"""
_PRICES = """
CREATE TEMP TABLE prices AS
WITH counted AS (
    SELECT cutoff, category, cents, count(*) AS n FROM interests WHERE category IS NOT NULL AND cents IS NOT NULL GROUP BY ALL
),
levels AS (
    SELECT cutoff, category, cents, rate(sum(n) OVER (PARTITION BY cutoff, category ORDER BY cents) - n / 2,
        sum(n) OVER (PARTITION BY cutoff, category)) AS percentile FROM counted
)
SELECT customer_no, cutoff, average(sum(cents)::DECIMAL(38, 2) / 100, count(*)) AS average_viewed_price_90d,
    rate(sum((1000000 * percentile::DECIMAL(9, 6))::BIGINT)::DOUBLE / 1000000, count(percentile)) AS viewed_price_percentile_90d
FROM interests LEFT JOIN levels USING (cutoff, category, cents) WHERE cents IS NOT NULL GROUP BY ALL
"""
_TOPS = """
CREATE TEMP TABLE tops AS
WITH categories AS (
    SELECT customer_no, cutoff, category, count(*) AS n FROM interests WHERE category IS NOT NULL GROUP BY ALL
),
brands AS (
    SELECT customer_no, cutoff, brand, count(*) AS n FROM interests WHERE brand IS NOT NULL GROUP BY ALL
)
SELECT * FROM (
    SELECT customer_no, cutoff, count(*) AS count_categories_90d, arg_min(category, row(-n, category)) AS top_category_90d,
        rate(max(n), sum(n)) AS top_category_share_90d FROM categories GROUP BY ALL
) FULL JOIN (
    SELECT customer_no, cutoff, arg_min(brand, row(-n, brand)) AS top_brand_90d FROM brands GROUP BY ALL
) USING (customer_no, cutoff)
"""
_CARTS = """
CREATE TEMP TABLE carts AS
WITH known AS (
    SELECT customer_no, cutoff, item_id, max(CASE WHEN event_type = 'add_to_cart' THEN us END) AS added,
        max(CASE WHEN event_type <> 'add_to_cart' THEN us END) AS gone,
        arg_max(money(coalesce(price, 0)::DECIMAL(38, 6) * quantity), CASE WHEN event_type = 'add_to_cart' THEN rn END) AS value
    FROM ev JOIN cutoffs ON cutoff >= known_day AND cutoff >= event_day AND cutoff - event_day < 30
    WHERE event_type IN ('add_to_cart', 'remove_from_cart', 'purchase') AND item_id IS NOT NULL
    GROUP BY ALL
)
SELECT customer_no, cutoff, count(*) AS count_open_cart_items, sum(value) AS open_cart_value FROM known
WHERE added IS NOT NULL AND (gone IS NULL OR gone < added) GROUP BY ALL
"""
_RFM = """
CREATE TEMP TABLE rfm AS
WITH scored AS (
    SELECT customer_no, cutoff, 1 + 5 * (rank() OVER (PARTITION BY cutoff ORDER BY last_order DESC) - 1) // n AS recency_score,
        1 + 5 * (rank() OVER (PARTITION BY cutoff ORDER BY all_orders) - 1) // n AS frequency_score,
        1 + 5 * (rank() OVER (PARTITION BY cutoff ORDER BY net) - 1) // n AS monetary_score
    FROM (SELECT *, count(*) OVER (PARTITION BY cutoff) AS n FROM windows WHERE all_orders > 0)
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
_FEATURES = f"""
CREATE OR REPLACE TABLE lake.hand.customer_features AS
SELECT customer_id, date_of(cutoff) AS as_of_date, is_registered, first_seen::BIGINT AS days_since_first_seen, last_seen::BIGINT AS days_since_last_seen,
    all_orders AS count_orders, total(net / 100) AS total_value, average(net / 100, all_orders) AS average_order_value,
    first_order::BIGINT AS days_since_first_order, last_order::BIGINT AS days_since_last_order,
    rate(first_order - last_order, all_orders - 1) AS mean_days_between_orders, rate(refunded, gross) AS refund_rate,
    rate(discount, gross) AS discount_share,
    {", ".join(f"coalesce(count_sessions_{days}d, 0) AS count_sessions_{days}d, " + "".join(f"{name}_{days}d, " for name in _ALL_COUNTS) + f"total(value_{days}d / 100) AS value_{days}d" for days in WINDOWS)},
    session_seconds_mean_90d, bounce_rate_90d, rate(count_add_to_carts_90d, count_product_views_90d) AS cart_to_view_rate_90d,
    rate(count_orders_90d, visit_windows.count_sessions_90d) AS order_to_session_rate_90d, average_viewed_price_90d, viewed_price_percentile_90d,
    coalesce(count_categories_90d, 0) AS count_categories_90d, top_category_90d, top_category_share_90d, top_brand_90d,
    coalesce(count_open_cart_items, 0) AS count_open_cart_items, total(open_cart_value) AS open_cart_value, recency_score,
    frequency_score, monetary_score, rfm_segment
FROM windows JOIN people USING (customer_no) LEFT JOIN visit_windows USING (customer_no, cutoff)
LEFT JOIN prices USING (customer_no, cutoff) LEFT JOIN tops USING (customer_no, cutoff) LEFT JOIN carts USING (customer_no, cutoff)
LEFT JOIN rfm USING (customer_no, cutoff)
ORDER BY cutoff, customer_no
"""

STATEMENTS = {
    "people": _PEOPLE,
    "identifiers": _IDENTIFIERS,
    "decisions": _DECISIONS,
    "set_aside": _SET_ASIDE,
    "suspects": _SUSPECTS,
    "bots": _BOTS,
    "borrowed": _BORROWED,
    "catalogue": _CATALOGUE,
    "ev": _EVENTS,
    "visits": _VISITS,
    "session_ids": _SESSION_IDS,
    "lines": _LINES,
    "refunds": _REFUNDS,
    "sessions": _SESSIONS,
    "order_lines": _ORDER_LINES,
    "orders": _ORDERS,
    "items": _ITEMS,
    "customers": _CUSTOMERS,
    "customer_events": _CUSTOMER_EVENTS,
    "cutoffs": _CUTOFFS,
    "days": _DAYS,
    "windows": _WINDOWS,
    "visit_windows": _VISIT_WINDOWS,
    "interests": _INTERESTS,
    "prices": _PRICES,
    "tops": _TOPS,
    "carts": _CARTS,
    "rfm": _RFM,
    "customer_features": _FEATURES,
}
_SEGMENTS = Path(__file__).resolve().parents[1] / "dbt_project" / "seeds" / "rfm_segments.csv"


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
        con.execute(f"CREATE TEMP TABLE rfm_segments AS FROM read_csv('{_SEGMENTS}')")
        con.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{SCHEMA}")
        # Texts name the side to hash second; the estimates of joins of computed columns are far off.
        con.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        for name, statement in STATEMENTS.items():
            started = time.perf_counter()
            given = {key: value for key, value in values.items() if f"${key}" in statement}
            con.execute(statement, given)
            seconds[name] = time.perf_counter() - started
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
