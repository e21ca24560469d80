"""Sources through the commands that tell of them: validate, rejects, replay, status."""

import json

import pytest

from jobs.errors import ConfigError
from jobs.pipeline import STAGES

pytestmark = pytest.mark.integration


def _row(lines, *cells):
    """The line of a table that begins with these cells."""
    return next((line for line in lines if line.replace("| ", "").startswith(" ".join(cells))), "")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, ["till", "web", "old"]),
        ({"lane": "urgent"}, ["till"]),
        ({"sources": ["old", "till"]}, ["till", "old"]),
        ({"sources": ["web"], "lane": "urgent"}, []),
    ],
)
def test_list_sources_takes_urgent_ones_first(shop, asked, names):
    assert STAGES["list_sources"](shop.open(**asked)) == names


def test_list_sources_of_an_unknown_name_is_refused(shop):
    with pytest.raises(ConfigError, match="has no source nope; it has till, web, old"):
        STAGES["list_sources"](shop.open(sources=["web", "nope"]))


def test_record_extraction_adds_up_what_the_sources_loaded(shop):
    assert shop.load() == []

    [(as_of, counts)] = shop.query("SELECT as_of, count_rows FROM ops.runs")
    assert json.loads(counts) == {"loaded": 4, "duplicates": 0, "rejected": 2, "withdrawn": 0}
    assert str(as_of.date()) == "2026-06-03"


def test_load_of_one_failed_source_keeps_the_others(shop):
    (shop.folder / "old.csv").unlink()

    assert shop.load() == ["old"]

    assert shop.query("SELECT source, count(*) FROM raw.events GROUP BY 1 ORDER BY 1") == [
        ("till", 1),
        ("web", 2),
    ]
    assert shop.query("SELECT count(*) FROM ops.runs") == [(1,)]


def test_load_of_some_days_leaves_the_others_out(shop):
    shop.write_events("web/2026-06-05.csv", "2026-06-05,view,u1,s1,1.5")
    shop.write_events("web/2026-06-09.csv", "2026-06-09,view,u1,s1,1.5")

    shop.load(sources=["web"], since="2026-06-02", until="2026-06-09")

    assert shop.query("SELECT DISTINCT split_part(path, '/', -1) FROM raw.files") == [
        ("2026-06-05.csv",)
    ]


def test_validate_shows_each_table_and_loads_nothing(shop):
    code, lines = shop.run("validate")

    assert code == 0
    assert "web format generic, 1 files; sample of 2026-06-01.csv" in lines
    assert "raw.events: 2 of 4 rows good" in lines
    assert _row(lines, "occurred_at ts") == "| occurred_at | ts | TIMESTAMP WITH TIME ZONE | 100% |"
    assert any(line.startswith("1 rows would be rejected: bad_type") for line in lines)
    assert not any("mail@" in line or "u2" in line for line in lines)
    assert not (shop.folder.parent / "data").exists()


def test_validate_of_a_source_that_gives_no_row_fails(shop):
    shop.write_events("web/2026-06-01.csv", "soon,view,u1,s1,1")

    code, lines = shop.run("validate")

    assert code == 1
    assert "No row of the sample would be loaded." in lines
    assert "Not ready: web would give no row" in lines


def test_validate_with_one_missing_file_shows_the_other_sources(shop):
    (shop.folder / "old.csv").unlink()

    code, lines = shop.run("validate")

    assert code == 1
    assert any(line.startswith("Source old failed: no file at") for line in lines)
    assert any(line.startswith("till format rees46") for line in lines)


def test_validate_tells_when_files_look_like_another_format(shop):
    shop.write(
        "mapping.yml",
        "file_type: csv\ncolumns: {occurred_at: event_time, event_type: event_type, user_id: user_id}\n"
        "event_names: {view: product_view}\n",
    )
    shop.write_rees46("web/2026-06-01.csv", ("2026-06-01", "view"))

    code, lines = shop.run("validate")

    assert code == 0
    assert any("2026-06-01.csv looks like rees46" in line for line in lines)
    assert sum("looks like" in line for line in lines) == 1


