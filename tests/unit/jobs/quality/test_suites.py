from pathlib import Path

import pytest

from jobs.errors import ConfigError
from jobs.lake import TABLES
from jobs.quality.suites import (
    SUITES_DIR,
    ExpectationConfig,
    Suite,
    digest_suites,
    load_suite,
    suite_path,
)

EXPORTS = {
    "exports.segments": {
        "customer_id",
        "segment_id",
        "segment_name",
        "kind",
        "member_since",
        "reason",
        "as_of_date",
    },
    "exports.recommendations": {
        "customer_id",
        "rank",
        "item_id",
        "title",
        "category",
        "brand",
        "price",
        "reason_code",
        "reason",
        "anchor_item_id",
        "expires_at",
        "as_of_date",
    },
}
COLUMNS = {
    **{name: set(table.columns) for name, table in TABLES.items() if table.schema != "ops"},
    **EXPORTS,
}
GOOD = """
key: [customer_id]
where: as_of_date = getvariable('as_of_date')
expectations:
  - type: expect_column_values_to_be_between
    kwargs: {column: rank, min_value: 1}
    severity: critical
    notes: Ranks start at 1.
"""


def write_suite(folder: Path, text: str) -> Path:
    path = folder / "expectations" / "ml" / "lists.yml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return folder / "expectations"


def test_load_suite_good_file_gives_its_expectations(tmp_path: Path) -> None:
    assert load_suite("ml.lists", write_suite(tmp_path, GOOD)) == Suite(
        key=("customer_id",),
        where="as_of_date = getvariable('as_of_date')",
        expectations=(
            ExpectationConfig(
                type="expect_column_values_to_be_between",
                kwargs={"column": "rank", "min_value": 1},
                severity="critical",
                notes="Ranks start at 1.",
            ),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("severity: critical", "severity: fatal", "expectations.0.severity"),
        ("    notes: Ranks start at 1.\n", "", "say in `notes` where it comes from"),
        ("key:", "keys:", "keys: Extra inputs are not permitted"),
        ("type: expect", "type: Expect", "expectations.0.type"),
        ("kwargs: {column", "kwargs: {{column", "not valid YAML at line 7"),
        (GOOD, "", "file: Input should be a valid dictionary"),
    ],
)
def test_load_suite_malformed_file_says_what_is_wrong(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    folder = write_suite(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_suite("ml.lists", folder)
    assert "reading the expectations of ml.lists (expectations/ml/lists.yml)" in str(caught.value)
    assert message in str(caught.value)


def test_load_suite_two_expectations_of_one_name_are_refused(tmp_path: Path) -> None:
    expectation = GOOD.split("expectations:\n")[1]
    folder = write_suite(tmp_path, GOOD + expectation)
    with pytest.raises(ConfigError, match="expectations named alike: expect_column_values_to_be"):
        load_suite("ml.lists", folder)


def test_load_suite_missing_file_tells_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"expectations/ml/lists\.yml\): No such file .* write one"
    ):
        load_suite("ml.lists", tmp_path / "expectations")


@pytest.mark.parametrize("table", ["events", "raw.", "raw.../../x", "raw.events; drop"])
def test_suite_path_other_than_schema_and_table_is_refused(table: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a table written schema\.table"):
        suite_path(table)


def test_digest_suites_another_threshold_gives_another_digest(tmp_path: Path) -> None:
    folder = write_suite(tmp_path, GOOD)
    before = digest_suites(["ml.lists"], folder)
    assert digest_suites(["ml.lists"], folder) == before
    suite_path("ml.lists", folder).write_text(GOOD.replace("min_value: 1", "min_value: 2"))
    assert digest_suites(["ml.lists"], folder) != before


@pytest.mark.parametrize(
    ("kwargs", "label"),
    [
        ({"column": "rank"}, "expect_x(column=rank)"),
        ({"value_set": ["a", "b", "c", "d"]}, "expect_x(value_set=[a, ... 4 values])"),
    ],
)
def test_label_without_name_is_made_of_type_and_arguments(
    kwargs: dict[str, object], label: str
) -> None:
    assert ExpectationConfig(type="expect_x", kwargs=kwargs, severity="warning").label == label


def test_suites_every_border_table_has_one_and_no_other_file_exists() -> None:
    files = {f"{path.parent.name}.{path.stem}" for path in SUITES_DIR.rglob("*") if path.is_file()}
    assert files == set(COLUMNS)


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_suite_says_who_breaks_and_names_columns_that_exist(table: str) -> None:
    assert suite_path(table).read_text(encoding="utf-8").startswith("# If this fails: ")
    suite = load_suite(table)
    named = {e.kwargs["column"] for e in suite.expectations if "column" in e.kwargs}
    assert named | set(suite.key) <= COLUMNS[table]
    assert ("as_of_date" in COLUMNS[table]) == bool(suite.where)
