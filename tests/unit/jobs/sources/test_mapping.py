import pytest

from jobs.errors import ConfigError
from jobs.settings import PROJECT_ROOT
from jobs.sources.mapping import load_mapping
from jobs.sources.statement import json_path, quote_identifier, quote_literal

GOOD = """
file_type: csv
columns: {occurred_at: time, event_type: kind, item_id: [sku, product]}
event_names: {view: product_view}
"""


def _load(tmp_path, text):
    path = tmp_path / "mapping.yml"
    path.write_text(text)
    return load_mapping(path)


def test_layout_reads_each_source_column_once(tmp_path):
    layout = _load(
        tmp_path, GOOD + "properties: {sku: sku}\nuser_agent: agent\noptional: [item_id]\n"
    ).to_layout()

    [part] = layout.parts
    assert list(layout.fields.values()) == ["time", "kind", "sku", "product", "agent"]
    assert part.columns["item_id"] == "coalesce(s2, s3)"
    assert (part.user_agent, part.properties) == ("s4", {"sku": "s2"})
    assert layout.optional == {"s2", "s3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("item_id", "item"), r"unknown columns \['item'\]"),
        (GOOD.replace("occurred_at: time, ", ""), "occurred_at"),
        (GOOD.replace("product_view", "looked_at"), "looked_at"),
        (GOOD + "time_zone: Mars/Olympus\n", "time zone"),
        (GOOD.replace("event_names: {view: product_view}", ""), "event_names"),
        (GOOD + "colour: blue\n", "colour"),
        (GOOD + "encoding: klingon\n", "unknown encoding"),
        (GOOD + "each: lines\n", "needs JSON lines"),
        (GOOD + "pattern: '(?P<time>.*)'\n", "only for these"),
        (GOOD.replace("csv", "text") + "pattern: '(?P<time>.*)'\n", "pattern has no groups"),
        (GOOD.replace("csv", "text") + "pattern: '('\n", "no regular expression"),
        (GOOD + "other_events: gone\n", "unknown event types"),
        (GOOD + "header: [time, kind]\n", r"does not name \['product', 'sku'\]"),
        (GOOD + "header: [time, kind, sku, product, sku]\n", "a name twice"),
        (GOOD.replace("csv", "jsonl") + "header: [time, kind, sku, product]\n", "no header line"),
        (
            GOOD + "properties: {who: Customer Name}\n",
            "'Customer Name' seems to hold personal data",
        ),
        (GOOD.replace("item_id: [sku", "item_id: [email"), "item_id would keep it in clear"),
        (GOOD + "personal: [sku]\n", "'sku' is personal, and item_id would hold it in clear"),
        ("just text", "mapping"),
    ],
)
def test_load_mapping_wrong_file_says_what(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, text)


def test_personal_columns_are_kept_as_pseudonyms_and_false_friends_as_they_are(tmp_path):
    text = (
        GOOD
        + "properties: {who: Customer Name, plant: zip}\npersonal: [Customer Name]\nnot_personal: [zip]\n"
    )

    [part] = _load(tmp_path, text).to_layout().parts

    assert part.properties == {"who": "pseudonym_of_text(s4)", "plant": "s5"}


def test_contacts_may_be_mapped_to_the_columns_that_hide_them(tmp_path):
    text = "file_type: csv\nentity: profiles\ncolumns: {email: E-Mail, first_name: Vorname, postal_code: PLZ}\n"

    [part] = _load(tmp_path, text).to_layout().parts

    assert set(part.columns) == {"email", "first_name", "postal_code"}


@pytest.mark.parametrize(
    "path", sorted(PROJECT_ROOT.glob("config/mappings/*.yml")), ids=lambda path: path.name
)
def test_shipped_mappings_are_valid(path):
    assert load_mapping(path).columns


def test_quoting_keeps_hostile_names_inside():
    assert quote_identifier('a"; drop table x; --') == '"a""; drop table x; --"'
    assert quote_literal("it's") == "'it''s'"
    assert json_path("product.id") == '$."product"."id"'
    assert json_path("items[0].id") == '$."items"[0]."id"'