def test_rejects_counts_lines_by_reason_without_showing_them(shop):
    shop.load()

    code, lines = shop.run("rejects")

    assert code == 0
    assert _row(lines, "web events bad_type") == (
        "| web | events | bad_type | occurred_at: expected a time | 1 | 1 | 2026-06-01.csv:5 |"
    )
    assert _row(lines, "web events unknown_event").endswith("| 1 | 1 | 2026-06-01.csv:4 |")
    assert not any("u2" in line or "soon" in line for line in lines)


def test_rejects_with_lines_shows_them_masked(shop):
    shop.load()

    _, lines = shop.run("rejects", "--show-lines", "--source", "web")

    assert _row(lines, "web events bad_type").endswith("| soon,view,[e-mail],s1,1.5 |")


def test_rejects_are_limited_and_filtered(shop):
    shop.load()

    _, limited = shop.run("rejects", "--limit", "1")
    _, none = shop.run("rejects", "-s", "till")

    assert "The first 1 of 2 reasons; --limit gives more." in limited
    assert not _row(limited, "web events unknown_event")
    assert none == ["No rejected line is on record."]


def test_source_with_too_many_rejects_is_named_first_and_red(shop):
    shop.load()
    shop.write_events("web/2026-06-03.csv", *["soon,view,u1,s1,1"] * 120)

    assert shop.load() == ["web"]

    _, rejects = shop.run("rejects")
    assert rejects[0].startswith("web failed (1 files): source web: 120 of 120 rows were rejected")
    _, status = shop.run("status")
    assert _row(status, "web 1 failed")
    assert _row(status, "till ok")
    # The next version of the file is good: the failure is over.
    shop.write_events("web/2026-06-03.csv", "2026-06-03,view,u1,s1,1")
    shop.load()
    _, status = shop.run("status")
    assert _row(status, "web ok")
    _, rejects = shop.run("rejects")
    assert not rejects[0].startswith("web failed")


def test_replay_loads_what_a_mended_mapping_understands(shop):
    shop.load()
    shop.write("mapping.yml", (shop.folder / "mapping.yml").read_text() + "other_events: custom\n")

    code, lines = shop.run("replay")

    assert code == 0
    assert _row(lines, "web") == "| web | 2 | 1 | 0 | 1 |"
    assert _row(lines, "till") == "| till | 0 | 0 | 0 | 0 |"
    assert "The next `personalake run` computes with them." in lines
    assert shop.query("SELECT count(*) FROM raw.events WHERE event_type = 'custom'") == [(1,)]
    _, again = shop.run("replay", "-s", "web")
    assert _row(again, "web") == "| web | 1 | 0 | 0 | 1 |"
    assert not _row(again, "till")


def test_replay_of_a_source_whose_files_are_gone_does_the_others(shop):
    shop.load()
    (shop.folder / "till.csv").unlink()

    code, lines = shop.run("replay")

    assert code == 1
    assert any(line.startswith("Source till failed: no file at") for line in lines)
    assert _row(lines, "web") == "| web | 2 | 0 | 0 | 2 |"


def test_replay_before_anything_was_loaded_makes_no_lake(shop):
    with pytest.raises(ConfigError, match="there is none yet"):
        shop.run("replay")

    assert not (shop.folder.parent / "data" / "lake").exists()


def test_status_shows_freshness_and_late_days(shop):
    (shop.folder / "old.csv").unlink()
    shop.load("2026-07-01")
    shop.write_events("web/late.csv", "2026-05-20,view,u1,s1,1", "2026-05-21,view,u1,s1,1")
    shop.load("2026-07-02")

    _, lines = shop.run("status")

    cells = _row(lines, "web ok").split()
    assert cells[:8] == ["web", "ok", "2", "4", "0", "2", "2026-06-01", "2"]
    assert cells[-1] == "ago"
    assert _row(lines, "old empty")
    assert _row(lines, "till ok").split()[6] == "2026-06-02"
