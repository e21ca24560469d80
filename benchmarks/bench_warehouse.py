"""How fast dbt makes the customers' tables: of all events, of a batch beside a long history, and beside other ways to do it.

Lakes of `warehouse_rows`, one a size; every arm is a process of its own (CPU time and peak memory count its children), and those
of a round take turns. Beside `dbt build --selector features`, which checks its tables and makes more than are compared: those that
are compared by dbt alone and by hand (`hand_written.py`), and sessions, RFM scores and one trigger in PySpark and in DuckDB from the
same files. Batches of 100,000 events, received on the same day and on the next one, are built on top of the history, and the tables
compared with those of a full build.

Goals: dbt at most twice the script by hand; Spark at least five times as long; a batch at most 5 % of the full build; time grows
like n log n; 50 million events (`--events 50000000`, some 20 GB of disk) in at most 8 GiB. PySpark is no dependency: it is put
into a virtual environment of its own.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
from bench_extraction import Cost, measure, print_table
from hand_written import SCHEMA, build_by_hand
from warehouse_rows import (
    AS_OF,
    append_batch,
    fill_lake,
    find_dates,
    find_variables,
    resolve_identities,
    settings_of,
)

from jobs.lake import connect, transact
from jobs.pipeline.increments import plan_build, record_build
from jobs.settings import PROJECT_ROOT

GOAL_BY_HAND = 2.0
GOAL_SPARK = 5.0
GOAL_BATCH_PCT = 5.0
GOAL_EXPONENT = 1.1
GOAL_GIB = 8.0
BATCH = 100_000
NEXT_DAY = AS_OF.replace(hour=0) + timedelta(days=1)
BATCHES = {
    "same day": (AS_OF, AS_OF + timedelta(hours=2)),
    "next day": (NEXT_DAY, NEXT_DAY + timedelta(hours=2)),
}
PYSPARK = "pyspark==4.3.0"
MAX_SPARK_EVENTS = 10_000_000
DBT_PROJECT = PROJECT_ROOT / "dbt_project"

# What both make, with the key that pairs the rows.
COMPARED = {
    "core.sessions": "session_id",
    "core.orders": "order_id",
    "core.order_lines": "order_line_id",
    "core.customers": "customer_id",
    "core.items": "item_id",
    "features.customer_events": "event_id",
    "features.customer_features": "customer_id, as_of_date",
    "features.customer_affinities": "customer_id, as_of_date, dimension, place",
}

# What dbt builds: a stage, or the compared tables and all that they are made of, without checks.
SELECTIONS = {
    "features": ["--selector", "features"],
    "exports": ["--selector", "exports"],
    "compared": [
        "--select", "+fct_sessions", "+fct_orders", "+fct_order_lines", "+dim_customers", "+dim_items", "+ftr_customer_events",
        "+ftr_customer_features", "+ftr_customer_affinities", "--exclude-resource-type", "test", "unit_test",
    ],
}  # fmt: skip

# A visitor is whoever the event names; who is who is dbt's matter.
THREE = {
    "sessions": """
        WITH seen AS (
            SELECT coalesce(user_id, anonymous_id) AS customer_id, event_type, {us} AS us FROM events WHERE NOT is_bot
        ),
        paused AS (
            SELECT *, coalesce(us - lag(us) OVER (PARTITION BY customer_id ORDER BY us) > 1800000000, true) AS is_start
            FROM seen
        ),
        numbered AS (
            SELECT *, sum(CASE WHEN is_start THEN 1 ELSE 0 END) OVER (
                PARTITION BY customer_id ORDER BY us ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS session_number FROM paused
        )
        SELECT customer_id, session_number, min(us) AS started_us, max(us) AS ended_us, count(*) AS count_events,
            sum(CASE WHEN event_type = 'product_view' THEN 1 ELSE 0 END) AS count_product_views
        FROM numbered GROUP BY customer_id, session_number
    """,
    "rfm": """
        WITH bought AS (
            SELECT coalesce(user_id, anonymous_id) AS customer_id, max({us}) AS last_us, count(DISTINCT order_id) AS count_orders,
                sum(price * quantity) AS value
            FROM events WHERE event_type = 'purchase' AND NOT is_bot GROUP BY 1
        )
        SELECT *,
            1 + floor(5 * (rank() OVER (ORDER BY last_us) - 1) / count(*) OVER ()) AS recency_score,
            1 + floor(5 * (rank() OVER (ORDER BY count_orders) - 1) / count(*) OVER ()) AS frequency_score,
            1 + floor(5 * (rank() OVER (ORDER BY value) - 1) / count(*) OVER ()) AS monetary_score
        FROM bought
    """,
    "trigger": """
        WITH viewed AS (
            SELECT coalesce(user_id, anonymous_id) AS customer_id, item_id, {us} AS us FROM events
            WHERE event_type = 'product_view' AND NOT is_bot AND item_id IS NOT NULL
        ),
        spans AS (
            SELECT *, us - lag(us, 3) OVER (PARTITION BY customer_id, item_id ORDER BY us) AS span_us FROM viewed
        )
        SELECT customer_id, item_id, min(us) AS first_us FROM spans WHERE span_us < 86400000000 GROUP BY customer_id, item_id
    """,
}

# The same as DuckDB does it best: rows sorted once, by a number for the customer, and windows without a partition.
THREE_IN_DUCKDB = THREE | {
    "sessions": """
        WITH seen AS (
            SELECT coalesce(user_id, anonymous_id) AS customer_id, event_type = 'product_view' AS is_view, {us} AS us
            FROM events WHERE NOT is_bot
        ),
        people AS MATERIALIZED (
            SELECT customer_id, row_number() OVER () AS customer_no FROM (SELECT DISTINCT customer_id FROM seen)
        ),
        sorted AS (SELECT customer_no, us, is_view FROM seen JOIN people USING (customer_id) ORDER BY customer_no, us),
        paused AS (
            SELECT *, coalesce(customer_no <> lag(customer_no) OVER () OR us - lag(us) OVER () > 1800000000, true) AS is_start
            FROM sorted
        ),
        numbered AS (
            SELECT *, sum(is_start::INTEGER) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS place FROM paused
        ),
        sessions AS (
            SELECT any_value(customer_no) AS customer_no, place, min(us) AS started_us, max(us) AS ended_us, count(*) AS count_events,
                count(*) FILTER (is_view) AS count_product_views
            FROM numbered GROUP BY place
        )
        SELECT customer_id, row_number() OVER (PARTITION BY customer_no ORDER BY place) AS session_number, started_us, ended_us,
            count_events, count_product_views
        FROM sessions JOIN people USING (customer_no)
    """,
}

SPARK_SCRIPT = """
import json, sys
from pyspark.sql import SparkSession
files, out, statements = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3]))
spark = (
    SparkSession.builder.master("local[*]").appName("bench").config("spark.driver.memory", sys.argv[4])
    .config("spark.sql.shuffle.partitions", "8").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
    .config("spark.local.dir", out).config("spark.sql.ansi.enabled", "false").getOrCreate()
)
spark.read.parquet(files).createOrReplaceTempView("events")
for name, statement in statements.items():
    spark.sql(statement.format(us="unix_micros(occurred_at)")).write.mode("overwrite").parquet(f"{out}/{name}")
