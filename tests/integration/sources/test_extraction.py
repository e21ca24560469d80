import gzip
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from jobs.errors import ConfigError, InputDataError

pytestmark = pytest.mark.integration

GOOD = "2026-06-01 10:00:00,view,u1,i1,9.5,Firefox"


def test_csv_every_line_ends_in_events_or_rejects_with_its_number(csv_shop):
    csv_shop.write(
        "a.csv",
        GOOD,
        "2026-06-01 10:01:00,view,u1",  # cut off
        "2026-06-01 10:02:00,buy,u1,i1,9.5,Firefox",
        ",view,u1,i1,9.5,Firefox",
        "someday,view,u1,i1,9.5,Firefox",
        "2026-06-01 10:03:00,sneeze,u1,i1,9.5,Firefox",
        "2026-06-01 10:04:00,view,u1,i1,-1,Firefox",
        "2026-06-01 10:05:00,view,u1,i1,cheap,Firefox",
        "2026-06-01 10:06:00,view,u2,i1,,Googlebot/2.1",
    )

    result = csv_shop.extract()

    assert (result.rows, result.loaded, result.duplicates, result.rejected) == (9, 3, 0, 6)
    assert csv_shop.query(
        "SELECT line_number, reason_code, reason FROM raw.rejects ORDER BY line_number"
    ) == [
        (3, "malformed", "the line is not a record of this format (missing columns)"),
        (5, "missing_field", "occurred_at is empty"),
        (6, "bad_type", "occurred_at: expected a time"),
        (7, "unknown_event", "event name sneeze is not in event_names"),
        (8, "out_of_range", "price is below 0"),
        (9, "bad_type", "price: expected a number"),
    ]
    assert csv_shop.query(
        "SELECT line_number, event_type, occurred_at, price, is_bot, bot_rule FROM raw.events ORDER BY 1"
    ) == [
        # Berlin is two hours ahead of UTC in June
        (2, "product_view", datetime(2026, 6, 1, 8, tzinfo=UTC), 9.5, False, None),
        (4, "purchase", datetime(2026, 6, 1, 8, 2, tzinfo=UTC), 9.5, False, None),
        (10, "product_view", datetime(2026, 6, 1, 8, 6, tzinfo=UTC), None, True, "user_agent"),
    ]


def test_jsonl_broken_lines_are_rejected_blank_ones_passed_over_and_all_keep_their_numbers(
    jsonl_shop,
):
    jsonl_shop.write(
        "a.jsonl",
        '{"time":"2026-06-01T10:00:00Z","kind":"view","customer":"u1","sku":"i1","price":1}',
        '{"time":"2026-06-01T10:00:00Z","kind":"vi',
        "",
        "[1, 2]",
        '{"time":"2026-06-01T10:01:00+02:00","kind":"buy","customer":null,"sku":"i\\"1"}',
    )

    jsonl_shop.extract()

    assert jsonl_shop.query("SELECT line_number, reason_code FROM raw.rejects ORDER BY 1") == [
        (2, "malformed"),
        (4, "malformed"),
    ]
    assert jsonl_shop.query(
        "SELECT line_number, occurred_at, user_id, item_id FROM raw.events ORDER BY 1"
    ) == [
        (1, datetime(2026, 6, 1, 10, tzinfo=UTC), "u1", "i1"),
        (5, datetime(2026, 6, 1, 8, 1, tzinfo=UTC), None, 'i"1'),
    ]


def test_rejected_lines_hold_no_address(csv_shop):
    csv_shop.write("a.csv", "2026-06-01 10:00:00,sneeze,ada@example.com,i1,1,Firefox")

    csv_shop.extract()

    assert "ada" not in str(csv_shop.query("SELECT * FROM raw.rejects"))


