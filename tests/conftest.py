"""What every test shares: a clean environment, a lake in a temporary folder, and the optional folder of real data."""

import os
from pathlib import Path

import pytest

from jobs.settings import PROJECT_ROOT, Settings
from tests import revealing
from tests.robustness import quick_duckdb

# A developer's own deployment must not leak into a test; Airflow is told where to live by the tests that start it.
for _name in [name for name in os.environ if name.startswith(("PERSONALAKE_", "AIRFLOW_"))]:
    if _name != "PERSONALAKE_REAL_DATA":
        del os.environ[_name]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A load opens a few connections, and each would hash two extensions of tens of megabytes, which the lock file has pinned.
quick_duckdb.install()

os.environ["PERSONALAKE_KEY"] = revealing.KEY
revealing.install()

REAL_DATA = Path(
    os.environ.get("PERSONALAKE_REAL_DATA") or PROJECT_ROOT / "../shared/data"
).resolve()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a lake of its own."""
    return Settings(_env_file=None, data_dir=tmp_path / "data")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real logs; a test that needs it is skipped, with the reason, where it is not there."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real data: set PERSONALAKE_REAL_DATA to its folder")
    return REAL_DATA
