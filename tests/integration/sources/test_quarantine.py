"""Lines that do not fit: kept whole, under a key, and read again once the mapping is mended."""

import pytest
from pydantic import SecretStr

from jobs.errors import ConfigError

pytestmark = pytest.mark.integration

EVENTS = """
file_type: {kind}
columns: {{occurred_at: time, event_type: kind, user_id: who, search_query: query, price: price}}
event_names: {{view: product_view}}
"""
HEAD = "time,kind,who,query,price\n"


def _mend(text):
    return text.replace("{view:", "{sneeze: custom, view:")


def test_replay_loads_what_the_mended_mapping_accepts(deployment):
    mapping = EVENTS.format(kind="csv")
    deployment.configure("name: web, path: '*.csv', mapping: events.yml", events=mapping)
    deployment.write(
        "a.csv",
        HEAD
        + '2026-06-01 10:00,sneeze,u1,"red, ""big""\nmug",1.5\n'
        + "2026-06-01 10:01,view,u1,,\n"
        + "2026-06-01 10:02,sneeze,u2,mail ada@example.com,\n"
        + "someday,view,u3,,\n",
    )
    deployment.extract()
    deployment.configure("name: web, path: '*.csv', mapping: events.yml", events=_mend(mapping))
    before = deployment.query("SELECT * FROM raw.rejects ORDER BY line_number")
    [result] = deployment.replay()

    assert (result.rows, result.loaded, result.rejected) == (3, 2, 1)
    assert "ada@example.com" not in str(before)
    assert deployment.query(
        "SELECT user_id, event_type, search_query FROM raw.events ORDER BY occurred_at"
    ) == [
        ("u1", "custom", 'red, "big"\nmug'),
        ("u1", "product_view", None),
        ("u2", "custom", "mail [e-mail]"),
    ]
    assert deployment.query("SELECT reason_code FROM raw.rejects") == [("bad_type",)]
    assert deployment.query(
        "SELECT count_rows, count_loaded, count_duplicates, count_rejected FROM raw.files"
    ) == [(4, 3, 0, 1)]
    [again] = deployment.replay()
    assert (again.loaded, again.rejected) == (0, 1)


def test_replayed_line_that_is_known_by_now_is_a_duplicate(deployment):
    mapping = EVENTS.format(kind="jsonl")
    deployment.configure("name: web, path: '*.jsonl', mapping: events.yml", events=mapping)
    line = '{"time":"2026-06-01T10:00:00Z","kind":"sneeze","who":"u1"}\n'
    deployment.write("a.jsonl", line)
    deployment.extract()
    deployment.configure("name: web, path: '*.jsonl', mapping: events.yml", events=_mend(mapping))
    deployment.write("b.jsonl", line + line)
    deployment.extract()
    [result] = deployment.replay()

    assert (result.loaded, result.duplicates, result.rejected) == (0, 1, 0)
    assert deployment.query("SELECT count(*) FROM raw.events") == [(1,)]
    assert deployment.query("SELECT count(*) FROM raw.rejects") == [(0,)]


def test_rejected_lines_stand_in_no_file_of_the_lake_in_clear(deployment):
    mapping = EVENTS.format(kind="jsonl")
    deployment.configure("name: web, path: '*.jsonl', mapping: events.yml", events=mapping)
    deployment.write("a.jsonl", '{"kind":"sneeze","who":"ada.lovelace@example.com"}\n')
    deployment.extract()

    files = [path for path in deployment.settings.lake_dir.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert not [path for path in files if b"lovelace" in path.read_bytes()]


def test_another_key_is_named(deployment):
    mapping = EVENTS.format(kind="jsonl")
    deployment.configure("name: web, path: '*.jsonl', mapping: events.yml", events=mapping)
    deployment.write("a.jsonl", '{"kind":"sneeze"}\n')
    deployment.extract()
    key = SecretStr("ab" * 32)
    deployment.settings = deployment.settings.model_copy(update={"key": key})

    for work in (deployment.replay, deployment.extract):
        with pytest.raises(ConfigError, match="not the key that this lake was written with"):
            work()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"time":"2026-06-01T10:00Z","kind":"vi', "malformed"),
        ('{"kind":"view"}', "missing_field"),
        ('{"time":"2026-06-01T10:00Z","kind":"view","price":"x"}', "bad_type"),
        ('{"time":"2026-06-01T10:00Z","kind":"view","price":-1}', "out_of_range"),
        ('{"time":"2026-06-01T10:00Z","kind":"sneeze"}', "unknown_event"),
        ('{"time":"2026-06-01T10:00Z","kind":"view","money":"ABC"}', "unknown_currency"),
        ('{"time":"2099-06-01T10:00Z","kind":"view"}', "time_in_future"),
        ('{"time":"1970-06-01T10:00Z","kind":"view"}', "time_before_start"),
        ('{"time":"2025-06-01T10:00Z","kind":"view"}', "time_before_start"),
        (b'{"time":"2026-06-01T10:00Z","kind":"view","who":"\xff"}', "bad_encoding"),
        ('{"who":"' + "x" * 17_000_000 + '"}', "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_every_reason_has_its_code(deployment, line, code):
    mapping = EVENTS.format(kind="jsonl").replace("who,", "who, currency: money,")
    deployment.configure(
        "name: web, path: '*.jsonl', mapping: events.yml, starts_at: 2026-01-01", events=mapping
    )
    good = b'{"time":"2026-06-01T10:00Z","kind":"view","who":"u","money":"eur"}\n'
    data = line if isinstance(line, bytes) else line.encode()
    deployment.write("a.jsonl", good + data + b"\n" + good)

    deployment.extract()

    assert deployment.query("SELECT line_number, reason_code FROM raw.rejects") == [(2, code)]
    assert deployment.query("SELECT line_number, currency FROM raw.events") == [(1, "EUR")]


def test_unknown_values_of_closed_lists_are_rejected_and_known_ones_understood(deployment):
    deployment.configure(
        "name: desk, path: '*.csv', mapping: consents.yml",
        consents="""
        file_type: csv
        entity: consents
        columns: {user_id: who, purpose: what, state: state, recorded_at: at}
        """,
    )
    rows = ["u1,mail,Yes,2026-05-01", "u2,mail,OPT-OUT,2026-05-01", "u3,mail,maybe,2026-05-01"]
    deployment.write("a.csv", "who,what,state,at\n" + "\n".join(rows) + "\n,mail,no,2026-05-01\n")

    deployment.extract()

    assert deployment.query("SELECT user_id, state FROM raw.consents ORDER BY line_number") == [
        ("u1", "granted"),
        ("u2", "withdrawn"),
    ]
    assert deployment.query("SELECT reason_code, reason FROM raw.rejects ORDER BY 1") == [
        ("missing_field", "none of user_id, email, phone, anonymous_id has a value"),
        ("unknown_value", "state is none of granted, denied, withdrawn"),
    ]


def test_nul_in_a_string_is_read_and_rejected_like_any_text(deployment):
    mapping = EVENTS.format(kind="jsonl").replace("who,", "who, currency: money,")
    deployment.configure("name: web, path: '*.jsonl', mapping: events.yml", events=mapping)
    line = '{"time":"2026-06-01T10:00:00Z","kind":"view","who":"a\\u0000b","money":"%s"}\n'
    deployment.write("a.jsonl", line % "EUR" + line % "\\u0000")

    deployment.extract()

    assert deployment.query("SELECT user_id FROM raw.events") == [("a\ufffdb",)]
    assert deployment.query("SELECT line_number, reason_code FROM raw.rejects") == [
        (2, "unknown_currency")
    ]
