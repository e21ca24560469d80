"""The rules of CONTRIBUTING.md that a machine can hold."""

import ast
import re

import pytest
import yaml

from jobs.lake import TABLES
from jobs.settings import PROJECT_ROOT

JOBS = sorted((PROJECT_ROOT / "jobs").rglob("*.py"))
EXPORTS = {"exports.segments", "exports.recommendations"}
CLOCKS = {"now", "utcnow", "today", "time", "localtime"}
# The command line stands beside the DAGs: it says when a run was asked for.
CLOCK_READERS = {"cli"}


def _suites():
    folder = PROJECT_ROOT / "expectations"
    return {f"{path.parent.name}.{path.stem}" for path in folder.rglob("*.yml")}


def test_every_table_that_crosses_the_border_has_expectations():
    expected = {name for name, table in TABLES.items() if table.schema != "ops"} | EXPORTS

    assert _suites() == expected


@pytest.mark.parametrize("path", JOBS, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_jobs_read_no_clock(path):
    if path.relative_to(PROJECT_ROOT / "jobs").parts[0] in CLOCK_READERS:
        return
    calls = [
        f"{ast.unparse(node.func)} at line {node.lineno}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date", "time"}
    ]

    assert calls == []


def test_sql_models_read_no_clock():
    words = re.compile(r"\b(now\(\)|current_date|current_timestamp|today\(\))", re.IGNORECASE)
    folder = PROJECT_ROOT / "dbt_project"
    found = [
        str(path)
        for kind in ("models", "macros", "tests")
        for path in (folder / kind).rglob("*.sql")
        if words.search(path.read_text())
    ]

    assert found == []


def test_only_the_lake_opens_the_lake():
    opens = re.compile(r"ATTACH |ducklake:", re.IGNORECASE)
    found = [
        str(path.relative_to(PROJECT_ROOT))
        for path in JOBS
        if "lake" not in path.relative_to(PROJECT_ROOT / "jobs").parts[:1]
        and opens.search(path.read_text())
    ]

    assert found == []


def test_every_model_states_its_grain_and_tests_its_key():
    for path in (PROJECT_ROOT / "dbt_project" / "models").rglob("_*__models.yml"):
        for model in yaml.safe_load(path.read_text()).get("models", []):
            name = model["name"]
            assert model["description"].startswith("One row per"), name
            tests = [*model.get("data_tests", [])]
            tests += [
                test for column in model.get("columns", []) for test in column.get("data_tests", [])
            ]
            assert tests or "staging" in path.parts, name


def _models(*folders):
    """Models as their YAML describes them, of folders below dbt_project/models."""
    for folder in folders:
        path = PROJECT_ROOT / "dbt_project" / "models" / folder
        for file in sorted(path.rglob("_*__models.yml")):
            yield from yaml.safe_load(file.read_text()).get("models", [])


def test_every_column_that_people_read_is_described():
    bare = [
        f"{model['name']}.{column['name']}"
        for model in _models("core", "marts")
        for column in model["columns"]
        if not column.get("description", "").strip()
    ]

    assert bare == []


def test_every_mart_names_its_users():
    exposures = [
        exposure
        for file in (PROJECT_ROOT / "dbt_project" / "models").rglob("_*__exposures.yml")
        for exposure in yaml.safe_load(file.read_text())["exposures"]
    ]
    used = {
        name
        for exposure in exposures
        for ref in exposure["depends_on"]
        for name in re.findall(r"ref\('(\w+)'\)", ref)
    }

    assert {model["name"] for model in _models("marts")} - used == set()
    for exposure in exposures:
        assert exposure["description"], exposure["name"]
        assert exposure["owner"]["name"], exposure["name"]
        assert exposure["owner"]["email"], exposure["name"]


def test_every_ratio_in_a_mart_is_tested_against_its_definition():
    text = (PROJECT_ROOT / "dbt_project" / "macros" / "metrics.sql").read_text()
    ratios = set(re.findall(r'"(\w+)": \{\s*"label": [^{}]*"aggregation": "ratio"', text))
    assert "conversion_rate" in ratios
    # Tables of customers (features) have windows of their own.
    for model in _models("marts/kpis", "marts/items", "marts/quality", "marts/segments"):
        tested = {
            metric
            for test in model["data_tests"]
            if "metrics_agree" in test
            for metric in test["metrics_agree"]["arguments"]["metrics"]
        }
        assert {column["name"] for column in model["columns"]} & ratios == tested, model["name"]


def test_configuration_schemas_are_current():
    from jobs.consent import consent_schema
    from jobs.run_config import run_schema
    from jobs.sources.entities import ENTITIES, entity_schema
    from jobs.sources.mapping import mapping_schema

    folder = PROJECT_ROOT / "config" / "schemas"
    assert (folder / "run.schema.json").read_text() == run_schema()
    assert (folder / "consent.schema.json").read_text() == consent_schema()
    assert (folder / "mapping.schema.json").read_text() == mapping_schema()
    entities = {path.name: path.read_text() for path in (folder / "entities").iterdir()}
    assert entities == {f"{name}.schema.json": entity_schema(name) for name in ENTITIES}
