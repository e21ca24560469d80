"""The report of a temporary lake whose dbt tables are made by hand, with the columns of docs/architecture.md."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from jobs.errors import ConfigError
from jobs.lake import create_tables, transact
from jobs.report import write_report
from jobs.settings import Settings
from jobs.stages import StageRequest

pytestmark = pytest.mark.integration

AS_OF = datetime(2026, 7, 3, tzinfo=UTC)
DAY = date(2026, 7, 2)
CUSTOMER = "customer-4711"  # must never be on the page
RUN_ID = "0123456789abcdef"

DBT_TABLES = f"""
create schema lake.core;
create schema lake.features;
create schema lake.marts;
create table lake.core.customers as
    select '{CUSTOMER}' as customer_id, true as is_registered, 2 as count_orders, true as has_marketing_consent
    union all select 'other', false, 0, false;
create table lake.core.sessions as
    select 's1' as session_id, '{CUSTOMER}' as customer_id, 1::bigint as count_orders, false as is_bounce
    union all select 's2', 'other', 0, true;
create table lake.core.orders as
    select 'o1' as order_id, 60.0::double as gross_value, 10.0::double as refunded_value, 50.0::double as net_value, 'EUR' as currency;
create table lake.core.items as select 'i1' as item_id;
create table lake.features.customer_features as
    select '{CUSTOMER}' as customer_id, date '{DAY}' as as_of_date, 5::bigint as recency_score, 4::bigint as frequency_score,
        'champions' as rfm_segment, 250.0::double as total_value
    union all select '{CUSTOMER}', date '2026-06-02', 1, 1, 'hibernating', 1.0;
create table lake.marts.metrics as
    select metric, label, 'what it means' as description, unit, aggregation, null::varchar as numerator,
        null::varchar as denominator, 0::int as decimals, 'up' as good_direction
    from (values ('n_sessions', 'Visits', 'count', 'sum'), ('n_orders', 'Orders', 'count', 'sum'))
        as defined (metric, label, unit, aggregation);
create table lake.marts.kpi_anomalies as
    select day, 'n_orders' as metric, 1.0::double as value, 41.0::double as expected, 8.0::double as lower,
        73.0::double as upper, -6.2::double as deviation_score, 'below' as direction, 'warning' as severity,
        5::bigint as n_weeks
    from (values (date '{DAY}'), (date '{DAY}' + 1)) as days (day);
create table lake.marts.kpis_daily as
    select day::date as day, 100::bigint as n_events, 10::bigint as n_sessions, 9::bigint as n_customers, 1::bigint as n_orders,
        50.0::double as net_value, 0.1::double as conversion_rate, 0.4::double as bounce_rate, 50.0::double as average_order_value,
        1::bigint as n_sessions_with_order, 4::bigint as n_bounces, 5::bigint as n_engaged_sessions,
        0.5::double as engagement_rate, 2::bigint as n_new_customers
    from generate_series(date '2026-06-30', date '{DAY}' + 1, interval 1 day) as days (day);
create table lake.marts.segment_kpis as
    select 'rfm_champions' as segment_id, 'Champions' as segment_name, 'rfm' as kind, 1::bigint as n_customers, 0.5::double as share,
        50.0::double as net_value, 25.0::double as average_order_value, 2.0::double as orders_per_customer,
        0.25::double as purchase_probability_mean, 7::bigint as n_entered, 3::bigint as n_left, date '{DAY}' as as_of_date
    union all
    select 'old', 'Segment of the day before', 'rule', 1, 0.5, 50.0, 25.0, 2.0, 0.25, 7, 3, date '{DAY}' - 1
    union all
    select 'empty', 'Deserted segment', 'rule', 0, 0.0, 0.0, null, null, null, 0, 5, date '{DAY}';
create table lake.marts.cohort_retention as
    select date '2026-06-01' as cohort_month, 0::bigint as months_since, 1::bigint as n_customers, 1::bigint as n_active,
        1.0::double as retention_rate, 50.0::double as net_value;
create table lake.marts.funnel as
    select 1 as step_number, 'session' as step, 2::bigint as n_sessions, 2::bigint as n_customers,
        null::double as rate_of_previous, 1.0::double as rate_of_first;
create table lake.marts.data_quality_daily as
    select day::date as day, source, 100::bigint as n_events, 5::bigint as n_bot_events, 1::bigint as n_rejects,
        20::bigint as n_without_customer
    from generate_series(date '2026-06-30', date '{DAY}', interval 1 day) as days (day)
    cross join (values ('web'), ('app')) as sources (source);
create table lake.marts.recommendations as
    select '{CUSTOMER}' as customer_id, 1::int as rank, 'i1' as item_id, 'Red shoe' as title, 'Shoes' as category,
        null::varchar as brand, 'viewed_together' as reason_code, 'item_to_item' as source, date '{DAY}' as as_of_date;
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, memory_limit="500MB", threads=1, _env_file=None)


@pytest.fixture
def request_() -> StageRequest:
    return StageRequest(as_of=AS_OF, upstream_run_id="marts-run", started_at=AS_OF)


