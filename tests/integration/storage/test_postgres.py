import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.errors import ConfigError, InputDataError, TransientError
from jobs.storage import TablePull, describe_url, postgres, pull_table

pytestmark = pytest.mark.integration
PASSWORD = "not-a-secret"  # of tests/servers.py
ORDERS = """
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id int, total numeric, changed_at timestamptz);
INSERT INTO shop.orders VALUES
    (1, 9.50, '2026-06-01 10:00+02'), (2, 0.1, '2026-06-01 09:00+00'), (3, 7, '2026-06-01 09:00+00'),
    (4, 8, '2026-06-01 09:00:00.5+00'), (5, 1, '2026-06-02 00:00+00');
"""


def run(url, text):
    con = psycopg2.connect(url)
    con.autocommit = True
    con.cursor().execute(text)
    con.close()


@pytest.fixture
def pull(postgres_url, tmp_path):
    """Pulls, and gives the pull and its rows."""

    def call(**options):
        defaults = {
            "table": None, "query": None, "watermark": None, "after": None, "overlap_seconds": 0.0,
            "since": None, "until": None, "target": tmp_path / "rows.parquet",
        }  # fmt: skip
        done = pull_table(postgres_url, **(defaults | options))
        rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
        assert len(rows) == done.count_rows
        return done, rows

    return call


@pytest.fixture
def orders(pull, postgres_url):
    """Pulls from the table of orders; gives the pull and the orders' ids."""
    run(postgres_url, ORDERS)

    def call(**options):
        done, rows = pull(**({"table": "shop.orders", "watermark": "changed_at"} | options))
        return done, [int(row["id"]) for row in rows]

    return call


def test_whole_table_is_pulled_in_the_order_of_its_watermark(orders):
    done, ids = orders()

    assert (ids[0], set(ids[1:3]), ids[3:]) == (1, {2, 3}, [4, 5])
    assert done == TablePull(
        5, "2026-06-01T08:00:00.000000+00:00", "2026-06-02T00:00:00.000000+00:00"
    )


def test_rows_as_late_as_the_last_one_come_again(orders):
    done, ids = orders(after="2026-06-01T09:00:00.000000+00:00")

    assert set(ids) == {2, 3, 4, 5}
    assert done.low == "2026-06-01T09:00:00.000000+00:00"


def test_watermark_of_one_pull_begins_the_next(orders, postgres_url):
    first, _ = orders()
    run(
        postgres_url,
        "INSERT INTO shop.orders VALUES (6, 1, '2026-06-02 00:00'), (7, 1, '2026-06-01 23:59:58')",
    )

    assert orders(after=first.high)[1] == [5, 6]
    assert orders(after=first.high, overlap_seconds=2)[1] == [7, 5, 6]


def test_nothing_new_gives_an_empty_file(orders):
    assert orders(after="2026-06-03T00:00:00+00:00") == (TablePull(0, None, None), [])


def test_since_and_until_bound_the_watermark_half_open(orders):
    done, ids = orders(since="2026-06-01", until="2026-06-02")
    assert (done.count_rows, ids[0]) == (4, 1)

    assert orders(since="2026-06-02", until="2026-06-03")[1] == [5]
    assert orders(until="2026-06-01")[1] == []


def test_table_without_a_watermark_is_pulled_whole(orders):
    done, ids = orders(watermark=None, after="ignored", since="2027-01-01")

    assert (done, sorted(ids)) == (TablePull(5, None, None), [1, 2, 3, 4, 5])


def test_limit_reads_the_first_rows(orders):
    assert orders(limit=1) == (
        TablePull(1, "2026-06-01T08:00:00.000000+00:00", "2026-06-01T08:00:00.000000+00:00"),
        [1],
    )


def test_query_is_read_like_a_table(orders):
    query = "SELECT id, changed_at, '100%' AS share FROM shop.orders WHERE total > 1 -- of %s"

    assert orders(table=None, query=query, after="2026-06-01T09:00:00+00:00")[1] == [3, 4]
    assert orders(table=None, query="SELECT * FROM shop.orders WHERE id = 5 ;\n")[1] == [5]


def test_rows_without_a_watermark_come_with_every_pull(orders, postgres_url, caplog):
    run(postgres_url, "INSERT INTO shop.orders VALUES (8, 1, NULL)")

    done, ids = orders(after="2026-06-02T00:00:00+00:00")

    assert (ids, done.high) == ([5, 8], "2026-06-02T00:00:00.000000+00:00")
    assert "1 rows have no changed_at" in caplog.text