def test_duplicates_are_dropped_within_a_batch_and_against_history(csv_shop):
    csv_shop.write("a.csv", GOOD, GOOD, GOOD.replace("u1", "u2"))
    first = csv_shop.extract()
    csv_shop.write("b.csv", GOOD, GOOD.replace("10:00", "11:00"))
    second = csv_shop.extract()

    assert (first.loaded, first.duplicates) == (2, 1)
    assert (second.files_loaded, second.loaded, second.duplicates) == (1, 1, 1)
    assert csv_shop.query(
        "SELECT count_rows, count_loaded, count_duplicates, count_rejected FROM raw.files ORDER BY path"
    ) == [(3, 2, 1, 0), (2, 1, 1, 0)]


def test_each_file_is_loaded_once_whatever_its_name(csv_shop):
    csv_shop.write("a.csv", GOOD)
    csv_shop.extract()
    csv_shop.write("renamed.csv", GOOD)

    result = csv_shop.extract()

    assert (result.files_loaded, result.files_known, result.rows) == (0, 2, 0)
    assert csv_shop.query("SELECT count(*) FROM raw.files") == [(1,)]


def test_a_file_that_grew_gives_its_new_lines(csv_shop):
    csv_shop.write("a.csv", GOOD)
    csv_shop.extract()
    csv_shop.write("a.csv", GOOD, GOOD.replace("u1", "u2"))

    result = csv_shop.extract()

    assert (result.loaded, result.duplicates) == (1, 1)
    assert csv_shop.query("SELECT count(*) FROM raw.events") == [(2,)]


def test_rejects_of_a_file_that_grew_are_kept_once(csv_shop):
    bad = GOOD.replace("view", "sneeze")
    csv_shop.write("a.csv", bad)
    csv_shop.extract()
    csv_shop.write("a.csv", bad, GOOD)
    csv_shop.extract()

    assert csv_shop.query("SELECT line_number FROM raw.rejects") == [(2,)]


def test_a_file_that_returns_to_earlier_content_is_a_new_version(csv_shop):
    for user in ("u1", "u2", "u1"):
        csv_shop.write("a.csv", GOOD.replace("u1", user))
        csv_shop.extract()

    assert csv_shop.query("SELECT count(*) FROM raw.files") == [(3,)]
    assert csv_shop.query("SELECT count(*) FROM raw.events") == [(2,)]


def test_own_ids_are_known_at_whatever_time_they_are_told(jsonl_shop):
    text = jsonl_shop.mapping_path.read_text()
    jsonl_shop.mapping_path.write_text(
        text.replace("  sku:", "  sku:").replace("columns:", "columns:\n  event_id: id")
    )
    line = '{"id":"7","time":"2026-06-01T10:00:00Z","kind":"view","customer":"u1"}'
    jsonl_shop.write("a.jsonl", line, line.replace('"7"', "null"))
    jsonl_shop.extract()
    jsonl_shop.write("b.jsonl", line.replace("T10", "T12"))

    result = jsonl_shop.extract()

    assert (result.loaded, result.duplicates) == (0, 1)
    ids = [
        row[0] for row in jsonl_shop.query("SELECT event_id FROM raw.events ORDER BY event_id DESC")
    ]
    assert ids[0] == "web:7"
    assert len(ids[1]) == 32  # a line without an id gets one from its values


@pytest.mark.parametrize(
    ("time_format", "value", "reason"),
    [
        ("iso", "infinity", "bad_type"),
        ("iso", "1970-01-01 00:00:00", "time_before_start"),
        ("iso", "2099-01-01 00:00:00", "time_in_future"),
        ("epoch_s", "1767261600123456", "bad_type"),
        ("epoch_s", "1767261600123", "time_in_future"),
    ],
)
def test_times_that_cannot_be_true_are_rejected(csv_shop, time_format, value, reason):
    text = csv_shop.mapping_path.read_text()
    csv_shop.mapping_path.write_text(text + f"time_format: {time_format}\n")
    csv_shop.write("a.csv", GOOD.replace("2026-06-01 10:00:00", value))

    csv_shop.extract()

    assert csv_shop.query("SELECT reason_code FROM raw.rejects") == [(reason,)]


