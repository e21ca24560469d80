"""The dbt sources say what Python writes."""

import pytest
import yaml

from jobs.lake import TABLES
from jobs.settings import PROJECT_ROOT

# What dbt reads of what Python writes: the rest of `ops` is for operators.
READ = [
    name
    for name, table in TABLES.items()
    if table.schema in ("raw", "ml")
    or name in ("identity.identifiers", "identity.links", "ops.changed_days")
]
SOURCES = PROJECT_ROOT / "dbt_project" / "models" / "staging" / "sources.yml"


@pytest.fixture(scope="module")
def declared() -> dict[str, list[tuple[str, str]]]:
    content = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))
    return {
        f"{source['schema']}.{table['name']}": [
            (column["name"], column["data_type"]) for column in table["columns"]
        ]
        for source in content["sources"]
        for table in source["tables"]
    }


def test_sources_declare_every_table_that_dbt_reads(
    declared: dict[str, list[tuple[str, str]]],
) -> None:
    assert set(declared) == set(READ)


@pytest.mark.parametrize("name", READ)
def test_source_columns_and_types_equal_the_written_table(
    name: str, declared: dict[str, list[tuple[str, str]]]
) -> None:
    assert declared[name] == list(TABLES[name].columns.items())
