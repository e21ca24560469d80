"""A small shop of three sources for the proofs: its files, what they must come to, and what a lake holds of them."""

import json
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jobs.keys import decrypt_text, load_keys
from jobs.lake import TABLES, connect
from jobs.settings import Settings

N_FILES = 3  # of each source
N_LINES = 30  # of each file that no file before it told
N_AGAIN = 6  # lines of the file before, told again
RAW_TABLES = sorted(table.name for table in TABLES.values() if table.schema == "raw")
ENTITIES = sorted({*RAW_TABLES} - {"files", "rejects"})
CLOCKS = {"loaded_at", "rejected_at"}

_CSV_MAPPING = """
file_type: csv
time_zone: Europe/Berlin
columns: {occurred_at: time, event_type: kind, user_id: customer, item_id: sku, price: price, quantity: pieces}
event_names: {view: product_view, buy: purchase}
"""
_JSONL_MAPPING = _CSV_MAPPING.replace("csv", "jsonl").replace("{occ", "{event_id: id, occ")
_ITEMS_MAPPING = """
file_type: csv
entity: items
columns: {item_id: sku, title: name, price: price}
"""
_MAPPINGS = {
    "web": ("csv", _CSV_MAPPING),
    "app": ("jsonl", _JSONL_MAPPING),
    "goods": ("csv", _ITEMS_MAPPING),
}
_HEADERS = {
    "web": "time,kind,customer,sku,price,pieces",
    "goods": "sku,name,price",
}


@dataclass(frozen=True)
class Expected:
    """What a full load of the shop's files must come to, counted without the loader."""

    count_rows: int
    count_loaded: int
    count_duplicates: int
    count_rejected: int
    revenue: Decimal  # quantity x price over all events


def _csv_event(source: str, number: int) -> str:
    kind = "buy" if number % 3 else "view"
    time = f"2026-06-{1 + number % 28:02d} {number % 24:02d}:{number % 60:02d}:00"
    return f"{time},{kind},{source}{number % 7},i{number},{number}.25,{1 + number % 4}"


def _jsonl_event(number: int) -> str:
    return json.dumps(
        {
            "id": f"e{number}",
            "time": f"2026-06-{1 + number % 28:02d}T{number % 24:02d}:00:00+02:00",
            "kind": "view",
            "customer": f"u{number % 5}",
            "sku": f"i{number}",
            "price": f"{number}.75",
            "pieces": 2,
        }
    )


def _line(source: str, number: int) -> str:
    if source == "app":
        return _jsonl_event(number)
    if source == "goods":
        return f"i{number},Lamp {number},{number}.5"
    return _csv_event(source, number)


def _bad_lines(source: str, file: int) -> list[str]:
    """Three lines that cannot be loaded, unlike those of any other file."""
    if source == "app":
        return [
            f'{{"id":"cut{file}","time":"2026-06-',
            f'{{"id":"x{file}","time":"someday","kind":"view"}}',
            f"[{file}]",
        ]
    if source == "goods":
        return [f",Lamp without a number {file},1", f"b{file},Lamp,cheap", f"short{file}"]
    return [
        f"2026-06-01 10:00:00,sneeze,u{file},i1,1,1",
        f"2026-06-01 10:00:00,view,cut-off{file}",
        f"2026-06-01 10:00:00,view,ada{file}@example.com,i1,-1,1",
    ]


def _event_value(line: str) -> Decimal:
    if line.startswith("{"):
        record = json.loads(line)
        return Decimal(record["price"]) * record["pieces"]
    *_, price, pieces = line.split(",")
    return Decimal(price) * int(pieces)


N_ALL_FILES = len(_MAPPINGS) * N_FILES