proc = spark.sparkContext._gateway.proc
spark.stop()
proc.stdin.close()
proc.wait()  # so that its time and memory are counted
"""


def run_process(command: list[str], environment: dict[str, str], folder: Path) -> tuple[Cost, Path]:
    """Run a command and return what it and its children took, and the file of what it said."""
    said = folder / "said.log"
    started = time.perf_counter()
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{command[0]} failed: {said.read_text(errors='replace')[-3000:]}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(wall, cpu, usage.ru_maxrss * unit / 2**20, 0), said


def run_function(name: str, *arguments: object, folder: Path) -> Cost:
    """Run a function of this module as a process, whose start is counted as that of dbt and Spark is."""
    given = ", ".join(repr(str(argument)) for argument in arguments)
    code = f"import bench_warehouse; bench_warehouse.{name}({given})"
    places = os.pathsep.join((str(PROJECT_ROOT), str(Path(__file__).parent)))
    return run_process([sys.executable, "-c", code], os.environ | {"PYTHONPATH": places}, folder)[0]


def build(
    folder: Path,
    as_of: datetime,
    memory_limit: str,
    *,
    selection: str = "features",
    is_full: bool = True,
) -> Cost:
    """Build one of `SELECTIONS` of the lake in `folder` by dbt: every build of this benchmark is started here."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PERSONALAKE_")
    }
    environment |= {
        "PERSONALAKE_DATA_DIR": str(folder),
        "PERSONALAKE_MEMORY_LIMIT": memory_limit,
        "PYTHONPATH": str(PROJECT_ROOT),
    }
    command = [
        str(Path(sys.executable).with_name("dbt")), "--no-version-check", "--no-use-colors", "build",
        *SELECTIONS[selection], "--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT),
        "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
        "--vars",
    ]  # fmt: skip
    settings, variables = settings_of(folder, memory_limit), find_variables(as_of)
    if selection != "features":
        stage = {"stage": "build_marts"} if selection == "exports" else {}
        return run_process([*command, json.dumps(variables | stage)], environment, folder)[0]
    plan = plan_build(settings, f"build of {as_of:%m-%d %H:%M}", variables, is_full=is_full)
    if not is_full and "since_snapshot" not in plan:
        raise SystemExit("the build after the batch is no increment")
    cost = run_process([*command, json.dumps(variables | plan)], environment, folder)[0]
    record_build(settings, plan["build_id"], variables | plan)
    return cost


