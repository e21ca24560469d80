"""What the samples say of people is looked for in every table of the lake and in every file beside it."""

import re

import pytest

from jobs.keys import load_keys
from jobs.lake import connect
from jobs.vault import FIELDS, deliver, unseal_values
from tests import revealing
from tests.integration.sources.loading import SAMPLES, STARTED_AT, Load

ADDRESS = re.compile(
    rb"[A-Za-z0-9._+-]+(?:@|%40)(?:[A-Za-z0-9-]+\.)+[A-Za-z]+"  # e-mail
    rb"|\b(?:192\.0\.2|198\.51\.100|203\.0\.113|10\.0\.0|66\.249\.66)\.\d{1,3}\b"
    rb"|\+49[ 0-9]{6,}"
)
SOURCES = {
    "ga4": {"path": "ga4/*.jsonl", "format": "ga4"},
    "segment": {"path": "segment/calls.jsonl", "format": "segment"},
    "posthog": {"path": "segment/posthog.jsonl", "format": "segment"},
    "snowplow": {"path": "snowplow/enriched.*", "format": "snowplow"},
    "shopify orders": {"path": "shopify/orders_export_*.csv", "format": "shopify_orders"},
    "shopify customers": {"path": "shopify/customers_export.csv", "format": "shopify_customers"},
    "access log": {"path": "access_logs/combined.log", "format": "access_log"},
    "w3c": {"path": "access_logs/u_ex260601.log", "format": "w3c"},
    "rees46": {"path": "rees46/2019-Oct.csv", "format": "rees46"},
    "till": {"path": "generic/till.txt", "mapping": str(SAMPLES / "generic/till.yml")},
    "baskets": {"path": "generic/baskets.jsonl", "mapping": str(SAMPLES / "generic/baskets.yml")},
}


def read_all(settings):
    """The text of every row of every table, and the bytes of every file of the lake's folder."""
    con = connect(settings)
    try:
        tables = con.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'lake'"
        ).fetchall()
        rows = [
            str(con.execute(f"FROM lake.{schema}.{table}").fetchall()).encode()
            for schema, table in tables
        ]
    finally:
        con.close()
    files = [path.read_bytes() for path in settings.lake_dir.rglob("*") if path.is_file()]
    return b"\n".join(rows), b"\n".join(files)


@pytest.mark.parametrize("name", SOURCES)
def test_samples_leave_no_address_and_no_id_in_clear(settings, tmp_path, name):
    before = set(revealing._CLEAR)
    load = Load(settings, tmp_path)
    source = {**SOURCES[name], "path": str(SAMPLES / SOURCES[name]["path"])}

    result = load(source.pop("path"), **source)
    deliver(settings, load_keys(settings), FIELDS, STARTED_AT)

    rows, files = read_all(settings)
    [vault] = [path.read_bytes() for path in settings.vault_dir.glob("*.duckdb")]
    assert result.loaded > 0
    assert not ADDRESS.findall(rows)
    assert not ADDRESS.findall(files)
    told = {text for key, text in revealing._CLEAR.items() if key not in before and len(text) > 5}
    assert not [text for text in told if text.encode() in rows + files + vault]
    # Ciphers look like anything, also like an address: only those of the sample are looked for.
    samples = b"".join(path.read_bytes() for path in SAMPLES.glob(str(SOURCES[name]["path"])))
    assert not [text for text in ADDRESS.findall(samples) if text in vault]


def read_inbox(settings):
    """Field, clear value and sources of what waits for the vault."""
    con = connect(settings)
    try:
        rows = con.execute("SELECT identifier, field, record, source FROM lake.vault.inbox").pl()
    finally:
        con.close()
    values = unseal_values(load_keys(settings).derive("vault"), rows)
    return {
        (row["field"], row["value"]): sorted(row["source"])
        for row in values.group_by("field", "value").agg("source").iter_rows(named=True)
    }


def test_vault_gets_what_the_shop_calls_people_and_how_they_are_reached(settings, tmp_path):
    load = Load(settings, tmp_path)
    load(SAMPLES / "shopify/customers_export.csv", format="shopify_customers")
    load(SAMPLES / "shopify/customers_export.csv", format="shopify_customers", name="again")

    told = read_inbox(settings)

    assert told["email", "ada@example.com"] == ["again", "shop"]  # each source says it once
    assert {field for field, _ in told} <= {
        "user_id", "email", "phone", "first_name", "last_name", "country", "postal_code",
    }  # fmt: skip
    assert {value for field, value in told if field == "phone"} == {"+4930901820"}
    assert not [value for _, value in told if re.fullmatch("[a-z]_[0-9a-f]{32}", value)]


def test_search_text_keeps_its_words_without_the_address(settings, tmp_path):
    load = Load(settings, tmp_path)
    path = tmp_path / "calls.jsonl"
    path.write_text(
        '{"type":"track","event":"Products Searched","messageId":"1","userId":"u-1","timestamp":"2026-06-01T10:00:00Z",'
        '"properties":{"query":"order of ada@example.com blue hat","url":"https://x.example/u/ada%40example.com/hats"}}\n'
    )

    load(path, format="segment")

    assert load.query("SELECT search_query FROM lake.raw.events") == [
        ("order of [e-mail] blue hat",)
    ]


def test_column_that_a_mapping_calls_personal_is_kept_as_a_pseudonym(settings, tmp_path):
    (tmp_path / "mapping.yml").write_text(
        "file_type: csv\nentity: orders\ncolumns: {order_id: order, ordered_at: at, user_id: user, email: mail}\n"
        "properties: {seller: Seller Name}\npersonal: [Seller Name]\n"
    )
    path = tmp_path / "orders.csv"
    path.write_text(
        "order,at,user,mail,Seller Name\n1,2026-06-01,u-1,Ada@Example.com,Grace Hopper\n"
        "2,2026-06-02,u-1,+49 30 901820,Grace Hopper\n3,2026-06-02,u-2,info@example.com,\n"
    )
    load = Load(settings, tmp_path)

    load(path, mapping=str(tmp_path / "mapping.yml"))

    rows = load.query(
        "SELECT email[1], properties->>'seller' FROM lake.raw.orders ORDER BY order_id",
        reveals=False,
    )
    assert [row[0] for row in rows] == ["e", "p", "g"]
    assert rows[0][1] == rows[1][1]
    assert re.fullmatch("x_[0-9a-f]{32}", rows[0][1])
    assert rows[2][1] is None
    assert read_inbox(settings).keys() == {
        ("user_id", "u-1"), ("user_id", "u-2"), ("email", "ada@example.com"), ("phone", "+4930901820"),
    }  # fmt: skip


def test_vault_keeps_nothing_of_who_is_only_in_a_rejected_line(settings, tmp_path):
    load = Load(settings, tmp_path)
    path = tmp_path / "calls.jsonl"
    path.write_text(
        '{"type":"page","messageId":"1","userId":"u-1","timestamp":"2026-06-01T10:00:00Z"}\n'
        '{"type":"page","messageId":"2","userId":"u-2","timestamp":"someday"}\n'
    )

    result = load(path, format="segment")

    assert (result.loaded, result.rejected) == (1, 1)
    assert read_inbox(settings) == {("user_id", "u-1"): ["shop"]}
