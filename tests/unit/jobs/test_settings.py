from pathlib import Path

import pytest

from jobs.errors import ConfigError
from jobs.settings import Settings, expand_variables, load_settings


def test_paths_default_to_the_data_folder(tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path)

    assert settings.lake_dir == tmp_path / "lake"
    assert settings.exports_path == tmp_path / "exports"
    assert settings.vault_dir == tmp_path / "lake-vault"
    assert not settings.is_shared_catalog


def test_environment_wins_over_defaults(monkeypatch, tmp_path):
    monkeypatch.setenv("PERSONALAKE_LAKE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PERSONALAKE_LAKE_DATA", "s3://bucket/lake")

    settings = load_settings()

    assert settings.lake_dir == tmp_path / "elsewhere"
    assert settings.lake_data == "s3://bucket/lake/"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PERSONALAKE_CATALOG", "mysql://u@h/db"),
        ("PERSONALAKE_LAKE_DATA", "/a/folder"),
        ("PERSONALAKE_DBT_TASKS", "table"),
        ("PERSONALAKE_LOCK_TIMEOUT_SECONDS", "soon"),
    ],
)
def test_load_settings_wrong_value_names_the_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match=name):
        load_settings()


def test_expand_variables_takes_value_default_or_complains(monkeypatch):
    monkeypatch.setenv("SHOP", "north")
    monkeypatch.delenv("NOWHERE", raising=False)

    assert expand_variables("${SHOP}/x") == "north/x"
    assert expand_variables("${NOWHERE:-data}/x") == "data/x"
    with pytest.raises(ConfigError, match="NOWHERE"):
        expand_variables("${NOWHERE}/x")


def test_settings_are_frozen():
    settings = Settings(_env_file=None)

    with pytest.raises(ValueError, match="frozen"):
        settings.data_dir = Path("/elsewhere")
