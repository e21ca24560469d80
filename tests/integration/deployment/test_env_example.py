"""`.env.example` is complete, holds no secret, and config/deployment/write_env.py makes a working `.env` of it."""

import base64
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config.deployment.write_env import fill_secrets
from jobs.settings import Settings
from tests.e2e.compose_services import COMPOSE_FILE, PROJECT_ROOT

pytestmark = pytest.mark.integration

EXAMPLE = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8")
_VARIABLE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=", re.MULTILINE)


def test_personalake_variables_are_exactly_the_settings() -> None:
    listed = [name for name in _VARIABLE.findall(EXAMPLE) if name.startswith("PERSONALAKE_")]
    assert sorted(listed) == sorted(f"PERSONALAKE_{name.upper()}" for name in Settings.model_fields)


def test_variables_are_all_that_compose_reads() -> None:
    read = set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE_FILE.read_text(encoding="utf-8")))
    on_laptop_only = {
        "PERSONALAKE_DATA_DIR",
        "PERSONALAKE_LAKE",
        "PERSONALAKE_EXPORTS_DIR",
        "PERSONALAKE_REPORTS_DIR",
        "PERSONALAKE_VAULT",
    }
    assert set(_VARIABLE.findall(EXAMPLE)) == read | on_laptop_only


def test_every_variable_has_a_comment_above() -> None:
    lines = EXAMPLE.splitlines()
    for number, line in enumerate(lines):
        if _VARIABLE.match(line):
            above = lines[number - 1]
            assert above.startswith("# ") or _VARIABLE.match(above), line


def test_example_holds_no_secret() -> None:
    set_lines = [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")]
    assert set_lines
    assert all(line.endswith("=") for line in set_lines)


def test_fill_secrets_gives_fresh_values_and_keeps_the_rest() -> None:
    template = "# note\n#X=1\nAIRFLOW_FERNET_KEY=\nPOSTGRES_PASSWORD=\nKEPT=2\n#AIRFLOW_UID=50000\n"
    first, second = (fill_secrets(template, user_id=1000).splitlines() for _ in range(2))
    assert [first[0], first[1], first[4], first[5]] == [
        "# note",
        "#X=1",
        "KEPT=2",
        "AIRFLOW_UID=1000",
    ]
    assert len(base64.urlsafe_b64decode(first[2].split("=", 1)[1])) == 32
    assert re.fullmatch(r"POSTGRES_PASSWORD=[\w-]{40,}", first[3])
    assert first[2:4] != second[2:4]


def test_write_env_makes_a_private_file_and_keeps_an_existing_one(tmp_path: Path) -> None:
    (tmp_path / "config" / "deployment").mkdir(parents=True)
    script = tmp_path / "config" / "deployment" / "write_env.py"
    script.write_bytes((PROJECT_ROOT / "config" / "deployment" / "write_env.py").read_bytes())
    (tmp_path / ".env.example").write_text(EXAMPLE)
    env = tmp_path / ".env"
    texts = []
    for expected in ("fresh secrets", "was kept"):
        # Isolated (-I -S): the script must run before anything is installed.
        done = subprocess.run(
            [sys.executable, "-I", "-S", script], capture_output=True, text=True, check=True
        )
        assert expected in done.stdout
        texts.append(env.read_text())
    assert texts[0] == texts[1]
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
