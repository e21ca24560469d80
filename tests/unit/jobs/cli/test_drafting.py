"""The run configuration and the mappings that `personalake init` writes."""

import json
import re
from datetime import UTC, datetime

import pytest
import yaml
from typer.testing import CliRunner

from jobs.cli.app import app
from jobs.cli.drafting import make_name, write_key
from jobs.run_config import load_run_config
from jobs.sources.mapping import load_mapping
from jobs.sources.sampling import sample_sources

runner = CliRunner()
NOW = datetime(2026, 7, 1, tzinfo=UTC)
EVENTS = (
    "Zeit;Aktion;Kundennummer;Artikelnummer;Preis;E-Mail;Notiz\n"
    "31.01.2026 10:00;view;K1;A1;12,50;anna@example.com;n\n"
    "31.01.2026 10:05;Kasse: los;K1;A1;12,50;anna@example.com;n\n"
    "31.01.2026 10:06;buy;K1;A1;12,50;anna@example.com;n\n"
)
PROFILES = "customer_id,email,country,newsletter\nK1,anna@example.com,DE,yes\n"
REES46 = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
    "2026-01-01 00:00:00 UTC,view,1,1,,,1.5,u1,s1\n"
)
ACCESS = (
    '192.0.2.1 - - [17/May/2026:10:05:03 +0000] "GET /p/1 HTTP/1.1" 200 12 "-" "Mozilla/5.0"\n' * 3
)


