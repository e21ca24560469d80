"""What is told of a dbt failure."""

import pytest

from jobs.cli.running import find_dbt_faults

RED, OFF = "\x1b[31m", "\x1b[0m"
AIRFLOW = "2026-01-01T00:00:00.1Z [info     ] {} [cosmos.hooks.subprocess] loc=subprocess.py:114"


def test_failed_test_is_told_once():
    """The log holds dbt's lines twice: as they come, and all of them at the end."""
    lines = [
        f"{OFF}10:00:00  {RED}Failure in test unique_items (models/x.yml){OFF}",
        f"{OFF}10:00:00    Got 2 results, configured to fail if != 0",
    ]
    log = "\n".join([*map(AIRFLOW.format, lines), "Traceback", *lines])

    assert find_dbt_faults(log) == [
        "Failure in test unique_items (models/x.yml): Got 2 results, configured to fail if != 0"
    ]


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("Binder Error: Referenced column nope not found", None),
        (
            "Conversion Error: Could not convert string 'anna@example.org' to INT64",
            "Conversion Error",
        ),
        ('Constraint Error: Duplicate key "user_id: u1"', "Constraint Error"),
    ],
)
def test_error_is_told_without_values(detail, told):
    node = "in model stg_x (models/stg_x.sql)"
    log = f"10:00:00  Failure {node}\n10:00:00    Runtime Error {node}\n10:00:00    {detail}\n"

    assert find_dbt_faults(log) == [
        f"Runtime Error in model stg_x (models/stg_x.sql): {told or detail}"
    ]


def test_detail_that_may_be_anything_is_left_out():
    log = "Database Error in model a (a.sql)\n  the row of u1"

    assert find_dbt_faults(log) == ["Database Error in model a (a.sql)"]


def test_many_faults_are_counted():
    log = "\n".join(f"Failure in test t{n} (x.yml)\n" for n in range(5))

    assert find_dbt_faults(log) == [
        "Failure in test t0 (x.yml)",
        "Failure in test t1 (x.yml) (and 3 more)",
    ]


def test_nothing_of_dbt():
    assert find_dbt_faults("a line\nanother") == []
