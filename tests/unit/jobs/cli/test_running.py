"""What the command line makes of the events of a chain, and what it checks before one starts."""

import io
import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from rich.console import Console

from jobs.cli.running import Outcome, check_run_sources, follow
from jobs.errors import ConfigError, InputDataError
from jobs.pipeline import open_run

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
)


def _task(event, task, dag="extract_logs", **facts):
    return {"event": event, "dag": dag, "task": task, "part": None, **facts}


def _follow(*events):
    """The message of what stopped the chain, and the outcome."""
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as stream:
        stream.writelines(json.dumps(event) + "\n" for event in events)
    outcome = Outcome(Path("x.log"))
    return follow(read_end, outcome, Console(file=io.StringIO())), outcome


GONE = _task("failed", "load_source", part="web", error="source web: no file")
SUMMED_UP = _task("failed", "report_failures", error="1 of 2 sources failed: web")
ON = {"event": "dag", "dag": "extract_logs", "is_whole": False, "goes_on": True}
OFF = {"event": "dag", "dag": "extract_logs", "is_whole": False, "goes_on": False}


def test_failed_source_does_not_stop_the_chain():
    failure, outcome = _follow(
        {"event": "begin", "tasks": 5}, GONE, _task("success", "check_raw"), SUMMED_UP, ON
    )

    assert failure is None
    assert outcome.failures == {"web": "source web: no file"}


def test_chain_that_ends_for_want_of_sources_names_them_once():
    failure, outcome = _follow(GONE, SUMMED_UP, OFF)

    assert failure == "source web: no file"
    assert outcome.failures == {}


def test_missing_source_is_told_before_the_task_that_it_was_missing_to():
    failure, _ = _follow(GONE, _task("failed", "check_raw", error="raw.events is empty"), OFF)

    assert failure == "source web: no file\nextract_logs.check_raw: raw.events is empty"


def test_task_that_fails_after_the_assets_were_announced_is_a_failure():
    """The report is written last, when the exports are out already."""
    failure, _ = _follow(
        _task("failed", "write_report", dag="export_audiences", error="no space"),
        {"event": "dag", "dag": "export_audiences", "is_whole": False, "goes_on": True},
    )

    assert failure == "export_audiences.write_report: no space"


def test_mapped_task_counts_once_in_the_progress_and_each_time_in_the_outcome():
    _, outcome = _follow(
        {"event": "begin", "tasks": 2},
        _task("running", "load_source", part="web"),
        _task("success", "load_source", part="web"),
        _task("success", "load_source", part="shop"),
        _task("skipped", "check_raw"),
    )

    assert outcome.tasks == 3


def _open(tmp_path, *sources, **asked):
    lines = "\n".join(
        f"  - {{name: {name}, format: rees46, path: {path}}}" for name, path in sources
    )
    (tmp_path / "run.yml").write_text(f"name: shop\nsources:\n{lines}\n")
    (tmp_path / "good.csv").write_text(HEADER + "\n")
    (tmp_path / "bad.csv").write_text("a,b\n")
    return open_run({"config": str(tmp_path / "run.yml"), **asked}, now=NOW)


def test_check_run_sources_leaves_a_missing_file_to_the_chain(tmp_path):
    check_run_sources(_open(tmp_path, ("gone", "none.csv"), ("web", "good.csv")))


def test_check_run_sources_without_any_file_raises(tmp_path):
    with pytest.raises(InputDataError, match="source gone: no file"):
        check_run_sources(_open(tmp_path, ("gone", "none.csv")))


def test_check_run_sources_finds_a_wrong_layout_behind_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="source bad"):
        check_run_sources(_open(tmp_path, ("gone", "none.csv"), ("bad", "bad.csv")))


def test_check_run_sources_looks_only_at_those_asked_for(tmp_path):
    check_run_sources(_open(tmp_path, ("bad", "bad.csv"), ("web", "good.csv"), sources=["web"]))


def test_open_run_reads_the_days_of_a_backfill(tmp_path):
    run = _open(tmp_path, ("web", "good.csv"), since="2026-01-01", until="2026-02-01")

    assert (run.since, run.until) == (date(2026, 1, 1), date(2026, 2, 1))
    assert not {"since", "until", "sources", "lane"} & set(run.to_payload())


@pytest.mark.parametrize("name", ["since", "until"])
def test_open_run_with_a_wrong_day_says_how_to_write_one(tmp_path, name):
    with pytest.raises(ConfigError, match=f"{name} 'May' is no date; write 2026-07-01"):
        _open(tmp_path, ("web", "good.csv"), **{name: "May"})