def make_files() -> tuple[dict[str, bytes], Expected]:
    """The shop's files by path below its folder, run.yml and mappings included."""
    files: dict[str, bytes] = {}
    count: Counter[str] = Counter()
    revenue = Decimal(0)
    sources = ""
    for source, (file_type, mapping) in _MAPPINGS.items():
        files[f"{source}.yml"] = mapping.encode()
        sources += (
            f"  - {{name: {source}, path: '@/{source}/*.{file_type}', mapping: {source}.yml}}\n"
        )
        tells_again = source != "goods"  # a catalogue tells how things are, as often as it likes
        for file in range(N_FILES):
            first = file * N_LINES
            fresh = [_line(source, number) for number in range(first, first + N_LINES)]
            before = range(first - N_AGAIN, first) if file and tells_again else ()
            again = [_line(source, number) for number in before]
            bad = _bad_lines(source, file)
            lines = [*again, *fresh[:10], bad[0], *fresh[10:], *bad[1:]]
            if tells_again:
                again.append(fresh[0])  # told twice in one file
                lines.append(fresh[0])
                revenue += sum(map(_event_value, fresh))
            head = [_HEADERS[source]] if file_type == "csv" else []
            files[f"{source}/{file}.{file_type}"] = ("\n".join([*head, *lines]) + "\n").encode()
            count.update(rows=len(lines), loaded=len(fresh), again=len(again), bad=len(bad))
    files["run.yml"] = f"name: shop\nsources:\n{sources}".encode()
    return files, Expected(count["rows"], count["loaded"], count["again"], count["bad"], revenue)


@dataclass(frozen=True)
class Contents:
    """Everything that a lake holds in `raw`, in an order of its own, and sums that a person can check."""

    revenue: Decimal | None
    files: list[tuple[Any, ...]]  # counts by file
    days: list[tuple[Any, ...]]  # rows that were added and withdrawn, by day
    tables: dict[str, list[tuple[Any, ...]]]


def read_contents(settings: Settings) -> Contents:
    """Read all of `raw` but the times of loading; rejected lines decrypted, for each lake has a key of its own."""
    key = load_keys(settings).derive("rejects")
    con = connect(settings)
    try:
        tables = {}
        for name in RAW_TABLES:
            columns = [column for column in TABLES[f"raw.{name}"].columns if column not in CLOCKS]
            rows = con.execute(f"SELECT {', '.join(columns)} FROM raw.{name}").fetchall()
            if name == "rejects":
                at = columns.index("raw_record")
                rows = [
                    (*row[:at], decrypt_text(key, row[at], "rejects"), *row[at + 1 :])
                    for row in rows
                ]
            tables[name] = sorted(rows, key=repr)
        files = con.execute(
            "SELECT path, entity, count_rows, count_loaded, count_duplicates, count_rejected FROM raw.files ORDER BY ALL"
        ).fetchall()
        days = con.execute(
            "SELECT source, entity, day, sum(count_added), sum(count_withdrawn) FROM ops.changed_days GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        [revenue] = con.execute("SELECT sum(quantity * price) FROM raw.events").fetchone()
    finally:
        con.close()
    return Contents(revenue, files, days, tables)


def check_same(contents: Contents, expected: Contents) -> None:
    """Compare the sums first: they tell more than a long list of rows."""
    assert contents.revenue == expected.revenue
    assert contents.files == expected.files
    assert contents.days == expected.days
    for name, rows in expected.tables.items():
        assert contents.tables[name] == rows, name


def count_whole_files(settings: Settings) -> int:
    """The files that a lake says it has loaded, after a check that it holds each whole and of others nothing.

    Raises:
        AssertionError: a file's rows are not those that the manifest tells of.
    """
    held = " UNION ALL ".join(
        f"SELECT file_id, count(*) AS held FROM raw.{name} GROUP BY ALL" for name in ENTITIES
    )
    con = connect(settings)
    try:
        if (
            con.execute("SELECT 1 FROM duckdb_tables() WHERE database_name = 'lake'").fetchone()
            is None
        ):
            return 0
        torn = con.execute(
            f"""
            WITH told AS (
                SELECT file_id, sum(count_loaded) AS loaded, sum(count_rejected) AS rejected FROM raw.files GROUP BY ALL
            ),
            held AS (SELECT file_id, sum(held) AS held FROM ({held}) GROUP BY ALL),
            refused AS (SELECT file_id, count(*) AS refused FROM raw.rejects GROUP BY ALL)
            SELECT coalesce(told.file_id, held.file_id, refused.file_id), loaded, held, rejected, refused
            FROM told FULL JOIN held USING (file_id) FULL JOIN refused USING (file_id)
            WHERE told.file_id IS NULL OR loaded <> coalesce(held, 0) OR rejected <> coalesce(refused, 0)
            """
        ).fetchall()
        [count] = con.execute("SELECT count(DISTINCT file_id) FROM raw.files").fetchone()
    finally:
        con.close()
    assert torn == []
    return count
