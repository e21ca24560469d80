"""Dockerfile and .dockerignore: what can be checked without building the image."""

import re
import subprocess

import pytest

from tests.e2e.compose_services import PROJECT_ROOT, read_image_environment
from tests.servers import find_program

pytestmark = pytest.mark.integration

DOCKERFILE = (PROJECT_ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORE = (PROJECT_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [find_program("hadolint"), PROJECT_ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_image_runs_as_an_unprivileged_user() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["50000"]


def test_image_installs_with_hashes_from_the_lock_only() -> None:
    installs = [line for line in DOCKERFILE.replace("\\\n", " ").splitlines() if "install" in line]
    commands = [part for line in installs for part in line.split("&&") if "uv pip install" in part]
    assert len(commands) == 3
    for command in commands:
        with_hashes = "--require-hashes" in command and "--constraints requirements.lock" in command
        own_code = "--no-deps" in command and "--editable ." in command
        assert with_hashes or own_code, command


def test_image_environment_is_read_whole() -> None:
    environment = read_image_environment()
    assert environment["AIRFLOW_HOME"] == "/opt/airflow"
    assert environment["PATH"] == "/opt/venv/bin:$PATH"


def test_build_context_is_a_list_of_what_is_needed() -> None:
    # Everything is left out first, so neither .env nor data can slip into an image.
    assert next(line for line in IGNORE if line and not line.startswith("#")) == "*"
    allowed = {line[1:] for line in IGNORE if line.startswith("!")}
    assert not allowed & {".env", "data", ".git", "tests", ".venv"}
    assert allowed >= {"jobs", "dags", "dbt_project", "config", "expectations"}
    assert "**/.env" in IGNORE