def slowest_models(folder: Path, count: int = 12) -> list[tuple[str, float]]:
    """The models of the last build that took longest, with their seconds."""
    results = json.loads((folder / "target" / "run_results.json").read_text())["results"]
    seconds = [(r["unique_id"].split(".", 2)[2], r["execution_time"]) for r in results]
    return sorted(seconds, key=lambda row: -row[1])[:count]


def _fill(folder: Path, count_events: int, memory_limit: str) -> int:
    return fill_lake(settings_of(folder, memory_limit), count_events).count_events


def make_by_hand(folder: str, memory_limit: str) -> None:
    """Run the script by hand."""
    build_by_hand(settings_of(Path(folder), memory_limit), AS_OF, find_dates(AS_OF))


def _append(folder: Path, history: int, number: int, first: datetime, until: datetime) -> int:
    settings = settings_of(folder)
    count = append_batch(settings, BATCH, history, number, first, until)
    resolve_identities(settings, until)
    return count


def _count_differences(folder: Path) -> int:
    """Rows of dbt that the script by hand has not, and the other way round, in the columns that both have."""
    con = connect(settings_of(folder))
    found = 0
    try:
        for table, key in COMPARED.items():
            schema, name = table.split(".")
            mine, theirs = (
                dict(
                    con.execute(
                        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'lake' "
                        "AND schema_name = ? AND table_name = ?",
                        [of, name],
                    ).fetchall()
                )
                for of in (SCHEMA, schema)
            )
            both = [column for column in theirs if column in mine]
            if lacking := sorted(set(theirs) - set(mine)):
                print(f"  {table}: by hand without {', '.join(lacking)}")
            casts = ", ".join(f'"{column}"::{theirs[column]} AS "{column}"' for column in both)
            one, other = (f"SELECT {casts} FROM lake.{of}.{name}" for of in (SCHEMA, schema))
            for left, right in ((one, other), (other, one)):
                row = con.execute(f"SELECT count(*) FROM ({left} EXCEPT ALL {right})").fetchone()
                found += row[0] if row else 0
            if found:
                for column in both:
                    if column not in key:
                        row = con.execute(
                            f"SELECT count(*) FROM ({one}) AS a JOIN ({other}) AS b USING ({key}) "
                            f'WHERE a."{column}" IS DISTINCT FROM b."{column}"'
                        ).fetchone()
                        if row and row[0]:
                            print(f"  {table}.{column}: {row[0]:,} rows differ")
    finally:
        con.close()
    return found


