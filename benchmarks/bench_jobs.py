"""Seconds of each job on a synthetic shop: `python -m benchmarks.bench_jobs --customers 100000 --items 5000`.

The shop is made in memory with the columns that the jobs read; nothing is written. Sizes and seed set everything, so two
machines, or two versions of the code, measure the same work.
"""

import argparse
import resource
import sys
import time
from datetime import UTC, datetime

import duckdb
import polars as pl

from jobs import clusters, journeys, predictions, recommendations
from jobs.lake import TABLES
from jobs.predictions.examples import FEATURES
from jobs.stages import Frames, StageRequest

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
REQUEST = StageRequest(AS_OF, "bench", AS_OF)

# Zipf-like taste within one of forty categories; a session is a handful of steps towards the till.
EVENTS_SQL = """
create table features.customer_events as
with sessions as (
    select
        session,
        (session * 2654435761 % $customers)::bigint as customer,
        timestamptz '2026-07-01' - to_seconds(hash(session, 1, $seed) % (180 * 86400)) as started_at,
        1 + (hash(session, 2, $seed) % 8)::bigint as n_steps
    from range($sessions) as t(session)
),
steps as (
    select *, unnest(range(n_steps)) as step, hash(session, unnest(range(n_steps)), 3, $seed) as draw from sessions
)
select
    'e' || session || '-' || step as event_id,
    'u' || customer as customer_id,
    's' || session as session_id,
    case
        when step = 0 then 'page_view'
        when draw % 10 < 3 then 'list_view'
        when draw % 10 < 7 then 'product_view'
        when draw % 10 < 8 then 'add_to_cart'
        when draw % 10 < 9 then 'begin_checkout'
        else 'purchase'
    end as event_type,
    started_at + to_seconds(step * 60) as occurred_at,
    started_at + to_seconds(step * 60) as known_at,
    case when step > 0 and draw % 10 >= 3 then
        'i' || ((customer % 40) + 40 * floor(pow($items / 40.0, (draw >> 8) % 10000 / 10000.0) - 1)::bigint)
    end as item_id,
    'c' || (customer % 40) as category,
    case when step > 0 and draw % 10 >= 9 then 'o' || session end as order_id
from steps
"""
ITEMS_SQL = """
create table core.items as
select 'i' || i as item_id, 'c' || (i % 40) as category, i % 50 <> 0 as is_in_stock,
    null::timestamptz as available_from, null::timestamptz as available_until
from range($items) as t(i)
"""


