"""A lake of any size without log files: rows as extraction would have written them, made by SQL alone.

    PYTHONPATH=. python benchmarks/warehouse_rows.py --events 10000000 --folder DIR

Who visits is log-normal (some 25 events a customer, most have few), a visit has 1 to 30 events and days to weeks lie between
two, items are Zipf-like within forty categories, a third of the people sign in, on one or two devices, one visit in a hundred
comes in days late. Every value is a hash of its number, so equal arguments give equal rows.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from jobs.identity import resolving
from jobs.identity.config import IdentityConfig
from jobs.keys import load_keys
from jobs.lake import TABLES, connect, create_tables, transact
from jobs.predictions import PropensityConfig, find_cutoff_dates
from jobs.settings import Settings
from jobs.stages import StageRequest, digest_of

# A day that is still going on, so that a batch can come in on the same day.
AS_OF = datetime(2026, 6, 30, 12, tzinfo=UTC)
N_DAYS = 365
START = AS_OF.replace(hour=0) - timedelta(days=N_DAYS)
EVENTS_PER_PERSON = 25.4  # with the macros below
N_ITEMS = 20_000
N_CATEGORIES = 40
CHUNK = 2_000_000  # events a transaction
EVENTS_PER_VISIT = 6.6
NEW_SHARE = 0.2  # of a batch's visits

_MACROS = f"""
    -- A number in (0, 1) for a number and a question.
    CREATE OR REPLACE TEMP MACRO unit(n, question) AS ((hash(n, question) % 4294967291) + 0.5) / 4294967291;
    CREATE OR REPLACE TEMP MACRO pick(texts, share) AS texts[1 + floor(share * len(texts))::INTEGER];
    CREATE OR REPLACE TEMP MACRO user_of(person) AS 'u_' || md5('user ' || person);
    CREATE OR REPLACE TEMP MACRO device_of(person, device) AS 'd_' || md5('device ' || person || ' ' || device);
    CREATE OR REPLACE TEMP MACRO is_registered(person) AS unit(person, 5) < 0.3333;
    CREATE OR REPLACE TEMP MACRO country_of(person) AS
        pick(['DE', 'DE', 'DE', 'DE', 'FR', 'FR', 'FR', 'AT', 'CH', 'NL', 'ES', 'IT'], unit(person, 11));
    CREATE OR REPLACE TEMP MACRO count_visits(person) AS least(400, greatest(1, round(exp(
        0.55 + 1.2 * sqrt(-2 * ln(unit(person, 1))) * cos(2 * pi() * unit(person, 2))
    ))))::INTEGER;
    CREATE OR REPLACE TEMP MACRO sign_up_visit(person) AS floor(0.7 * unit(person, 6) * count_visits(person))::INTEGER;
    CREATE OR REPLACE TEMP MACRO count_events(visit) AS 1 + least(29, floor(-6.5 * ln(unit(visit, 23))))::INTEGER;
    -- Half past three in the afternoon is when most come.
    CREATE OR REPLACE TEMP MACRO time_of_day(visit) AS 82800 * (unit(visit, 21) + unit(visit, 22) + 0.6 * unit(visit, 28)) / 2.6;
    CREATE OR REPLACE TEMP MACRO step_seconds(visit) AS 8 + 100 * pow(unit(visit, 29), 2);
    CREATE OR REPLACE TEMP MACRO count_lines(visit) AS CASE
        WHEN unit(visit, 27) < 0.12 AND count_events(visit) >= 4
            THEN 1 + (hash(visit, 30) % least(4, count_events(visit) - 3))::INTEGER ELSE 0 END;
    CREATE OR REPLACE TEMP MACRO price_of(item) AS (4.99 + floor(250 * pow(unit(item, 40), 3)))::{TABLES["raw.items"].columns["price"]};
"""

# Whole visits, a visit's number being the person's times 1000 and its own: all else is found out of that where it is needed.
_VISITS = """
    WITH people AS (
        SELECT person, count_visits(person) AS n_visits, 365 * unit(person, 3) AS first_day FROM range($people) AS p (person)
    ),
    visits AS (
        SELECT *, unnest(range(n_visits)) AS number FROM people
    ),
    timed AS (
        SELECT person * 1000 + number AS visit,
            floor(first_day + CASE WHEN number > 0 THEN
                least(365 - first_day, n_visits * (2 + 26 * unit(person, 4))) * unit(person * 1000 + number, 20) ELSE 0 END) AS day
        FROM visits
    )
    SELECT visit, $start + to_microseconds(((day * 86400 + time_of_day(visit)) * 1000000)::BIGINT) AS started_at FROM timed
