"""Bad input ends with one clear line, a status that is not 0, and nothing half-written."""

import shutil

import pytest

from jobs.lake import create_tables, transact
from jobs.settings import PROJECT_ROOT

pytestmark = pytest.mark.e2e
DEMO = str(PROJECT_ROOT / "config" / "demo.yml")
LINES = (
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
)
CONFIG = (
    "name: shop\nas_of: data_end\nsources:\n  - {{name: logs, format: rees46, path: '{path}'}}\n"
)


def _config(deployment, path):
    file = deployment.folder / "run.yml"
    file.write_text(CONFIG.format(path=path))
    return str(file)


def _one_line(done):
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


def test_wrong_column_of_a_mapping(deployment):
    logs = deployment.folder / "logs.csv"
    logs.write_text("when,kind,who\n2026-01-01,view,u1\n")
    mapping = deployment.folder / "mapping.yml"
    mapping.write_text(
        "file_type: csv\ncolumns: {occurred_at: wenn, event_type: kind, user_id: who}\n"
        "event_names: {view: product_view}\n"
    )
    config = deployment.folder / "run.yml"
    config.write_text(
        f"name: shop\nsources:\n  - {{name: logs, path: {logs}, mapping: mapping.yml}}\n"
    )

    line = _one_line(deployment.run("run", "--config", str(config)))

    assert "names the column 'wenn'" in line
    assert "did you mean 'when'?" in line
    assert not (deployment.data_dir / "lake").exists()


def test_unreadable_file(deployment):
    (deployment.folder / "logs").mkdir()
    (deployment.folder / "logs" / "a.csv.gz").write_bytes(b"this is no gzip file")

    line = _one_line(deployment.run("run", "--config", _config(deployment, "logs/*.gz")))

    assert "a.csv.gz" in line
    assert not (deployment.data_dir / "lake").exists()


def test_empty_folder(deployment):
    (deployment.folder / "logs").mkdir()

    line = _one_line(deployment.run("run", "--config", _config(deployment, "logs")))

    assert "no file at" in line


def test_missing_bucket(deployment, moto_s3):
    deployment.environment |= moto_s3.environment

    line = _one_line(
        deployment.run("run", "--config", _config(deployment, "s3://no-such-bucket/logs/"))
    )

    assert "there is no bucket no-such-bucket" in line


def test_lake_that_cannot_be_written(deployment):
    (deployment.folder / "logs.csv").write_text(LINES)
    (deployment.folder / "file").write_text("")
    lake = deployment.folder / "file" / "lake"

    line = _one_line(
        deployment.run("run", "--config", _config(deployment, "logs.csv"), "--lake", str(lake))
    )

    assert str(lake) in line
    assert "choose another with --lake" in line


def test_missing_configuration(deployment):
    assert "none.yml" in _one_line(deployment.run("run", "--config", "none.yml"))


def test_configuration_that_is_not_utf8(deployment):
    file = deployment.folder / "a[" / "b]" / "run.yml"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"name: caf\xe9\n")

    line = _one_line(deployment.run("validate", "--config", str(file)))

    assert f"{file}: not UTF-8" in line


def test_data_folder_below_a_file(deployment):
    (deployment.folder / "file").write_text("")
    deployment.environment["PERSONALAKE_DATA_DIR"] = str(deployment.folder / "file" / "data")

    line = _one_line(deployment.run("maintain"))

    assert "choose another with PERSONALAKE_DATA_DIR" in line


def test_sql_that_would_leave_the_lake(deployment):
    file = deployment.folder / "x.csv"
    transact(deployment.settings(), create_tables, message="test")

    line = _one_line(deployment.run("sql", f"COPY raw.events TO '{file}'", "--config", DEMO))

    assert "only queries are allowed" in line
    assert not file.exists()
    assert "give one" in _one_line(deployment.run("sql", "", "--config", DEMO))


def test_wrong_date(deployment):
    line = _one_line(
        deployment.run("run", "--config", _config(deployment, "logs"), "--as-of", "yesterday")
    )

    assert "write 2026-07-01" in line


def test_failed_gate_stops_before_anything_leaves(deployment):
    """A file of only rejects: the gate of raw.events is critical about an empty table."""
    (deployment.folder / "logs.csv").write_text(LINES + "soon,view,1,1,,,1,u1,s1\n")

    done = deployment.run(
        "run", "--config", _config(deployment, "logs.csv"), "--as-of", "2026-01-01"
    )

    assert done.returncode == 1
    assert "extract_logs.check_raw" in done.stderr
    assert "raw.events" in done.stderr
    assert not (deployment.data_dir / "exports").exists()
    assert deployment.query("SELECT reason_code FROM raw.rejects") == [("bad_type",)]


def _two_sources(deployment, logs):
    """A configuration of a source that is there and one that is not."""
    file = deployment.folder / "run.yml"
    file.write_text(
        "name: shop\nas_of: data_end\nsources:\n"
        "  - {name: gone, format: rees46, path: nowhere/*.csv, priority: urgent}\n"
        f"  - {logs}\n"
    )
    return str(file)


def test_load_with_one_missing_source_loads_the_others(deployment):
    (deployment.folder / "logs.csv").write_text(LINES + "2026-01-01,view,1,1,,,1,u1,s1\n")
    config = _two_sources(deployment, "{name: web, format: rees46, path: logs.csv}")

    done = deployment.run("load", "--config", config)

    assert done.returncode == 1
    assert "Source gone failed: no file at" in done.stderr
    assert deployment.query("SELECT source, count(*) FROM raw.events GROUP BY 1") == [("web", 1)]
    assert deployment.query("SELECT count(*) FROM ops.runs WHERE stage = 'extract_logs'") == [(1,)]


def test_run_as_of_a_day_with_one_missing_source_goes_on_and_says_so(deployment):
    """What came after the day is not seen; what could not be read is named."""
    done = deployment.run("demo", "--logs-only", "--customers", "300")
    assert done.returncode == 0, done.stderr
    logs = deployment.data_dir / "demo" / "logs"
    mapping = PROJECT_ROOT / "config" / "mappings" / "demo_events.yml"
    config = _two_sources(
        deployment, f"{{name: web, path: '{logs}/*.jsonl', mapping: '{mapping}'}}"
    )

    done = deployment.run("run", "--config", config, "--as-of", "2026-05-01")

    assert done.returncode == 1, done.stderr
    assert "Source gone failed: no file at" in done.stdout
    assert "Segments" in done.stdout
    assert (deployment.data_dir / "exports" / "2026-04-30" / "manifest.json").is_file()
    assert deployment.query(
        "SELECT max(occurred_at) < '2026-05-01' FROM features.customer_events"
    ) == [(True,)]


def test_run_of_sources_that_are_all_missing(deployment):
    config = _two_sources(deployment, "{name: web, format: rees46, path: none.csv}")

    line = _one_line(deployment.run("run", "--config", config))

    assert "source gone: no file at" in line
    assert not (deployment.data_dir / "lake").exists()


def test_validate_shows_columns_without_loading(deployment):
    shutil.copy(PROJECT_ROOT / "config" / "examples" / "rees46.yml", deployment.folder / "run.yml")
    (deployment.folder / "logs.csv").write_text(
        LINES + "2026-01-01 00:00:00 UTC,view,1,1,,,1.5,u1,s1\n2026-01-01,blink,1,1,,,1,u1,s1\n"
    )

    done = deployment.run("validate", "--config", _config(deployment, "logs.csv"))

    assert done.returncode == 0, done.stderr
    assert "event_time" in done.stdout
    assert "unknown_event" in done.stdout
    assert not (deployment.data_dir / "lake").exists()
