"""Files that grow, come again, are rewritten or fail: what the manifest makes of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from jobs.errors import InputDataError
from jobs.sources.batch import RejectRateError
from tests.integration.sources.conftest import STARTED_AT

pytestmark = pytest.mark.integration

EVENTS = """
file_type: csv
columns: {occurred_at: time, event_type: kind, user_id: who, item_id: sku, price: price}
event_names: {view: product_view, buy: purchase}
"""
HEAD = "time,kind,who,sku,price\n"
INVOICES = """
file_type: csv
entity: orders
equal_rows: distinct
columns: {order_id: invoice, ordered_at: time, user_id: who, item_id: sku, price: price, quantity: pieces}
"""
INVOICE_HEAD = "invoice,time,who,sku,price,pieces\n"
LINE = "A1,2026-06-01 10:00,u1,mug,2.50,1\n"


def _event(minute, who="u1", kind="view"):
    return f"2026-06-01 10:{minute:02}:00,{kind},{who},mug,2.50\n"


def test_equal_lines_of_an_invoice_are_all_kept_and_known_again_when_the_file_grows(anywhere):
    anywhere.configure("name: erp, path: '*.csv', mapping: invoices.yml", invoices=INVOICES)
    anywhere.write("a.csv", INVOICE_HEAD + LINE + LINE + LINE)
    first = anywhere.extract()
    anywhere.write("a.csv", INVOICE_HEAD + LINE + LINE + LINE + LINE)
    second = anywhere.extract()

    assert (first.loaded, first.duplicates) == (3, 0)
    assert (second.loaded, second.duplicates) == (1, 3)
    assert anywhere.query("SELECT count(DISTINCT order_line_id), sum(price) FROM raw.orders") == [
        (4, 10)
    ]


def test_lines_told_once_more_by_a_later_file_are_duplicates(anywhere):
    anywhere.configure("name: erp, path: '*.csv', mapping: invoices.yml", invoices=INVOICES)
    anywhere.write("a.csv", INVOICE_HEAD + LINE + LINE)
    anywhere.extract()
    anywhere.write("b.csv", INVOICE_HEAD + LINE + LINE + LINE.replace("mug", "cup"))
    result = anywhere.extract()

    assert (result.loaded, result.duplicates) == (1, 2)


def test_rewritten_file_replaces_its_rows_where_the_source_says_so(anywhere):
    anywhere.configure(
        "name: web, path: '*.csv', mapping: events.yml, when_rewritten: replace", events=EVENTS
    )
    anywhere.write("a.csv", HEAD + _event(1) + _event(2) + "nonsense\n")
    anywhere.write("b.csv", HEAD + _event(9))
    anywhere.extract()
    anywhere.write("a.csv", HEAD + _event(2) + _event(3, "u2"))
    result = anywhere.extract()

    assert (result.files_loaded, result.loaded, result.withdrawn) == (1, 2, 2)
    assert anywhere.query("SELECT occurred_at, user_id FROM raw.events ORDER BY 1") == [
        (datetime(2026, 6, 1, 10, 2, tzinfo=UTC), "u1"),
        (datetime(2026, 6, 1, 10, 3, tzinfo=UTC), "u2"),
        (datetime(2026, 6, 1, 10, 9, tzinfo=UTC), "u1"),
    ]
    assert anywhere.query("SELECT count(*) FROM raw.rejects") == [(0,)]
    assert anywhere.query("SELECT state, count(*) FROM raw.files GROUP BY 1 ORDER BY 1") == [
        ("loaded", 2),
        ("superseded", 1),
    ]


def test_rewritten_log_keeps_what_was_told_unless_the_source_says_otherwise(anywhere):
    anywhere.configure("name: web, path: '*.csv', mapping: events.yml", events=EVENTS)
    anywhere.write("access.csv", HEAD + _event(1))
    anywhere.extract()
    anywhere.write("access.csv", HEAD + _event(2))  # rotated
    anywhere.extract()

    assert anywhere.query("SELECT count(*) FROM raw.events") == [(2,)]


def test_late_event_lands_in_its_day_and_marks_it(anywhere):
    anywhere.configure("name: web, path: '*.csv', mapping: events.yml", events=EVENTS)
    anywhere.write("a.csv", HEAD + _event(1) + _event(1).replace("06-01", "06-03"))
    anywhere.extract()
    anywhere.write("b.csv", HEAD + _event(5) + _event(1).replace("06-01", "06-04"))
    anywhere.extract(started_at=STARTED_AT + timedelta(days=1))

    assert anywhere.query(
        "SELECT day, count_added, is_late FROM ops.changed_days ORDER BY changed_at, day"
    ) == [
        (date(2026, 6, 1), 1, False),
        (date(2026, 6, 3), 1, False),
        (date(2026, 6, 1), 1, True),
        (date(2026, 6, 4), 1, False),
    ]


def test_withdrawn_days_are_marked_too(anywhere):
    anywhere.configure(
        "name: web, path: '*.csv', mapping: events.yml, when_rewritten: replace", events=EVENTS
    )
    anywhere.write("a.csv", HEAD + _event(1) + _event(1).replace("06-01", "06-02"))
    anywhere.extract()
    anywhere.write("a.csv", HEAD + _event(1).replace("06-01", "06-02"))
    anywhere.extract(started_at=STARTED_AT + timedelta(days=1))

    assert anywhere.query(
        "SELECT day, count_added, count_withdrawn, is_late FROM ops.changed_days "
        "WHERE changed_at > '2026-07-02' ORDER BY day"
    ) == [(date(2026, 6, 1), 0, 1, True), (date(2026, 6, 2), 1, 1, False)]


def test_too_many_rejects_fail_the_source_and_leave_the_others_running(anywhere):
    anywhere.configure(
        "name: bad, path: 'bad/*.csv', mapping: events.yml, max_reject_rate: 0.2",
        "name: good, path: 'good/*.csv', mapping: events.yml",
        events=EVENTS,
    )
    lines = [_event(n % 60, f"u{n}", "view" if n % 2 else "sneeze") for n in range(200)]
    anywhere.write("bad/a.csv", HEAD + "".join(lines))
    anywhere.write("good/a.csv", HEAD + _event(1))

    with pytest.raises(
        RejectRateError, match=r"source bad: 100 of 200 rows were rejected \(unknown_event 100\)"
    ):
        anywhere.extract()

    assert anywhere.query("SELECT source, count(*) FROM raw.events GROUP BY 1") == [("good", 1)]
    assert anywhere.query(
        "SELECT source, state, count_rows, count_rejected, count_loaded FROM raw.files ORDER BY 1"
    ) == [("bad", "failed", 200, 100, 0), ("good", "loaded", 1, 0, 1)]
    assert anywhere.query("SELECT reason_code, count(*) FROM raw.rejects GROUP BY 1") == [
        ("unknown_event", 100)
    ]

    anywhere.configure(
        "name: bad, path: 'bad/*.csv', mapping: events.yml",
        "name: good, path: 'good/*.csv', mapping: events.yml",
        events=EVENTS.replace("{view:", "{sneeze: custom, view:"),
    )
    result = anywhere.extract()

    assert (result.loaded, result.rejected) == (200, 0)
    assert anywhere.query("SELECT state, count(*) FROM raw.files GROUP BY 1") == [("loaded", 2)]
    assert anywhere.query("SELECT count(*) FROM raw.rejects") == [(0,)]


def test_unreadable_file_fails_its_source_only(anywhere):
    anywhere.configure(
        "name: bad, path: 'bad/*', mapping: events.yml",
        "name: good, path: 'good/*', mapping: events.yml",
        events=EVENTS,
    )
    anywhere.write("good/a.csv", HEAD + _event(1))
    anywhere.write("bad/a.csv.gz", b"\x1f\x8b broken")

    with pytest.raises(InputDataError, match="bad"):
        anywhere.extract()

    assert anywhere.query("SELECT source, count(*) FROM raw.events GROUP BY 1") == [("good", 1)]


def test_backfill_takes_the_files_of_its_days_only(anywhere):
    anywhere.configure("name: web, path: '*.csv', mapping: events.yml", events=EVENTS)
    for day in ("2026-06-01", "2026-06-02", "2026-06-03"):
        anywhere.write(f"events-{day}.csv", HEAD + _event(1).replace("2026-06-01", day))

    result = anywhere.extract(since=date(2026, 6, 2), until=date(2026, 6, 3))

    assert (result.files_loaded, result.loaded) == (1, 1)
    assert anywhere.query("SELECT path LIKE '%06-02.csv' FROM raw.files") == [(True,)]


def test_urgent_sources_are_loaded_first(anywhere):
    anywhere.configure(
        "name: bulk, path: 'bulk/*.csv', mapping: events.yml",
        "name: carts, path: 'carts/*.csv', mapping: events.yml, priority: urgent",
        events=EVENTS,
    )
    anywhere.write("bulk/a.csv", HEAD + _event(1))
    anywhere.write("carts/a.csv", HEAD + _event(2))

    anywhere.extract()

    assert anywhere.query("SELECT source FROM raw.files ORDER BY rowid") == [
        ("carts",),
        ("bulk",),
    ]


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_every_compression_is_read(anywhere, kind, ending):
    import bz2
    import gzip
    import json

    import pyarrow as pa

    mapping = EVENTS.replace("csv", kind)
    names = HEAD.strip().split(",")
    rows = [_event(1), _event(2)]
    text = HEAD + "".join(rows)
    if kind == "jsonl":
        text = "".join(
            json.dumps(dict(zip(names, row.strip().split(","), strict=True))) + "\n" for row in rows
        )
    data = text.encode()
    packed = {
        "": lambda: data,
        ".gz": lambda: gzip.compress(data),
        ".bz2": lambda: bz2.compress(data),
        ".zst": lambda: pa.Codec("zstd").compress(data).to_pybytes(),
    }[ending]()
    anywhere.configure(f"name: web, path: '*.{kind}{ending}', mapping: events.yml", events=mapping)
    anywhere.write(f"a.{kind}{ending}", packed)

    result = anywhere.extract()

    assert (result.rows, result.loaded) == (2, 2)