"""

# Most of whoever has been there before: who came often comes again.
_BATCH_VISITS = """
    WITH candidates AS (
        SELECT DISTINCT (hash($batch, n) % $people)::BIGINT AS person FROM range($visits) AS c (n)
    ),
    again AS (
        SELECT person * 1000 + 400 + 101 * ($batch % 5) + copy AS visit FROM (
            SELECT person, count_visits(person) AS n_visits, unnest(range(1 + count_visits(person) // 4)) AS copy FROM candidates
        ) ORDER BY hash(person, copy, $batch) LIMIT round($visits * (1 - $new_share))::BIGINT
    ),
    numbered AS (
        FROM again
        UNION ALL
        SELECT ($people + $batch * 10000000 + n) * 1000 FROM range(round($visits * $new_share)::BIGINT) AS c (n)
    )
    SELECT visit, $start + to_microseconds((unit(visit, 60 + $batch) * $seconds * 1000000)::BIGINT) AS started_at FROM numbered
"""

_REFUND_AFTER = "to_hours(30 + (hash(visit, 32) % 400)::INTEGER)"
_REFUND_AFTER_IN_BATCH = "to_minutes(15 + (hash(visit, 32) % 30)::INTEGER)"
_TABLE = """
    CREATE OR REPLACE TEMP TABLE visits AS
    WITH chosen AS ({visits}),
    timed AS (
        SELECT visit, started_at, count_events(visit) AS n_events,
            CASE WHEN unit(visit, 25) < 0.01 THEN to_hours(20 + (hash(visit, 31) % 120)::INTEGER) ELSE INTERVAL 5 SECONDS END AS delay
        FROM chosen
    ),
    parts AS (
        SELECT visit, false AS is_refund, started_at - {moved} AS started_at, delay, n_events FROM timed
        UNION ALL
        SELECT visit, true, started_at + {refund_after}, INTERVAL 5 SECONDS, 1
        FROM timed WHERE unit(visit, 33) < 0.3 AND count_lines(visit) > 0
    )
    SELECT *, (started_at + delay)::DATE AS received_date FROM parts
    WHERE started_at + delay + to_microseconds((n_events * step_seconds(visit) * 1000000)::BIGINT) < $until
"""

_EVENTS = """
    WITH people AS (
        SELECT *, visit // 1000 AS person, (visit % 1000)::INTEGER AS number, count_lines(visit) AS n_lines, step_seconds(visit) AS pace
        FROM visits WHERE received_date BETWEEN $first AND $last
    ),
    actors AS (
        SELECT *,
            is_registered(person) AND number >= sign_up_visit(person)
            AND (number = sign_up_visit(person) OR unit(visit, 26) < 0.75) AS is_signed_in,
            is_registered(person) AND number = sign_up_visit(person) AS signs_up,
            is_registered(person) AND unit(person, 7) < 0.5 AND unit(visit, 24) < 0.4 AS is_second,
            least(38, floor(pow(40, unit(person, 9))) - 1)::INTEGER AS favourite
        FROM people
    ),
    named AS (
        SELECT *, user_of(person) AS user_id,
            -- A few households share a device.
            CASE WHEN is_second AND unit(person, 8) < 0.004 THEN device_of(person + 1, 0)
                ELSE device_of(person, is_second::INTEGER) END AS anonymous_id,
            CASE WHEN NOT is_second THEN pick(['mobile', 'mobile', 'desktop'], unit(person, 12)) ELSE 'desktop' END AS device,
            pick(['direct', 'organic', 'organic', 'paid_search', 'email', 'social'], unit(visit, 34)) AS channel,
            country_of(person) AS country,
            unit(person, 10) < 0.004 AS is_bot,
            printf('%x', visit) AS visit_text
        FROM actors
    ),
    -- One purchase in a hundred is told twice at once.
    steps AS (
        SELECT *, unnest(range(n_events + (unit(visit, 35) < 0.01 AND n_lines > 0 AND NOT is_refund)::INTEGER)) AS told,
            least(told, n_events - 1)::INTEGER AS step, hash(visit, step) AS draw FROM named
    ),
    typed AS (
        SELECT *,
            CASE
                WHEN is_refund THEN 'refund'
                WHEN step >= n_events - n_lines THEN 'purchase'
                WHEN n_lines > 0 AND step = n_events - n_lines - 1 THEN 'begin_checkout'
                WHEN n_lines > 0 AND step >= n_events - 2 * n_lines - 1 THEN 'add_to_cart'
                WHEN signs_up AND step = least(1, n_events - 1) THEN 'login'
                WHEN draw % 100 < 20 THEN 'page_view'
                WHEN draw % 100 < 35 THEN 'list_view'
                WHEN draw % 100 < 43 THEN 'search'
                WHEN draw % 100 < 88 THEN 'product_view'
                WHEN draw % 100 < 95 THEN 'add_to_cart'
                WHEN draw % 100 < 97 THEN 'remove_from_cart'
                ELSE 'add_to_wishlist'
            END AS event_type,
            -- What goes into the cart is what is bought.
            CASE
                WHEN is_refund THEN n_events
                WHEN n_lines > 0 AND step >= n_events - n_lines THEN 100 + step - (n_events - n_lines)
                WHEN n_lines > 0 AND step < n_events - n_lines - 1 AND step >= n_events - 2 * n_lines - 1
                    THEN 100 + step - (n_events - 2 * n_lines - 1)
                ELSE step
            END AS choice
        FROM steps
    ),
    chosen AS (
        SELECT *,
            started_at + CASE WHEN event_type = 'purchase'
                THEN to_microseconds(((n_events - n_lines) * pace * 1000000)::BIGINT + (told - step) * 300000)
                ELSE to_microseconds(((step + unit(draw, 36)) * pace * 1000000)::BIGINT) END AS occurred_at,
            CASE WHEN event_type IN ('product_view', 'add_to_cart', 'remove_from_cart', 'add_to_wishlist', 'purchase', 'refund') THEN
                (floor(pow(500, unit(hash(visit, CASE WHEN is_refund THEN 100 ELSE choice END), 37))) - 1)::INTEGER * 40
                + CASE WHEN hash(visit, CASE WHEN is_refund THEN 100 ELSE choice END) % 10 < 6 THEN favourite
                    ELSE floor(40 * pow(unit(hash(visit, CASE WHEN is_refund THEN 100 ELSE choice END), 38), 2))::INTEGER END
            END AS item
        FROM typed
    )
    SELECT
        printf('%016x', hash(visit)) || visit_text || CASE WHEN is_refund THEN 'r' ELSE printf('-%02d', told) END AS event_id,
        'web' AS source,
        event_type,
        occurred_at,
        occurred_at + delay AS received_at,
        CASE WHEN NOT (is_refund AND is_signed_in) THEN anonymous_id END AS anonymous_id,
        CASE WHEN is_signed_in AND (NOT signs_up OR step > 0 OR n_events = 1) THEN user_id END AS user_id,
        'i' || item AS item_id,
        CASE WHEN item IS NOT NULL THEN 'category ' || (item % 40) END AS category,
        CASE WHEN item IS NOT NULL THEN 'brand ' || (hash(item, 41) % 300) END AS brand,
        CASE WHEN item IS NOT NULL THEN price_of(item) END AS price,
        CASE WHEN event_type IN ('purchase', 'add_to_cart') THEN 1 + (hash(visit, choice, 3) % 8 = 0)::INTEGER END AS quantity,
        CASE WHEN event_type = 'purchase' AND hash(visit, choice, 4) % 10 = 0 THEN 1.00 END AS discount,
        CASE WHEN item IS NOT NULL THEN 'EUR' END AS currency,
        CASE WHEN event_type IN ('purchase', 'refund') THEN 'o' || visit_text END AS order_id,
        CASE WHEN event_type = 'search' THEN 'words ' || (draw % 5000) END AS search_query,
        CASE WHEN item IS NOT NULL THEN '/items/' || item WHEN event_type <> 'refund' THEN '/' || event_type || '/' || (draw % 40) END AS url_path,
        CASE WHEN step = 0 AND channel = 'organic' THEN 'https://search.example/' END AS referrer,
        CASE WHEN NOT is_refund THEN channel END AS channel,
        CASE WHEN channel IN ('paid_search', 'email') AND NOT is_refund THEN 'campaign ' || (hash(visit, 39) % 24) END AS campaign,
        CASE WHEN NOT is_refund THEN device END AS device,
        country,
        is_bot,
        CASE WHEN is_bot THEN 'user_agent' END AS bot_rule,
        $file_prefix || strftime(received_date, '%Y-%m-%d') AS file_id,
        row_number() OVER () AS line_number
    FROM chosen ORDER BY received_at
"""

_FILES = """
    INSERT INTO lake.raw.files BY NAME
    SELECT file_id, 'web' AS source, 'events' AS entity, '/logs/' || file_id || '.jsonl' AS path, path AS delivery,
        300 * count(*) AS size_bytes, sha256(file_id) AS sha256, 'loaded' AS state, count(*) AS count_rows, count(*) AS count_loaded,
        0 AS count_duplicates, 0 AS count_rejected, max(received_at) AS loaded_at
    FROM new_events GROUP BY file_id ORDER BY file_id
"""
_CHANGED_DAYS = """
    INSERT INTO lake.ops.changed_days BY NAME
    SELECT 'web' AS source, 'events' AS entity, occurred_at::DATE AS day, count(*) AS count_added, 0 AS count_withdrawn,
        occurred_at::DATE < received_at::DATE - 1 AS is_late, max(received_at) AS changed_at
    FROM new_events GROUP BY file_id, day, is_late ORDER BY file_id, day
"""

_CATALOGUE = f"""
    INSERT INTO lake.raw.items BY NAME
    SELECT 'i' || item AS item_record_id, 'catalogue' AS source, 'i' || item AS item_id, 'Item ' || item AS title,
        'category ' || (item % {N_CATEGORIES}) AS category, 'brand ' || (hash(item, 41) % 300) AS brand, price_of(item) AS price,
        'EUR' AS currency, item % 50 <> 7 AS is_in_stock, 'catalogue' AS file_id, item + 1 AS line_number
    FROM range({N_ITEMS}) AS items (item)
"""
_PROFILES = """
    INSERT INTO lake.raw.profiles BY NAME
    SELECT 'p' || person AS profile_record_id, 'crm' AS source, user_of(person) AS user_id, country_of(person) AS country,
        1940 + (hash(person, 70) % 65)::INTEGER AS birth_year, pick(['f', 'm'], unit(person, 71)) AS gender,
        pick(['basic', 'basic', 'silver', 'gold'], unit(person, 72)) AS loyalty_tier, $start AS updated_at, 'crm' AS file_id,
        person AS line_number
    FROM range($people) AS p (person) WHERE is_registered(person) AND unit(person, 73) < 0.5
"""
_CONSENTS = """
    INSERT INTO lake.raw.consents BY NAME
    SELECT purpose || person AS consent_id, 'desk' AS source, user_of(person) AS user_id, purpose,
        CASE WHEN unit(person, 75) < CASE purpose WHEN 'analytics' THEN 0.03 ELSE 0.3 END THEN 'denied' ELSE 'granted' END AS state,
        $start + to_seconds(floor(unit(person, 76) * 300 * 86400)) AS recorded_at, recorded_at AS received_at, 'desk' AS file_id,
        person AS line_number
    FROM range($people) AS p (person), (VALUES ('analytics'), ('marketing')) AS purposes (purpose)
    WHERE is_registered(person) AND unit(person, 74) < 0.6
"""


@dataclass(frozen=True)
class Filled:
    """What was written, and how long it took."""

    count_events: int
    count_people: int
    seconds: float
    identity_seconds: float


def settings_of(folder: Path, memory_limit: str = "4GB") -> Settings:
    """Settings of the lake in a folder, whatever the environment says."""
    return Settings(_env_file=None, data_dir=folder, memory_limit=memory_limit)


def find_dates(as_of: datetime) -> list[date]:
    """The cut-offs of a run, oldest first."""
    return sorted(find_cutoff_dates(as_of, PropensityConfig()))


def find_variables(as_of: datetime) -> dict[str, object]:
    """The variables of a dbt run."""
    days = [day.isoformat() for day in find_dates(as_of)]
    return {"as_of": as_of.isoformat(), "cutoff_dates": days, "currency": "EUR"}


def count_people(count_events: int) -> int:
    """How many people visit the shop of a history of about so many events."""
    return max(100, round(count_events / EVENTS_PER_PERSON))


def fill_lake(settings: Settings, count_events: int, *, with_identities: bool = True) -> Filled:
    """Make a lake with about so many events up to `AS_OF`, a catalogue, profiles, consents, and who is who."""
    started = time.perf_counter()
    people = count_people(count_events)

    def make_tables(con: duckdb.DuckDBPyConnection) -> None:
        create_tables(con)
        _execute_all(con, _MACROS)
        con.execute(_CATALOGUE)
        con.execute(_PROFILES, {"people": people, "start": START})
        con.execute(_CONSENTS, {"people": people, "start": START})

    transact(settings, make_tables, message="tables")
    table = _TABLE.format(visits=_VISITS, moved="INTERVAL 0 SECONDS", refund_after=_REFUND_AFTER)
    written = _write_visits(
        settings, table, {"people": people, "start": START, "until": AS_OF}, "f"
    )
    filled = time.perf_counter()
    if with_identities:
        resolve_identities(settings, AS_OF)
    ended = time.perf_counter()
    return Filled(written, people, filled - started, ended - filled)


def append_batch(
    settings: Settings,
    count_events: int,
    history_events: int,
    batch: int,
    first: datetime,
    until: datetime,
) -> int:
    """Append about so many events that come in from `first` to `until`, and return how many.

    Args:
        settings: of the lake that `fill_lake` made.
        count_events: how many.
        history_events: what `fill_lake` was asked for: the people of then come again, and one in five is new.
        batch: 1 for the first one, and so on: sets the events' ids and the files'.
        first: when the first comes in: late ones, one visit in a hundred, were then up to five days old.
        until: `as_of` of the run that is to see them.
    """
    # What comes in late happened before; who sends something back does so soon, for a batch is short.
    table = _TABLE.format(visits=_BATCH_VISITS, moved="delay", refund_after=_REFUND_AFTER_IN_BATCH)
    values = {
        "batch": batch,
        "people": count_people(history_events),
        "visits": max(1, round(count_events / EVENTS_PER_VISIT)),
        "new_share": NEW_SHARE,
        "seconds": max(60.0, (until - first).total_seconds() - 900),  # a visit takes its time
        "start": first,
        "until": until,
    }
    return _write_visits(settings, table, values, f"b{batch}-")


def resolve_identities(settings: Settings, as_of: datetime) -> None:
    """Find out who is who, as the pipeline does before dbt."""
    request = StageRequest(as_of=as_of, upstream_run_id="rows", started_at=as_of)
    run_id = digest_of(resolving.STAGE, as_of.isoformat())
    resolving.run(
        settings, request, run_id, "", IdentityConfig(), load_keys(settings, people="made_up")
    )


def _execute_all(con: duckdb.DuckDBPyConnection, statements: str) -> None:
    for statement in duckdb.extract_statements(statements):
        con.execute(statement)


def _write_visits(
    settings: Settings, table: str, values: dict[str, object], file_prefix: str
) -> int:
    """Write what happens in visits, some days of receipt a transaction, and return the events."""
    written = 0
    con = connect(settings, read_only=False)
    try:
        _execute_all(con, _MACROS)
        con.execute(table, values)
        days = con.execute("SELECT received_date, sum(n_events) FROM visits GROUP BY 1 ORDER BY 1").fetchall()  # fmt: skip
        while days:
            chunk = [days.pop(0)]
            while days and sum(count for _, count in chunk) + days[0][1] <= CHUNK:
                chunk.append(days.pop(0))

            bounds = {"first": chunk[0][0], "last": chunk[-1][0], "file_prefix": file_prefix}

            def write(con: duckdb.DuckDBPyConnection, bounds: dict[str, object] = bounds) -> int:
                con.execute(f"CREATE OR REPLACE TEMP TABLE new_events AS {_EVENTS}", bounds)
                con.execute("INSERT INTO lake.raw.events BY NAME FROM new_events")
                con.execute(_FILES)
                con.execute(_CHANGED_DAYS)
                return con.execute("SELECT count(*) FROM new_events").fetchall()[0][0]

            written += transact(settings, write, message="events", con=con)
    finally:
        con.close()
    return written


def main() -> int:
    """Make a lake and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument(
        "--folder", type=Path, required=True, help="data folder of the lake, which is made"
    )
    parser.add_argument("--memory-limit", default="4GB", help="of DuckDB")
    parser.add_argument("--no-identities", action="store_true", help="leave identity.* empty")
    arguments = parser.parse_args()
    settings = settings_of(arguments.folder, arguments.memory_limit)
    if settings.lake_dir.exists():
        raise SystemExit(f"{settings.lake_dir} exists; choose another folder")
    filled = fill_lake(settings, arguments.events, with_identities=not arguments.no_identities)
    print(
        f"{filled.count_events:,} events of {filled.count_people:,} people in {filled.seconds:.1f} s, "
        f"who is who in {filled.identity_seconds:.1f} s; lake {settings.lake_dir}; dbt: --vars "
    )
    print(json.dumps(find_variables(AS_OF)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
