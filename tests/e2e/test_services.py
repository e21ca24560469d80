"""The deployment, without containers: every service of docker-compose.yml by its own command, environment and health
check, with a real PostgreSQL and a real S3 server; then the whole chain of DAGs, started through the REST API."""

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import psycopg2
import pytest

from config.deployment.write_env import fill_secrets
from jobs.demo_shop import DemoShopConfig, generate_demo_shop
from jobs.lake import connect
from jobs.settings import Settings
from tests.e2e.compose_services import (
    PROJECT_ROOT,
    AirflowClient,
    ComposeServices,
    read_compose,
    split_env_file,
)
from tests.servers import HOST, run_postgres

pytestmark = pytest.mark.e2e

CHAIN = ["extract_logs", "build_features", "train_models", "export_audiences"]
URGENT = "extract_urgent_logs"
# Large enough for clusters, a propensity model and recommendations; small enough for a minute.
SHOP = DemoShopConfig(n_customers=400, n_items=120, n_days=200, last_day=date(2026, 6, 30))


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.env` as config/deployment/write_env.py makes it."""
    file = tmp_path_factory.mktemp("env") / ".env"
    template = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8")
    file.write_text(fill_secrets(template, user_id=0), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def services(env_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeServices]:
    """All services, healthy, started in the order that `depends_on` gives."""
    project = read_compose(env_file)
    declared = project["services"]["postgres"]["environment"]
    with run_postgres(declared["POSTGRES_USER"], declared["POSTGRES_PASSWORD"]) as server:
        # What the image's entry point does at its first start.
        con = psycopg2.connect(server.make_database(declared["POSTGRES_DB"]))
        con.autocommit = True
        con.cursor().execute(project["configs"]["create_lake"]["content"])
        con.close()
        services = ComposeServices(
            project, tmp_path_factory.mktemp("services") / "run", server.port
        )
        try:
            services.start("s3")
            services.wait_healthy("postgres", "s3")
            services.run_to_end("airflow-init", seconds=120)
            services.start("airflow-apiserver", "airflow-dag-processor", "airflow-triggerer")
            services.wait_healthy("airflow-apiserver")
            services.start("airflow-scheduler")
            services.wait_healthy("airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")
            yield services
        except BaseException:
            print(services.describe())
            raise
        finally:
            services.stop()


def open_lake_settings(services: ComposeServices, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the scheduler's tasks."""
    for name, value in services.environment("airflow-scheduler").items():
        if name.startswith(("PERSONALAKE_", "AWS_")):
            monkeypatch.setenv(name, value)
    return Settings(_env_file=None)


def test_services_run_the_whole_chain(
    services: ComposeServices, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate_demo_shop(SHOP, services.folder / "data" / "demo")
    password = split_env_file(env_file)["AIRFLOW_ADMIN_PASSWORD"]
    airflow = AirflowClient(f"http://{HOST}:{services.ports['api']}", "admin", password)
    started = time.monotonic()
    try:
        airflow.wait_for_dags(CHAIN, seconds=60)
        airflow.trigger(CHAIN[0], {"config": str(PROJECT_ROOT / "config" / "demo.yml")})
        taken = airflow.wait_for_chain(CHAIN, seconds=300)
    except (RuntimeError, TimeoutError):
        print(services.describe())
        raise
    print(f"chain: {time.monotonic() - started:.0f} s, runs {taken}")
    [run] = airflow.get("dags/extract_logs/dagRuns")["dag_runs"]
    tasks = airflow.get(f"dags/extract_logs/dagRuns/{run['dag_run_id']}/taskInstances")
    assert sorted(
        task["rendered_map_index"]
        for task in tasks["task_instances"]
        if task["task_id"] == "load_source"
    ) == ["catalogue", "consent_desk", "crm", "tracker"]
    settings = open_lake_settings(services, monkeypatch)
    con = connect(settings)
    try:
        events, recommendations, customers = con.execute(
            """
            SELECT (SELECT count(*) FROM lake.raw.events), count(*), count(DISTINCT customer_id)
            FROM lake.marts.recommendations
            """
        ).fetchone()
    finally:
        con.close()
    assert settings.catalog.startswith("postgresql://")
    assert list((services.folder / "s3" / "lake").rglob("*.parquet"))  # the Parquet files lie on S3
    assert not list((services.folder / "lake").rglob("*.parquet"))
    assert events > 0
    assert customers > SHOP.n_customers / 2
    assert recommendations > customers
    assert list((services.folder / "data" / "exports").rglob("manifest.json"))


def test_lane_without_urgent_sources_is_skipped(services: ComposeServices, env_file: Path) -> None:
    password = split_env_file(env_file)["AIRFLOW_ADMIN_PASSWORD"]
    airflow = AirflowClient(f"http://{HOST}:{services.ports['api']}", "admin", password)
    airflow.trigger(URGENT, {"config": str(PROJECT_ROOT / "config" / "demo.yml")})
    airflow.wait_for_chain([URGENT], seconds=120)
    [run] = airflow.get(f"dags/{URGENT}/dagRuns")["dag_runs"]
    tasks = airflow.get(f"dags/{URGENT}/dagRuns/{run['dag_run_id']}/taskInstances")
    states = {task["task_id"]: task["state"] for task in tasks["task_instances"]}
    assert states.pop("find_sources") == "success"
    assert set(states.values()) == {"skipped"}


def test_api_without_the_password_is_closed(services: ComposeServices) -> None:
    address = f"http://{HOST}:{services.ports['api']}"
    anonymous = httpx.get(f"{address}/api/v2/dags", timeout=30)
    guessed = httpx.post(
        f"{address}/auth/token", json={"username": "admin", "password": "admin"}, timeout=30
    )
    assert (anonymous.status_code, guessed.status_code) == (401, 401)


def test_airflow_init_again_changes_nothing(services: ComposeServices) -> None:
    services.run_to_end("airflow-init", seconds=120)
    assert "bucket found" in services.log("airflow-init").read_text()


@pytest.mark.parametrize("service", ["airflow-scheduler", "airflow-dag-processor"])
def test_health_check_of_a_stopped_service_fails(services: ComposeServices, service: str) -> None:
    # Last in this file: the services are not started again.
    from tests.servers import stop_process

    assert services.is_healthy(service)[0]
    stop_process(services.running.pop(service), seconds=15)
    assert not services.is_healthy(service)[0]