@pytest.mark.parametrize(
    ("type_", "values", "after", "overlap_seconds", "expected"),
    [
        ("bigint", ["9", "10", "11", "11"], "10", 60, ("10", "11", 3)),
        ("numeric", ["1.5", "1.50", "NaN"], "1.5", 0, ("1.5", "1.50", 3)),
        ("text", ["a", "b", "NaN"], "b", 0, ("b", "b", 1)),
        ("uuid", ["00000000-0000-0000-0000-00000000000a"], None, 0, ("00000000-0000-0000-0000-00000000000a",) * 2 + (1,)),
        ("date", ["2026-06-01", "2026-06-02", "2026-06-03"], "2026-06-03", 60, ("2026-06-02", "2026-06-03", 2)),
        ("date", ["2026-06-01", "2026-06-02", "2026-06-03"], "2026-06-03", 0, ("2026-06-03", "2026-06-03", 1)),
        ("timestamp", ["2026-06-01 10:00", "2026-06-01 11:00"], "2026-06-01T10:30:00.000000", 3600,
         ("2026-06-01T10:00:00.000000", "2026-06-01T11:00:00.000000", 2)),
        ("timestamptz", ["2026-06-01 10:00+00", "infinity", "-infinity"], None, 0,
         ("2026-06-01T10:00:00.000000+00:00", "2026-06-01T10:00:00.000000+00:00", 3)),
    ],
)  # fmt: skip
def test_watermarks_of_every_type(
    pull, postgres_url, type_, values, after, overlap_seconds, expected
):
    run(
        postgres_url,
        f'CREATE TABLE t (mark {type_} COLLATE "C")'
        if type_ == "text"
        else f"CREATE TABLE t (mark {type_})",
    )
    run(postgres_url, "INSERT INTO t VALUES " + ", ".join(f"('{value}')" for value in values))

    done, _ = pull(table="t", watermark="mark", after=after, overlap_seconds=overlap_seconds)

    assert (done.low, done.high, done.count_rows) == expected


def test_values_come_as_their_exact_text(pull, postgres_url, tmp_path):
    run(
        postgres_url,
        """CREATE TYPE mood AS ENUM ('fine');
        CREATE TABLE t AS SELECT
            123456789012345678901234567890.1234567890 AS wide, 0.1::float8 AS ratio, true AS flag,
            '{"a": [1, 2.50]}'::json AS doc, '{"b": 1,   "a": null}'::jsonb AS docb, ARRAY['x', 'y,z', NULL] AS list,
            '2026-06-01 12:00:00.123456+02'::timestamptz AS at, '2026-06-01 12:00'::timestamp AS local_at,
            'infinity'::timestamptz AS never, '0044-03-15 BC'::date AS ides, 'fine'::mood AS mood, ''::text AS blank,
            NULL::text AS none, E'a\\nb"c,é€\\u2028'::text AS words, '\\xdead'::bytea AS raw, 'NaN'::numeric AS nan,
            '1 day 02:00'::interval AS span, 9223372036854775807 AS big, ' x '::char(4) AS padded""",
    )

    [row] = pull(table="t")[1]

    assert row == {
        "wide": "123456789012345678901234567890.1234567890", "ratio": "0.1", "flag": "true",
        "doc": '{"a": [1, 2.50]}', "docb": '{"a": null, "b": 1}', "list": '{x,"y,z",NULL}',
        "at": "2026-06-01 10:00:00.123456+00", "local_at": "2026-06-01 12:00:00", "never": "infinity",
        "ides": "0044-03-15 BC", "mood": "fine", "blank": "", "none": None, "words": 'a\nb"c,é€\u2028',
        "raw": "\\xdead", "nan": "NaN", "span": "P1DT2H", "big": "9223372036854775807", "padded": " x",
    }  # fmt: skip
    assert set(pq.read_schema(tmp_path / "rows.parquet").types) == {pa.string()}


def test_large_table_is_pulled_in_batches(pull, postgres_url, monkeypatch):
    monkeypatch.setattr(postgres, "_FETCH_BYTES", 10_000)
    monkeypatch.setattr(postgres, "_ROW_GROUP_BYTES", 100_000)
    run(
        postgres_url,
        "CREATE TABLE t AS SELECT n, repeat('x', 100) AS filler FROM generate_series(1, 5000) AS n",
    )

    done, rows = pull(table="t", watermark="n")

    assert (done, [int(row["n"]) for row in rows]) == (
        TablePull(5000, "1", "5000"),
        list(range(1, 5001)),
    )


