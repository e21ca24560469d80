import pytest

from jobs.errors import ConfigError
from jobs.run_config import load_run_config
from jobs.settings import PROJECT_ROOT

MINIMAL = """
name: shop
sources:
  - {name: logs, format: rees46, path: logs/*.csv}
"""


def _load(tmp_path, text):
    path = tmp_path / "run.yml"
    path.write_text(text)
    return load_run_config(path)


def test_load_run_config_fills_defaults(tmp_path):
    config = _load(tmp_path, MINIMAL)

    assert config.as_of == "now"
    assert config.consent.default is None
    assert config.sessions.inactivity_minutes == 30
    assert (config.features.rfm_method, config.time_zone) == ("quantile", "UTC")


def test_load_run_config_reads_how_customers_are_described(tmp_path):
    features = "time_zone: Europe/Berlin\nfeatures: {rfm_method: jenks}\n"
    config = _load(tmp_path, MINIMAL + features)

    assert (config.features.rfm_method, config.time_zone) == ("jenks", "Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "colour: blue\n", "colour"),
        (MINIMAL.replace("shop", "My Shop"), "name"),
        ("name: shop\nsources: []\n", "sources"),
        (MINIMAL + "as_of: someday\n", "as_of"),
        (MINIMAL.replace("format: rees46, ", ""), "mapping"),
        (MINIMAL + "time_zone: Mars/Olympus\n", "time_zone.*Europe/Berlin"),
        (MINIMAL + "time_zone: ../../etc/hostname\n", "time_zone"),
        (MINIMAL + "sessions: {max_hours: 0}\n", "sessions.max_hours"),
        (MINIMAL + "sessions: {timezone: UTC}\n", "sessions.timezone"),
        (MINIMAL + "features: {rfm_method: ntile}\n", "rfm_method"),
        (MINIMAL + "time_zone: Berlin\n", "time zone 'Berlin'"),
        ("- a\n- b\n", "expected settings by name"),
        ("name: [shop\n", "line"),
    ],
)
def test_load_run_config_wrong_file_says_where(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, text)


def test_load_run_config_missing_file_names_the_option(tmp_path):
    with pytest.raises(ConfigError, match="--config"):
        load_run_config(tmp_path / "none.yml")


@pytest.mark.parametrize(
    "path",
    [PROJECT_ROOT / "config" / "demo.yml", *sorted(PROJECT_ROOT.glob("config/examples/*.yml"))],
    ids=lambda path: path.name,
)
def test_shipped_configurations_are_valid(path):
    assert load_run_config(path).name == path.stem