def test_odd_files_cost_their_bad_lines_only(csv_shop):
    logs = csv_shop.folder / "logs"
    header = "time,kind,customer,sku,price,agent"
    (logs / "a_empty.csv").write_bytes(b"")
    (logs / "b_header.csv").write_text(header + "\n")
    (logs / "c_latin.csv").write_bytes(
        f"{header}\n{GOOD}\n".encode() + GOOD.encode().replace(b"i1", b"caf\xe9") + b"\n"
    )
    (logs / "d_crlf.csv").write_bytes(f"{header}\r\n{GOOD.replace('u1', 'u4')}\r\n".encode())
    (logs / "e_twice.csv").write_text(f"{header},note,Note,\n{GOOD.replace('u1', 'u5')},x,y,z\n")
    (logs / "f_bom.csv").write_bytes(
        b"\xef\xbb\xbf" + f"{header}\n{GOOD.replace('u1', 'u6')}\n".encode()
    )

    csv_shop.extract()

    assert sorted(csv_shop.query("SELECT user_id FROM raw.events")) == [
        ("u1",),
        ("u4",),
        ("u5",),
        ("u6",),
    ]
    assert csv_shop.query(
        "SELECT path LIKE '%c_latin%', line_number, reason_code FROM raw.rejects"
    ) == [(True, 3, "bad_encoding")]
    assert csv_shop.query("SELECT count(*) FROM raw.files") == [(6,)]


def test_catalogue_and_consents_are_read_beside_events(csv_shop):
    folder = csv_shop.folder
    csv_shop.write("a.csv", GOOD)
    (folder / "items.csv").write_text(
        "sku,name,stock,until\ni1,Lamp,yes,2030-01-01\ni2,Chair,perhaps,\n"
    )
    (folder / "items.yml").write_text(
        "file_type: csv\nentity: items\n"
        "columns: {item_id: sku, title: name, is_in_stock: stock, available_until: until}\n"
    )
    (folder / "consents.csv").write_text(
        "who,what,state,at\nu1,marketing,granted,2026-05-01\nu2,marketing,,2026-05-01\n"
    )
    (folder / "consents.yml").write_text(
        "file_type: csv\nentity: consents\n"
        "columns: {user_id: who, purpose: what, state: state, recorded_at: at}\n"
    )
    with csv_shop.config_path.open("a") as config:
        config.write("  - {name: shop, path: items.csv, mapping: items.yml}\n")
        config.write("  - {name: desk, path: consents.csv, mapping: consents.yml}\n")

    csv_shop.extract()

    assert csv_shop.query("SELECT item_id, is_in_stock, available_until FROM raw.items") == [
        ("i1", True, datetime(2030, 1, 1, tzinfo=UTC))
    ]
    assert csv_shop.query("SELECT user_id, state FROM raw.consents") == [("u1", "granted")]
    assert csv_shop.query("SELECT entity, reason_code FROM raw.rejects ORDER BY 1") == [
        ("consents", "missing_field"),
        ("items", "bad_type"),
    ]


def test_mapped_column_that_stands_twice_is_named(csv_shop):
    (csv_shop.folder / "logs" / "a.csv").write_text("time,kind,customer,sku,price,agent,sku\n")

    with pytest.raises(ConfigError, match="two columns 'sku'"):
        csv_shop.extract()


def test_files_of_different_headers_are_read_by_name(csv_shop):
    csv_shop.write("a.csv", GOOD)
    (csv_shop.folder / "logs" / "b.csv").write_text(
        "price,agent,extra,sku,customer,kind,time\n3,Firefox,x,i9,u9,buy,2026-06-02 10:00:00\n"
    )

    csv_shop.extract()

    assert csv_shop.query(
        "SELECT user_id, item_id, price FROM raw.events ORDER BY occurred_at"
    ) == [
        ("u1", "i1", 9.5),
        ("u9", "i9", 3.0),
    ]