def test_names_are_taken_as_they_are(pull, postgres_url):
    run(
        postgres_url,
        'CREATE SCHEMA "My Shop"; CREATE TABLE "My Shop"."Or""ders" ("Id %s" int, "order" text)',
    )
    run(postgres_url, """INSERT INTO "My Shop"."Or""ders" VALUES (1, 'x')""")

    assert pull(table='My Shop.Or"ders', watermark="Id %s", after="1") == (
        TablePull(1, "1", "1"),
        [{"Id %s": "1", "order": "x"}],
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "shop.nothing"}, r'shop\.nothing.*relation "shop\.nothing" does not exist'),
        ({"watermark": "changed"}, r"no column changed, the watermark; there are id, total, changed_at"),
        ({"table": None, "query": "SELECT idd FROM shop.orders"}, r'the query.*column "idd" does not exist'),
        ({"table": None, "query": "SELEC 1"}, r"the query.*SQLSTATE 42601.*syntax error"),
        ({"table": None, "query": "SELECT 1 AS changed_at, 2 AS changed_at"}, "two columns are named changed_at"),
        ({"table": None, "query": "SELECT nextval('shop.numbers') AS changed_at"}, "SQLSTATE 25006"),
        ({"table": "a.b.c"}, r"expected a table as schema\.name or name"),
        ({"query": "SELECT 1"}, "expected either a table or a query"),
        ({"after": "yesterday or so"}, "InvalidDatetimeFormat, SQLSTATE 22007; check"),
    ],
)  # fmt: skip
def test_wrong_table_or_query_is_a_fault_of_the_configuration(
    orders, postgres_url, options, message
):
    run(postgres_url, "CREATE SEQUENCE shop.numbers")

    with pytest.raises(ConfigError, match=message) as caught:
        orders(**options)

    assert PASSWORD not in str(caught.value)


def test_fault_of_a_value_tells_no_value(orders):
    query = "SELECT 'ada@example.com'::int AS changed_at FROM shop.orders"

    with pytest.raises(ConfigError, match="SQLSTATE 22P02") as caught:
        orders(table=None, query=query)

    assert "ada" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_connection_that_ends_is_worth_a_retry(orders):
    query = "SELECT pg_terminate_backend(pg_backend_pid())::text AS changed_at FROM shop.orders"

    with pytest.raises(TransientError, match=r"the connection ended .*; run again"):
        orders(table=None, query=query)


def test_text_that_is_not_utf8_is_named(pull, postgres_server, postgres_url, tmp_path):
    run(
        postgres_url,
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    url = postgres_server.url("ascii")
    run(url, "CREATE TABLE t AS SELECT convert_from('\\xff'::bytea, 'SQL_ASCII') AS name")

    with pytest.raises(
        InputDataError, match=r"reading t of .*/ascii: the server sent text that is not UTF-8"
    ):
        pull_table(
            url, table="t", query=None, watermark=None, after=None, overlap_seconds=0, since=None, until=None,
            target=tmp_path / "rows.parquet",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ((":not-a-secret@", ":wrong-secret@"), ConfigError, "the server refuses"),
        (("/lake_", "/nothing_"), ConfigError, "the server refuses"),
        (("127.0.0.1:", "127.0.0.1:1"), TransientError, "cannot be reached"),
        ((":not-a-secret@", ":not-a-s%ZZecret@"), ConfigError, "the address cannot be read"),
    ],
)
def test_address_that_does_not_lead_there_is_told_without_its_password(
    postgres_url, tmp_path, change, error, message
):
    url = postgres_url.replace(*change)
    if change[1].endswith(":1"):
        url = "postgresql://personalake:not-a-secret@127.0.0.1:1/lake"

    with pytest.raises(error, match=message) as caught:
        pull_table(
            url, table="t", query=None, watermark=None, after=None, overlap_seconds=0, since=None, until=None,
            target=tmp_path / "rows.parquet",
        )  # fmt: skip

    assert "secret" not in str(caught.value)
    assert "personalake" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me:pass@db.example.com:5433/shop?sslmode=require", "postgresql://db.example.com:5433/shop"),
        ("postgres://me@db/shop", "postgresql://db:5432/shop"),
        ("postgresql://me:p%40ss@[::1]/shop", "postgresql://[::1]:5432/shop"),
        ("postgresql://db/shop?password=pass&user=me", "postgresql://db:5432/shop"),
        ("postgresql://me:pa/ss@db/shop", "postgresql://(an address that cannot be read)"),
        ("postgresql://me:12/ss@db/shop", "postgresql://(an address that cannot be read)"),
        ("postgresql://me:pa%ZZss@db/shop", "postgresql://(an address that cannot be read)"),
    ],
)  # fmt: skip
def test_description_of_an_address_holds_no_user_and_no_password(url, expected):
    assert describe_url(url) == expected
