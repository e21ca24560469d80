"""The key of pseudonyms may lie in an Airflow connection."""

import os

import pytest

pytestmark = pytest.mark.dags
KEY = "22" * 32


def test_key_comes_from_the_connection_where_the_environment_has_none(dag_bag, monkeypatch):
    from dagkit.runs import take_key_from_connection

    monkeypatch.setenv("PERSONALAKE_KEY", "")
    monkeypatch.setenv(
        "AIRFLOW_CONN_PERSONALAKE_KEY", f'{{"conn_type": "generic", "password": "{KEY}"}}'
    )

    take_key_from_connection()

    assert os.environ["PERSONALAKE_KEY"] == KEY


def test_key_of_the_environment_counts_first(dag_bag, monkeypatch):
    from dagkit.runs import take_key_from_connection

    monkeypatch.setenv("PERSONALAKE_KEY", "33" * 32)
    monkeypatch.setenv(
        "AIRFLOW_CONN_PERSONALAKE_KEY", f'{{"conn_type": "generic", "password": "{KEY}"}}'
    )

    take_key_from_connection()

    assert os.environ["PERSONALAKE_KEY"] == "33" * 32


def test_without_either_the_job_says_so(dag_bag, run_dag, monkeypatch):
    from dagkit.runs import take_key_from_connection

    monkeypatch.setenv("PERSONALAKE_KEY", "")

    take_key_from_connection()

    assert os.environ["PERSONALAKE_KEY"] == ""