def record_run(
    con: duckdb.DuckDBPyConnection, run_id: str, stage: str, as_of: datetime, age_hours: int = 0
) -> None:
    con.execute(
        "insert into lake.ops.runs by name select ? as run_id, ? as stage, ?::timestamptz as as_of, "
        "'up' as upstream_run_id, ?::timestamptz as started_at, 1.5 as seconds, ?::json as count_rows",
        [run_id, stage, as_of, AS_OF - timedelta(hours=age_hours), json.dumps({"rows": 3})],
    )


def record_check(con: duckdb.DuckDBPyConnection, run_id: str, expectation: str, hour: int) -> None:
    con.execute(
        "insert into lake.ops.quality_results by name select ? as run_id, 'raw.events' as table_name, "
        "? as expectation, 'critical' as severity, true as is_success, '0' as observed_value, "
        "? as offending_ids, ?::timestamptz as checked_at",
        [run_id, expectation, CUSTOMER, datetime(2026, 7, 3, hour, tzinfo=UTC)],
    )


def fill(settings: Settings, *, with_dbt: bool) -> None:
    def write(con: duckdb.DuckDBPyConnection) -> None:
        create_tables(con)
        if with_dbt:
            for statement in DBT_TABLES.strip().rstrip(";").split(";\n"):
                con.execute(statement)
        con.execute(
            "insert into lake.raw.files by name select 'f1' as file_id, 'web' as source, 'events' as entity, "
            "'web.jsonl' as path, 'web.jsonl' as delivery, 'loaded' as state, 'x' as sha256, 2000 as count_rows, 1989 as count_loaded, 7 as count_duplicates, "
            "4 as count_rejected, ?::timestamptz as loaded_at",
            [AS_OF],
        )
        con.execute(
            "insert into lake.raw.rejects by name select 'web' as source, 'events' as entity, 'f1' as file_id, "
            "'broken_json' as reason_code, encode(?) as raw_record, ?::timestamptz as rejected_at",
            [CUSTOMER, AS_OF],
        )
        con.execute(
            "insert into lake.ml.customer_stages by name select ? as customer_id, 'carting' as stage, "
            "?::date as as_of_date, 'r' as run_id",
            [CUSTOMER, DAY],
        )
        con.execute(
            "insert into lake.ml.journey_patterns by name select ['search', 'product_view'] as steps, "
            "'add_to_cart' as next_step, 2 as n_steps, 33 as n_sessions, 0.2 as support_rate, 0.5 as confidence, "
            "2.5 as lift, ?::date as as_of_date, 'r' as run_id",
            [DAY],
        )
        con.execute(
            "insert into lake.ml.model_runs by name select 'propensity' as model_name, "
            "'not_enough_data' as status, 'needs 60 days, has 3' as message, ?::date as as_of_date, 'r' as run_id",
            [DAY],
        )
        record_run(con, "new", "check_raw", AS_OF)
        record_run(con, "old", "check_raw", AS_OF, age_hours=2)
        record_run(con, "later", "check_raw", AS_OF + timedelta(days=1))
        record_run(con, RUN_ID, "write_report", AS_OF)
        record_check(con, "old", "expect_old", 1)
        record_check(con, "new", "expect_new", 2)
        record_check(con, "later", "expect_later", 3)

    transact(settings, write, message="test")


def test_write_report_of_a_filled_lake_shows_its_day(settings, request_):
    fill(settings, with_dbt=True)
    path = write_report(settings, request_, RUN_ID, "demo_shop")
    assert path == settings.reports_path / "2026-07-02.html"
    assert [file.name for file in path.parent.iterdir()] == ["2026-07-02.html"]
    page = path.read_text(encoding="utf-8")
    for expected in (
        "Demo shop",
        RUN_ID,
        "250.00\u00a0EUR",  # the RFM cell of this day
        "30 in all",  # sessions up to the day of the run
        "Visits",  # as the definition of the KPI calls them
        "+7 −3",
        "8 to 73",
        "Red shoe",
        "Carting",
        "needs 60 days, has 3",
        "Broken JSON",
        "2.50×",
        "expect_new",
    ):
        assert expected in page
    # Another day's features, older checks, a later day's checks, and the report's own run stay out.
    assert page.count("8 to 73") == 1
    for unexpected in ("Segment of the day before", "Deserted segment"):
        assert unexpected not in page
    for unexpected in ("Hibernating", "expect_old", "expect_later", "write report", CUSTOMER):
        assert unexpected not in page


def test_write_report_twice_gives_the_same_bytes(settings, request_):
    fill(settings, with_dbt=True)
    first = write_report(settings, request_, RUN_ID, "demo_shop").read_bytes()
    assert write_report(settings, request_, RUN_ID, "demo_shop").read_bytes() == first


def test_write_report_before_dbt_has_run_says_what_is_missing(settings, request_):
    fill(settings, with_dbt=False)
    page = write_report(settings, request_, RUN_ID, "demo_shop").read_text(encoding="utf-8")
    assert "No customer and no session is in the lake yet" in page
    assert "2,000" in page


def test_write_report_without_a_lake_names_the_next_step(settings, request_):
    with pytest.raises(ConfigError, match="personalake run"):
        write_report(settings, request_, RUN_ID, "demo_shop")
    assert not settings.reports_path.exists()
