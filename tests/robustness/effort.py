"""How much the proofs of this folder try; the defaults suit every test run, the environment asks for more.

`PERSONALAKE_CRASHES=1000 pytest tests/robustness/test_crash.py`, say.
"""

import os


def _read(name: str, default: int) -> int:
    return int(os.environ.get(name) or default)


_MIN_CRASHES = _read("PERSONALAKE_CRASHES", 0)
FUZZ_EXAMPLES = _read("PERSONALAKE_FUZZ_EXAMPLES", 40)  # files of one format
ARE_FUZZ_FILES_NEW = "PERSONALAKE_FUZZ_EXAMPLES" in os.environ  # else the same in every run
SOAK_SECONDS = _read(
    "PERSONALAKE_SOAK_SECONDS", 8
)  # of writers beside readers; 120 is the full proof


def crashes(default: int) -> int:
    """Kills that must hit a running loader in one test."""
    return max(default, _MIN_CRASHES)