def test_wrong_column_stops_before_anything_is_written(csv_shop):
    csv_shop.write("a.csv", GOOD)
    text = csv_shop.mapping_path.read_text()
    csv_shop.mapping_path.write_text(text.replace("price: price", "price: prise"))

    with pytest.raises(
        ConfigError, match=r"mapping\.yml names the column 'prise'.*did you mean 'price'"
    ):
        csv_shop.extract()

    assert not csv_shop.settings.lake_dir.exists()


def test_empty_folder_names_the_places_looked_at(csv_shop):
    with pytest.raises(InputDataError, match=r"source web: no file at .*logs"):
        csv_shop.extract()


def test_cut_off_archive_leaves_nothing_half_loaded(csv_shop):
    csv_shop.write("a.csv", GOOD)
    body = "\n".join(
        ["time,kind,customer,sku,price,agent", *[GOOD.replace("u1", f"u{n}") for n in range(5000)]]
    )
    data = gzip.compress(body.encode())
    (csv_shop.folder / "logs" / "b.csv.gz").write_bytes(data[: len(data) // 2])

    csv_shop.write_config("logs/a.csv")
    csv_shop.extract()
    csv_shop.write_config("logs/*.csv*")

    with pytest.raises(InputDataError, match=r"b\.csv\.gz: the gzip file is cut off"):
        csv_shop.extract()

    assert csv_shop.query("SELECT count(*) FROM raw.events") == [(1,)]
    assert csv_shop.query("SELECT count(*) FROM raw.files") == [(1,)]


def test_file_that_is_not_text_is_named(csv_shop):
    (csv_shop.folder / "logs" / "a.csv").write_bytes(bytes(range(256)) * 10)

    with pytest.raises((InputDataError, ConfigError), match=r"a\.csv"):
        csv_shop.extract()


def test_another_pipeline_is_kept_out_of_the_lake(csv_shop):
    from jobs.sources.extraction import record_extraction
    from jobs.stages import StageRequest

    csv_shop.write("a.csv", GOOD)
    result = csv_shop.extract()
    at = datetime(2026, 7, 1, tzinfo=UTC)
    request = StageRequest(as_of=at, upstream_run_id="", started_at=at, pipeline="shop")
    record_extraction(csv_shop.settings, result, request)
    csv_shop.write_config("logs/*.csv", name="other")

    with pytest.raises(ConfigError, match=r"holds the pipeline shop.*--lake"):
        csv_shop.extract()


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("rees46", {"rows": 17435, "loaded": 17429, "duplicates": 5, "rejected": 1}),
        ("retailrocket", {"rows": 97381, "loaded": 97381, "duplicates": 0, "rejected": 0}),
    ],
)
def test_real_logs_are_read_in_full(real_data, settings, monkeypatch, example, expected):
    from jobs.run_config import load_run_config
    from jobs.settings import PROJECT_ROOT
    from jobs.sources.extraction import extract

    monkeypatch.setenv("PERSONALAKE_REAL_DATA", str(real_data))
    path = PROJECT_ROOT / "config" / "examples" / f"{example}.yml"

    result = extract(
        settings, load_run_config(path), path, started_at=datetime(2026, 7, 1, tzinfo=UTC)
    )

    counts = {"rows": result.rows, **result.count_rows()}
    assert {name: counts[name] for name in expected} == expected


def test_missing_key_stops_before_anything_is_written(csv_shop):
    csv_shop.write("a.csv", GOOD)
    csv_shop.settings = csv_shop.settings.model_copy(update={"key": SecretStr("")})

    with pytest.raises(ConfigError, match="PERSONALAKE_KEY is not set"):
        csv_shop.extract()
    assert not csv_shop.settings.lake_dir.exists()


def test_made_up_people_need_no_key(csv_shop):
    csv_shop.write("a.csv", GOOD)
    csv_shop.settings = csv_shop.settings.model_copy(update={"key": SecretStr("")})
    csv_shop.config_path.write_text(csv_shop.config_path.read_text() + "people: made_up\n")

    assert csv_shop.extract().loaded == 1