def _keep_tables(folder: Path, as_of: datetime) -> int:
    """Keep a digest of the rows of every compared table in the file `kept.json`; true where it is the same as before."""
    con = connect(settings_of(folder))
    days = ", ".join(f"DATE '{day}'" for day in find_dates(as_of))
    try:
        digests = {}
        for table, key in COMPARED.items():
            where = f"WHERE as_of_date IN ({days})" if "as_of_date" in key else ""
            row = con.execute(
                f"SELECT count(*), sum(hash(t)::HUGEINT)::VARCHAR FROM lake.{table} AS t {where}"
            ).fetchone()
            digests[table] = list(row or ())
    finally:
        con.close()
    path = folder / "kept.json"
    if not path.exists():
        path.write_text(json.dumps(digests))
        return 0
    before = json.loads(path.read_text())
    path.unlink()
    for table in COMPARED:
        if before[table] != digests[table]:
            print(
                f"  {table}: {before[table][0]:,} rows by batches, {digests[table][0]:,} in full; they differ"
            )
    return int(before != digests)


def _drop_hand(folder: Path) -> int:
    def drop(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"DROP SCHEMA IF EXISTS lake.{SCHEMA} CASCADE")

    transact(settings_of(folder), drop, message="drop")
    return 0


def make_three(files: str, out: str, memory_limit: str) -> None:
    """Make the three tables that Spark makes, in DuckDB."""
    con = duckdb.connect(config={"memory_limit": memory_limit, "temp_directory": out})
    con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    con.execute(f"CREATE VIEW events AS FROM read_parquet('{files}')")
    for name, statement in THREE_IN_DUCKDB.items():
        sql = statement.format(us="epoch_us(occurred_at)")
        con.execute(f"COPY ({sql}) TO '{out}/{name}.parquet' (COMPRESSION zstd)")
    con.close()


def _count_alike(out: Path) -> int:
    """Rows of Spark's three tables that DuckDB's have not; -1 where their numbers differ."""
    con = duckdb.connect()
    found = 0
    for name in THREE:
        ours, theirs = f"'{out}/{name}.parquet'", f"'{out}/{name}/*.parquet'"
        con.execute(f"CREATE OR REPLACE VIEW ours AS FROM read_parquet({ours})")
        columns = [row[0] for row in con.execute("DESCRIBE ours").fetchall()]
        casts = ", ".join(
            f"{column}::VARCHAR" if "_id" in column else f"round({column}::DOUBLE, 4)"
            for column in columns
        )
        row = con.execute(
            f"SELECT count(*) FROM (SELECT {casts} FROM ours EXCEPT ALL SELECT {casts} FROM read_parquet({theirs}))"
        ).fetchone()
        found += row[0] if row else 0
    con.close()
    return found