@pytest.fixture
def shop(tmp_path):
    """A folder of a shop's logs, of several kinds."""
    folder = tmp_path / "shop"
    files = {
        "web/tracker_20260131.csv": EVENTS.replace("Notiz", "Anmerkung für uns").encode("cp1252"),
        "crm/customers.csv": PROFILES.encode(),
        "old/2019-Oct.csv": REES46.encode(),
        "nginx/access.log": ACCESS.encode(),
        "readme.txt": b"hello\n",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _init(shop, output, *arguments):
    return runner.invoke(app, ["init", "--from", str(shop), "--output", str(output), *arguments])


def test_init_writes_files_that_are_valid_and_read_every_row(shop, tmp_path):
    done = _init(shop, tmp_path / "config" / "mine.yml", "--name", "mine")

    assert done.exit_code == 0, done.output
    config = load_run_config(tmp_path / "config" / "mine.yml")
    assert {source.name: source.format for source in config.sources} == {
        "tracker": "generic",
        "customers": "generic",
        "rees46": "rees46",
        "access_log": "access_log",
    }
    samples = sample_sources(config, tmp_path / "config" / "mine.yml", NOW)
    assert {sample.name: sample.count_good for sample in samples} == {
        "tracker": 2,  # the third is an event whose name was not understood
        "customers": 1,
        "rees46": 1,
        "access_log": 3,
    }


def test_init_tells_what_it_recognised_and_what_to_do_next(shop, tmp_path):
    done = _init(shop, tmp_path / "mine.yml")

    output = " ".join(done.output.split())
    assert "rees46 (REES46" in output
    assert "Left out readme.txt: no format that is known" in output
    assert "tracker: 1 names of events were not understood" in output
    assert f"validate --config {tmp_path / 'mine.yml'}" in output


def test_mapping_holds_guesses_and_what_was_left_out_as_comments(shop, tmp_path):
    _init(shop, tmp_path / "mine.yml", "--name", "mine")

    text = (tmp_path / "mappings" / "mine_tracker.yml").read_text()
    assert yaml.safe_load(text) == {
        "file_type": "csv",
        "entity": "events",
        "delimiter": ";",
        "encoding": "cp1252",
        "time_zone": "UTC",
        "time_format": "%d.%m.%Y %H:%M",
        "decimal_mark": ",",
        "columns": {
            "occurred_at": "Zeit",
            "event_type": "Aktion",
            "user_id": "Kundennummer",
            "item_id": "Artikelnummer",
            "price": "Preis",
            "email": "E-Mail",
        },
        "event_names": {"view": "product_view", "buy": "purchase"},
    }
    assert '# "Kasse: los": custom' in text
    assert "#   Anmerkung_für_uns: Anmerkung für uns" in text
    assert load_mapping(tmp_path / "mappings" / "mine_tracker.yml").delimiter == ";"


def test_nothing_personal_is_written_or_printed(shop, tmp_path):
    done = _init(shop, tmp_path / "mine.yml")

    texts = [path.read_text() for path in tmp_path.rglob("*.yml")]
    assert len(texts) == 3
    for text in [*texts, done.output]:
        for value in ("anna", "192.0.2", "K1", "A1", "12,50"):
            assert value not in text


def test_file_that_is_there_already_is_kept(shop, tmp_path):
    there = tmp_path / "mappings" / "mine_tracker.yml"
    there.parent.mkdir()
    there.write_text("my own work")

    done = _init(shop, tmp_path / "mine.yml", "--name", "mine")

    assert done.exit_code == 1
    assert "it is there already and is kept" in str(done.exception)
    assert there.read_text() == "my own work"
    assert not (tmp_path / "mine.yml").exists()


def test_paths_below_the_configuration_are_relative(shop):
    _init(shop, shop / "run.yml")

    config = load_run_config(shop / "run.yml")
    paths = {source.name: source.path for source in config.sources}
    assert paths["tracker"] == "web/tracker_*.csv"
    assert paths["customers"] == "crm/customers.csv"


def test_place_without_logs_says_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("hello\n")

    done = runner.invoke(
        app, ["init", "--from", str(tmp_path), "--output", str(tmp_path / "x.yml")]
    )

    assert done.exit_code == 1
    assert "notes.txt: no format that is known" in str(done.exception)
    assert not (tmp_path / "x.yml").exists()


@pytest.mark.parametrize(
    "header",
    ["ts,event,user_id,sku,#x: y", "ts,event,user_id,sku,'\"", "ts,event,user_id,sku,\"a\nb\"", "ts,event,user_id,sku,null,on"],
)  # fmt: skip
def test_odd_column_names_keep_the_mapping_readable(tmp_path, header):
    rest = ",1" * (header.count(",") - 3)
    (tmp_path / "log.csv").write_text(
        f"{header}\n2026-01-01,'{{: #,u,s{rest}\n2026-01-02,view,u,s{rest}\n"
    )

    done = runner.invoke(
        app, ["init", "--from", str(tmp_path / "log.csv"), "--name", "x", "--output", str(tmp_path / "x.yml")]
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert load_mapping(tmp_path / "mappings" / "x_log.yml").columns["user_id"] == "user_id"


def test_columns_named_as_the_lakes_make_a_canonical_source(tmp_path):
    record = {"event_type": "product_view", "occurred_at": "2026-01-01T00:00:00Z", "user_id": "u"}
    (tmp_path / "log.jsonl").write_text(json.dumps(record))

    runner.invoke(app, ["init", "--from", str(tmp_path), "--output", str(tmp_path / "x.yml")])

    [source] = load_run_config(tmp_path / "x.yml").sources
    assert (source.format, source.entity, source.mapping) == ("canonical", "events", None)


def test_consent_comment_says_when_nobody_would_be_exported(shop, tmp_path):
    _init(shop, tmp_path / "a.yml")
    (shop / "crm" / "consents.csv").write_text(
        "customer_id,topic_purpose,status,date\nK1,marketing,opt_in,2026-01-01\n".replace(
            "topic_", ""
        )
    )
    _init(shop, tmp_path / "b" / "b.yml")

    assert "nobody would be exported" in (tmp_path / "a.yml").read_text()
    assert "who is silent is left out" in (tmp_path / "b" / "b.yml").read_text()


@pytest.mark.parametrize(
    ("text", "name"), [("My Shop", "my_shop"), ("2026", "s_2026"), ("äö", "s"), ("web-logs.v2", "web_logs_v2")]
)  # fmt: skip
def test_make_name_is_what_a_configuration_allows(text, name):
    assert make_name(text) == name


def test_write_key_adds_one_line_for_its_owner_only(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# mine\nPERSONALAKE_KEY=\nPERSONALAKE_THREADS=1\n")

    write_key(path)

    lines = path.read_text().splitlines()
    assert lines[:2] == ["# mine", "PERSONALAKE_THREADS=1"]
    assert re.fullmatch("PERSONALAKE_KEY=[0-9a-f]{64}", lines[2])
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [".env"]


def test_write_key_makes_the_file_and_another_key_each_time(tmp_path):
    for name in ("a", "b"):
        write_key(tmp_path / name)

    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()
