"""What is shown after a run."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from jobs.cli.running import Outcome
from jobs.cli.showing import show_outcome
from jobs.lake import transact
from jobs.pipeline import open_run


def test_run_that_was_made_is_shown_not_the_latest_day(tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONALAKE_DATA_DIR", str(tmp_path))
    run = open_run({"as_of": "2026-02-01"}, now=datetime(2026, 6, 1, tzinfo=UTC))
    transact(
        run.settings,
        lambda con: con.execute(
            """
            CREATE SCHEMA marts; CREATE SCHEMA ml;
            CREATE TABLE marts.segment_kpis AS SELECT * FROM (VALUES
                (DATE '2026-01-31', '[/x]', 'rule', 1, 0.5::DOUBLE, 2.0::DOUBLE),
                (DATE '2026-01-31', 'deserted', 'rule', 0, 0.0::DOUBLE, NULL),
                (DATE '2026-03-31', 'segment of another day', 'rule', 1, 0.5::DOUBLE, 2.0::DOUBLE))
                AS t (as_of_date, segment_name, kind, n_customers, share, average_order_value);
            CREATE TABLE ml.model_runs AS SELECT * FROM (VALUES
                (DATE '2026-01-31', 'january', 'skipped_too_small', NULL, NULL, 'too few [/y]'),
                (DATE '2026-03-31', 'march', 'skipped_too_small', NULL, NULL, 'too few'))
                AS t (as_of_date, model_name, status, metrics, baseline_metrics, message);
            CREATE TABLE marts.data_quality_daily AS SELECT * FROM (VALUES
                ('app', 10, 0, 5), ('web', 60, 40, 11), ('web', 10, 10, 0), ('till', 10, 0, 0))
                AS t (source, n_events, n_bot_events, n_without_consent)
            """
        ),
        message="test",
    )
    for day, count in (("2026-01-31", 1111), ("2026-03-31", 3333)):
        folder = run.settings.exports_path / day
        folder.mkdir(parents=True)
        files = [{"path": "segments.csv", "rows": count}]
        (folder / "manifest.json").write_text(json.dumps({"files": files}))
    printed = io.StringIO()

    show_outcome(Outcome(Path("x.log")), run, Console(file=printed, width=300))

    text = printed.getvalue()
    assert "1,111 rows" in text
    assert "january" in text
    assert "too few [/y]" in text
    assert "[/x]" in text
    assert "deserted" not in text
    assert "segment of another day" not in text
    assert "most events of web are set aside: nobody there is known to agree to analytics." in text
    assert "`consented: [analytics]`" in text
    assert "2026-01-31.html" in text
    assert "3,333" not in text
    assert "march" not in text
