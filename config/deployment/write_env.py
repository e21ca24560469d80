"""Make `.env` from `.env.example` with a fresh secret in every empty line; an existing `.env` is kept.

Standard library only, so that it runs before anything is installed: `python3 config/deployment/write_env.py`.
"""

import base64
import os
import secrets
import sys
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]


def fill_secrets(template: str, user_id: int) -> str:
    """Give every `NAME=` line of the template a random value, and the containers the host user's id.

    Args:
        template: text of `.env.example`.
        user_id: id of the user who will own the files that the containers write.

    Returns:
        The text of a `.env`; comments and lines with a value are kept as they are.
    """
    lines = []
    for line in template.splitlines():
        filled = line
        name = line.removesuffix("=")
        if line.startswith("#AIRFLOW_UID=") and user_id:
            filled = f"AIRFLOW_UID={user_id}"
        elif line == "AIRFLOW_FERNET_KEY=":
            # Fernet keys are 32 bytes in padded base64, which token_urlsafe does not give.
            filled = line + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        elif line == "PERSONALAKE_KEY=":
            filled = line + secrets.token_hex(32)  # in the form that its reader wants
        elif line.endswith("=") and not line.startswith("#"):
            filled = line + (
                secrets.token_hex(10) if "KEY_ID" in name else secrets.token_urlsafe(32)
            )
        lines.append(filled)
    return "\n".join(lines) + "\n"


def main(folder: Path = PROJECT_ROOT) -> int:
    """Write `.env`, readable by its owner only, and return the exit code."""
    target = folder / ".env"
    template = (folder / ".env.example").read_text(encoding="utf-8")
    user_id = os.getuid() if hasattr(os, "getuid") else 0  # Windows has none, and needs none
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.stdout.write(f"{target} is there already and was kept\n")
        return 0
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(fill_secrets(template, user_id))
    sys.stdout.write(f"wrote {target} with fresh secrets\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
