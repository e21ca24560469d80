"""Killed at any moment and started again, one loader or two at once leave what an undisturbed load leaves.

A test kills until so many kills have hit a loader at work, each lake until a loader ends by itself there.
`PERSONALAKE_CRASHES=500` asks for at least so many kills in each test.
"""

import itertools
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from jobs.settings import Settings
from tests.robustness import effort, loader
from tests.robustness.loader import Job
from tests.robustness.shop import (
    N_ALL_FILES,
    Contents,
    Expected,
    check_same,
    count_whole_files,
    make_files,
    read_contents,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

SEED = 20260701
LANES = 2  # lakes that are loaded side by side, each by a loader of its own


@dataclass
class Place:
    """Where the shop's files lie, and the lakes that they are loaded into."""

    folder: Path
    environment: dict[str, str]
    expected: Expected
    lake_bucket: str = ""  # on S3; empty for folders
    make_catalog: Callable[[], str] | None = None  # address of a new database; SQLite without

    def __post_init__(self) -> None:
        self._numbers = itertools.count()

    def make_job(self) -> Job:
        """A loader's job on a new lake."""
        number = next(self._numbers)
        settings = Settings(
            _env_file=None,
            data_dir=self.folder / f"data{number}",
            lake_data=f"s3://{self.lake_bucket}/lake{number}" if self.lake_bucket else "",
            catalog=self.make_catalog() if self.make_catalog else "",
            memory_limit="1GB",
            threads=1,
        )
        reports = self.folder / "reports"
        reports.mkdir(exist_ok=True)
        return Job(settings, self.folder / "run.yml", reports, self.environment)


@pytest.fixture
def make_place(tmp_path, request, monkeypatch):
    """Lay the shop's files out in a folder or on S3."""

    def make(location: str, catalog: str = "sqlite") -> Place:
        files, expected = make_files()
        place = Place(tmp_path, {}, expected)
        if catalog == "postgres":
            place.make_catalog = request.getfixturevalue("postgres_server").make_database
        base = f"{tmp_path}/logs"
        if location == "s3":
            s3 = request.getfixturevalue("rclone_s3")
            for name, value in s3.environment.items():
                monkeypatch.setenv(name, value)
            place.environment = s3.environment
            place.lake_bucket, bucket = s3.make_bucket(), s3.make_bucket()
            base = f"s3://{bucket}"
        for name, content in files.items():
            if name.endswith(".yml"):
                (tmp_path / name).write_bytes(content.replace(b"@/", f"{base}/".encode()))
            elif location == "s3":
                s3.client().put_object(Bucket=bucket, Key=name, Body=content)
            else:
                path = tmp_path / "logs" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return place

    return make


def load_undisturbed(place: Place) -> tuple[Contents, float]:
    """What one loader leaves that nobody disturbs, and how many seconds it takes."""
    first = loader.start(place.make_job())  # starts the fork server too, so its time says nothing
    first.join()
    job = place.make_job()
    started = time.perf_counter()
    process = loader.start(job)
    process.join()
    seconds = time.perf_counter() - started
    expected = place.expected
    assert loader.read_counts(job, process) == {
        "rows": expected.count_rows,
        "loaded": expected.count_loaded,
        "duplicates": expected.count_duplicates,
        "rejected": expected.count_rejected,
    }
    contents = read_contents(job.settings)
    assert contents.revenue == expected.revenue
    assert count_whole_files(job.settings) == N_ALL_FILES
    return contents, seconds


def check_nothing_left_to_load(job: Job, contents: Contents) -> None:
    """A lake holds what it should, and another load changes nothing."""
    check_same(read_contents(job.settings), contents)
    process = loader.start(job)
    process.join()
    assert loader.read_counts(job, process)["rows"] == 0
    check_same(read_contents(job.settings), contents)


def count_files_after_crash(job: Job) -> int:
    """The whole files in a lake whose loader has just been killed; 0 where it had not made the lake yet."""
    if not job.settings.is_shared_catalog and not has_tables(job.settings.lake_dir):
        return 0
    return count_whole_files(job.settings)


def has_tables(lake_dir: Path) -> bool:
    """Whether a SQLite catalog got as far as its first commit; looked up in a copy, for opening it would mend it."""
    with tempfile.TemporaryDirectory() as copy:
        for path in lake_dir.glob("catalog.sqlite*"):
            shutil.copy(path, copy)
        con = sqlite3.connect(Path(copy) / "catalog.sqlite")
        try:
            tables = con.execute(
                "SELECT count(*) FROM sqlite_master WHERE name = 'ducklake_snapshot'"
            ).fetchone()
        finally:
            con.close()
    return tables == (1,)


def load_despite_kills(
    jobs: list[Job],
    chance: random.Random,
    longest: float,
    on_crash: Callable[[Job], None] = lambda _: None,
) -> int:
    """Run a loader for each job, all at once; kill each at random and start it again until it ends by itself.

    Args:
        jobs: what to load; the same job twice for two loaders on one lake.
        chance: says when.
        longest: the kills come within so many seconds of a loader's start.
        on_crash: is called after a kill that hit.

    Returns:
        How many kills hit a loader at work.
    """

    def begin(job: Job) -> tuple[Job, BaseProcess, float]:
        return job, loader.start(job), time.monotonic() + chance.uniform(0, longest)

    running = [begin(job) for job in jobs]
    count_crashes = 0
    while running:
        soonest = min(deadline for _, _, deadline in running)
        wait([process.sentinel for _, process, _ in running], max(0, soonest - time.monotonic()))
        for one in [*running]:
            job, process, deadline = one
            if process.exitcode is None and time.monotonic() < deadline:
                continue
            running.remove(one)
            if loader.kill(process):
                count_crashes += 1
                on_crash(job)
                running.append(begin(job))
            else:
                loader.read_counts(job, process)
    return count_crashes


@pytest.mark.parametrize(("location", "count"), [("local", 100), ("s3", 20)])
def test_loader_killed_at_random_moments_leaves_what_an_undisturbed_one_leaves(
    make_place, location, count
):
    place = make_place(location)
    contents, seconds = load_undisturbed(place)
    chance = random.Random(SEED)
    files_at_crash: list[int] = []
    count_lakes = 0
    while len(files_at_crash) < effort.crashes(count):
        jobs = [place.make_job() for _ in range(LANES)]
        load_despite_kills(
            jobs, chance, seconds, lambda job: files_at_crash.append(count_files_after_crash(job))
        )
        count_lakes += len(jobs)
        for job in jobs:
            check_same(read_contents(job.settings), contents)
    check_nothing_left_to_load(jobs[0], contents)
    between = sum(0 < files < N_ALL_FILES for files in files_at_crash)
    print(
        f"{location}: {len(files_at_crash)} kills hit, {count_lakes} lakes, {between} between the first commit and the "
        f"last, {files_at_crash.count(0)} before, undisturbed {seconds:.2f} s"
    )
    assert 0 in files_at_crash
    assert between >= count // 5


@pytest.mark.parametrize(
    ("location", "catalog", "count"),
    [("local", "sqlite", 10), ("local", "postgres", 10), ("s3", "postgres", 4)],
)
def test_two_loaders_at_once_killed_at_random_moments_load_each_file_once(
    make_place, location, catalog, count
):
    place = make_place(location, catalog)
    contents, seconds = load_undisturbed(place)
    chance = random.Random(SEED)
    count_crashes, count_lakes = 0, 0
    while count_crashes < effort.crashes(count):
        job = place.make_job()
        count_lakes += 1
        count_crashes += load_despite_kills([job, job], chance, 1.5 * seconds)
        assert count_whole_files(job.settings) == N_ALL_FILES
        check_same(read_contents(job.settings), contents)
    check_nothing_left_to_load(job, contents)
    print(f"{location}, {catalog}: {count_crashes} kills hit, {count_lakes} lakes")