def make_shop(
    n_customers: int, n_items: int, n_sessions: int, seed: int
) -> duckdb.DuckDBPyConnection:
    """A shop in memory: events, orders, items, customers and features at the cut-offs."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.execute("CREATE SCHEMA features; CREATE SCHEMA core; CREATE SCHEMA ml")
    con.execute(
        EVENTS_SQL,
        {"customers": n_customers, "items": n_items, "sessions": n_sessions, "seed": seed},
    )
    con.execute(ITEMS_SQL, {"items": n_items})
    con.execute("CREATE TABLE core.customers AS SELECT 'u' || i AS customer_id FROM range(?) AS t(i)", [n_customers])  # fmt: skip
    con.execute(
        "CREATE TABLE core.orders AS SELECT order_id, customer_id, min(occurred_at) AS ordered_at "
        "FROM features.customer_events WHERE event_type = 'purchase' GROUP BY ALL"
    )
    make_features(con)
    for table in TABLES.values():
        if table.schema == "ml":
            columns = ", ".join(f'"{name}" {type_}' for name, type_ in table.columns.items())
            con.execute(f"CREATE TABLE {table.full_name} ({columns})")
    return con


def make_features(con: duckdb.DuckDBPyConnection) -> None:
    """Features that follow behaviour where the jobs need it; the others are 0."""
    cutoffs = predictions.find_cutoff_dates(REQUEST.as_of_date, predictions.PropensityConfig())
    counts = {
        "sessions": "count(distinct session_id)",
        "product_views": "count(*) filter (where event_type = 'product_view')",
        "add_to_carts": "count(*) filter (where event_type = 'add_to_cart')",
        "orders": "count(distinct order_id)",
    }
    windows = ", ".join(
        f"{sql.replace('count(*) filter (where ', f'count(*) filter (where age <= {days} and ') if 'filter' in sql else sql + f' filter (where age <= {days})'} as count_{name}_{days}d"
        for name, sql in counts.items()
        for days in (7, 30, 90, 365)
    )
    made = {f"count_{name}_{days}d" for name in counts for days in (7, 30, 90, 365)} | {
        "days_since_first_seen",
        "days_since_last_seen",
        "count_orders",
        "days_since_last_order",
        "average_order_value",
        "discount_share",
        "refund_rate",
        "luxury_share_90d",
        "budget_share_90d",
    }
    needed = {*FEATURES, "count_wishlists_365d", "count_email_opens_365d"}
    zeros = "".join(f", 0.0::double as {name}" for name in sorted(needed - made))
    con.execute(
        f"""
        create table features.customer_features as
        select
            customer_id, as_of_date, max(age) as days_since_first_seen, min(age) as days_since_last_seen,
            count(distinct order_id) as count_orders,
            min(age) filter (where order_id is not null) as days_since_last_order,
            any_value(case when order_id is not null then 20.0 + hash(customer_id) % 80 end) as average_order_value,
            any_value(case when order_id is not null then hash(customer_id, 1) % 100 / 100.0 end) as discount_share,
            any_value(case when order_id is not null then hash(customer_id, 2) % 30 / 100.0 end) as refund_rate,
            any_value(hash(customer_id, 3) % 50 / 100.0) as luxury_share_90d,
            any_value(hash(customer_id, 4) % 50 / 100.0) as budget_share_90d,
            {windows} {zeros}
        from (
            select *, date_diff('day', occurred_at::date, as_of_date) as age
            from features.customer_events, (select unnest($cutoffs) as as_of_date)
            where occurred_at::date <= as_of_date
        )
        group by customer_id, as_of_date
        """,
        {"cutoffs": cutoffs},
    )


def store(con: duckdb.DuckDBPyConnection, frames: Frames) -> None:
    """What a later job reads: the models."""
    if "ml.models" not in frames:
        return
    rows = frames["ml.models"].with_columns(
        pl.lit(REQUEST.as_of_date).alias("as_of_date"), pl.lit("bench").alias("run_id")
    )
    con.register("rows", rows.to_arrow())
    con.execute("INSERT INTO ml.models BY NAME SELECT * FROM rows")


def main() -> None:
    """Make the shop, run every job once, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--sessions-per-customer", type=int, default=6)
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    started = time.perf_counter()
    n_sessions = options.customers * options.sessions_per_customer
    con = make_shop(options.customers, options.items, n_sessions, options.seed)
    n_events = con.sql("SELECT count(*) FROM features.customer_events").fetchall()[0][0]
    seconds = time.perf_counter() - started
    print(f"shop: {options.customers:,} customers, {options.items:,} items, {n_events:,} events, {seconds:.1f} s")  # fmt: skip
    cluster, journey = clusters.ClusterConfig(), journeys.JourneyConfig()
    propensity, recommendation = (
        predictions.PropensityConfig(),
        recommendations.RecommendationConfig(),
    )
    jobs = {
        "clusters.train": lambda: clusters.train(con, REQUEST, "bench", cluster),
        "clusters.assign": lambda: clusters.assign(con, REQUEST, "bench", cluster),
        "journeys.mine": lambda: journeys.mine(con, REQUEST, "bench", journey),
        "journeys.find_stages": lambda: journeys.find_stages(con, REQUEST, "bench", journey),
        "predictions.train": lambda: predictions.train(con, REQUEST, "bench", propensity),
        "predictions.score": lambda: predictions.score(con, REQUEST, "bench", propensity),
        "recommendations.evaluate": lambda: recommendations.evaluate(
            con, REQUEST, "bench", recommendation
        ),
        "recommendations.recommend": lambda: recommendations.recommend(
            con, REQUEST, "bench", recommendation
        ),
    }
    print(f"{'job':28}{'wall s':>8}{'CPU s':>8}{'peak GB':>9}  rows")
    for number, (name, job) in enumerate(jobs.items(), start=1):
        if sys.stdout.isatty():
            print(f"[{number}/{len(jobs)}] {name} ...", end="\r", flush=True)
        wall, cpu = time.perf_counter(), time.process_time()
        frames = job()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        store(con, frames)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        rows = ", ".join(f"{table} {frame.height:,}" for table, frame in frames.items())
        print(f"{name:28}{wall:8.1f}{cpu:8.1f}{peak:9.2f}  {rows}", flush=True)


if __name__ == "__main__":
    main()