def make_spark(venv: Path) -> str | None:
    """Put PySpark into a virtual environment of its own, and return why it cannot be."""
    if shutil.which("java") is None:
        return "there is no java"
    if not (venv / "bin" / "spark-submit").exists():
        for command in (
            [sys.executable, "-m", "venv", str(venv)],
            [
                str(venv / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                PYSPARK,
            ],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"{' '.join(command[1:4])} failed: {done.stderr.strip()[-200:]}"
    return None


def compare_with_spark(
    folder: Path, venv: Path, rounds: int, memory_limit: str
) -> dict[str, list[Cost]]:
    """Sessions, RFM scores and the trigger by Spark and by DuckDB, in turn, from the files of `raw.events`."""
    data = folder / "lake" / "data" / "raw" / "events"
    files = str(data / "*.parquet")
    out = folder / "three"
    out.mkdir(exist_ok=True)
    (out / "spark.py").write_text(SPARK_SCRIPT)
    (out / "three.json").write_text(json.dumps(THREE))
    environment = os.environ | {"PYSPARK_PYTHON": str(venv / "bin" / "python")}
    environment.pop("PYTHONPATH", None)
    command = [
        str(venv / "bin" / "python"),
        str(out / "spark.py"),
        str(data),
        str(out),
        str(out / "three.json"),
        "8g",
    ]
    costs: dict[str, list[Cost]] = {"spark": [], "duckdb": []}
    for number in range(rounds):
        works = [
            ("spark", lambda: run_process(command, environment, out)[0]),
            ("duckdb", lambda: run_function("make_three", files, out, memory_limit, folder=out)),
        ]
        for name, work in works if number % 2 == 0 else works[::-1]:
            costs[name].append(work())
    if differing := measure(_count_alike, out).result:
        raise SystemExit(f"Spark and DuckDB differ in {differing:,} rows")
    return costs


def bench_size(
    folder: Path, count_events: int, rounds: int, memory_limit: str
) -> dict[str, list[Cost]]:
    """Full builds and the script by hand in turn, the exports, then the batches."""
    written = measure(_fill, folder, count_events, memory_limit)
    costs: dict[str, list[Cost]] = {"fill": [written], "full": [], "compared": [], "hand": []}
    for number in range(rounds):
        # A batch needs a full build before it, so that comes last.
        costs["compared"].append(build(folder, AS_OF, memory_limit, selection="compared"))
        works = [
            ("full", lambda: build(folder, AS_OF, memory_limit)),
            ("hand", lambda: run_function("make_by_hand", folder, memory_limit, folder=folder)),
        ]
        for name, work in works if number % 2 == 0 else works[::-1]:
            costs[name].append(work())
    differing = measure(_count_differences, folder).result
    print(f"{written.result:,} events: dbt and the script by hand differ in {differing:,} rows")
    measure(_drop_hand, folder)
    models = slowest_models(folder)
    print("  longest: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in models))
    costs["exports"] = [build(folder, AS_OF, memory_limit, selection="exports")]
    return costs


def bench_batches(folder: Path, count_events: int, memory_limit: str) -> dict[str, list[Cost]]:
    """Two batches on top of the history, and whether the tables are those of a full build."""
    costs = {}
    for number, (name, (first, until)) in enumerate(BATCHES.items(), start=1):
        measure(_append, folder, count_events, number, first, until)
        costs[name] = [build(folder, until, memory_limit, is_full=False)]
    until = BATCHES["next day"][1]
    measure(_keep_tables, folder, until)
    costs["full after"] = [build(folder, until, memory_limit)]
    differs = measure(_keep_tables, folder, until).result
    print(f"  after both batches the tables are {'NOT ' if differs else ''}those of a full build")
    return costs


def _median(costs: list[Cost], name: str) -> float:
    return statistics.median(getattr(cost, name) for cost in costs)


def find_exponent(sizes: list[int], seconds: list[float]) -> float:
    """The slope of time over n log n, both in logarithms, by least squares; 1 is growth like n log n."""
    xs = [math.log(size * math.log(size)) for size in sizes]
    ys = [math.log(value) for value in seconds]
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / sum(
        (x - mean_x) ** 2 for x in xs
    )


LABELS = {
    "fill": "making the lake",
    "full": "dbt, features in full",
    "compared": "dbt, compared tables alone",
    "hand": "by hand",
    "exports": "dbt, exports",
    "same day": f"dbt, batch of {BATCH:,}, same day",
    "next day": f"dbt, batch of {BATCH:,}, next day",
    "full after": "dbt, features in full again",
    "spark": "PySpark: sessions, RFM, trigger",
    "duckdb": "DuckDB: sessions, RFM, trigger",
}


def print_results(results: dict[int, dict[str, list[Cost]]]) -> None:
    """Print a row an arm and size, then the goals."""
    rows = [
        (
            "",
            "events",
            "seconds",
            "CPU seconds",
            "events a second",
            "peak MiB",
            "wall / full",
            "CPU / full",
        )
    ]
    for size, costs in results.items():
        full_wall, full_cpu = (
            _median(costs["full"], "wall_seconds"),
            _median(costs["full"], "cpu_seconds"),
        )
        for name, found in costs.items():
            wall, cpu = _median(found, "wall_seconds"), _median(found, "cpu_seconds")
            rows.append(
                (
                    LABELS[name], f"{size:,}", f"{wall:.1f}", f"{cpu:.1f}", f"{(BATCH if name in BATCHES else size) / wall:,.0f}",
                    f"{max(cost.peak_mib for cost in found):,.0f}", f"{wall / full_wall:.2f}", f"{cpu / full_cpu:.2f}",
                )
            )  # fmt: skip
    print_table(rows)
    for size, costs in results.items():
        _print_goals(size, costs)
    if len(results) > 1:
        for name in ("full", "hand"):
            for unit in ("wall_seconds", "cpu_seconds"):
                exponent = find_exponent(
                    list(results), [_median(costs[name], unit) for costs in results.values()]
                )
                print(
                    f"growth, {LABELS[name]}, {unit.replace('_', ' ')}: (n log n)^{exponent:.2f}, goal <= {GOAL_EXPONENT:g}"
                )


def _print_goals(size: int, costs: dict[str, list[Cost]]) -> None:
    full = costs["full"]

    def ratios(one: list[Cost], other: list[Cost]) -> str:
        return " wall, ".join(
            f"{_median(one, unit) / _median(other, unit):.2f}x" for unit in ("wall_seconds", "cpu_seconds")
        ) + " CPU"  # fmt: skip

    print(f"{size:,} events:")
    print(
        f"  dbt, these tables / by hand: {ratios(costs['compared'], costs['hand'])}; goal <= {GOAL_BY_HAND:g}x"
    )
    print(f"  dbt in full, with its checks / by hand: {ratios(full, costs['hand'])}")
    if "spark" in costs:
        print(
            f"  Spark / DuckDB, these three tables: {ratios(costs['spark'], costs['duckdb'])}; goal >= {GOAL_SPARK:g}x"
        )
        print(f"  Spark, these three tables / dbt, all tables: {ratios(costs['spark'], full)}")
    for name in BATCHES:
        if name in costs:
            share = 100 * _median(costs[name], "wall_seconds") / _median(full, "wall_seconds")
            cpu = 100 * _median(costs[name], "cpu_seconds") / _median(full, "cpu_seconds")
            print(
                f"  batch, {name}: {share:.1f} % of the full build, {cpu:.1f} % of its CPU time; goal <= {GOAL_BATCH_PCT:g} %"
            )
    peak = max(cost.peak_mib for cost in full) / 1024
    print(f"  peak of dbt {peak:.1f} GiB; goal <= {GOAL_GIB:g} at 50,000,000 events")


def main() -> int:
    """Measure every size, then print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 2_000_000])
    parser.add_argument(
        "--rounds", type=int, default=1, help="of full builds, the script by hand, Spark and DuckDB"
    )
    parser.add_argument("--memory-limit", default="4GB", help="of DuckDB")
    parser.add_argument("--folder", default=None, help="where to put the lakes, instead of TMPDIR")
    parser.add_argument(
        "--spark-venv", type=Path, default=Path(tempfile.gettempdir()) / "personalake-bench-spark"
    )
    parser.add_argument("--no-spark", action="store_true")
    parser.add_argument("--no-batches", action="store_true")
    arguments = parser.parse_args()
    sizes = sorted(arguments.events)
    with_spark = [size for size in sizes if size <= MAX_SPARK_EVENTS][-1:]
    refusal = (
        "--no-spark"
        if arguments.no_spark
        else make_spark(arguments.spark_venv)
        if with_spark
        else "too many events"
    )
    if refusal:
        print(f"without Spark: {refusal}")
        with_spark = []
    load = os.getloadavg()[0]
    results = {}
    with tempfile.TemporaryDirectory(prefix="personalake-bench-", dir=arguments.folder) as name:
        for size in sizes:
            folder = Path(name) / str(size)
            folder.mkdir()
            costs = bench_size(folder, size, arguments.rounds, arguments.memory_limit)
            if size in with_spark:
                costs |= compare_with_spark(
                    folder, arguments.spark_venv, arguments.rounds, arguments.memory_limit
                )
            if not arguments.no_batches:
                costs |= bench_batches(folder, size, arguments.memory_limit)
            results[size] = costs
            shutil.rmtree(folder)
    print(
        f"{os.cpu_count()} cores, load {load:.1f} before and {os.getloadavg()[0]:.1f} after; {arguments.rounds} rounds, medians; "
        f"memory limit {arguments.memory_limit}"
    )
    print_results(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
