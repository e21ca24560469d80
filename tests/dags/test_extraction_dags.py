"""The extraction's DAGs: a source that fails is red, and the others go on.

Airflow is imported inside the tests only: `dag_bag` says first where its home is.
"""

import pytest

pytestmark = pytest.mark.dags
LANES = ["extract_logs", "extract_urgent_logs"]


class _Run:
    def to_payload(self):
        return {"as_of": "2026-01-02T00:00:00+00:00"}


@pytest.fixture
def stub_jobs(dag_bag, monkeypatch):
    """Stands for the jobs: `sources` is what the lane has, `broken` what fails; `calls` holds each call's stage and payload."""
    from dagkit import extraction

    class Jobs:
        sources = ("web", "shop", "mail")
        broken = ()

        def __init__(self):
            self.calls = []

        def __call__(self, stage, payload):
            self.calls.append((stage, payload))
            if stage == "list_sources":
                return list(self.sources)
            if stage == "load_source":
                if payload["sources"][0] in self.broken:
                    raise extraction.AirflowFailException(
                        f"source {payload['sources'][0]}: cut off"
                    )
                return {"rows": len(payload["sources"][0])}
            return _Run() if stage == "record_extraction" else None

        def payloads(self, stage):
            return [payload for name, payload in self.calls if name == stage]

    jobs = Jobs()
    monkeypatch.setattr(extraction, "run_job", jobs)
    return jobs


@pytest.mark.parametrize("dag_id", LANES)
def test_gate_and_report_wait_for_every_source(dag_bag, dag_id):
    dag = dag_bag.dags[dag_id]
    rules = {task.task_id: task.trigger_rule.value for task in dag.tasks}

    assert rules == {
        "find_sources": "all_success",
        "load_source": "all_success",
        "record_extraction": "all_done_min_one_success",
        "check_raw": "all_success",
        "report_failures": "all_done",
    }
    assert dag.get_task("load_source").is_mapped
    # The success of `find_sources` must not count as one of a source.
    assert dag.get_task("record_extraction").upstream_task_ids == {"load_source"}
    assert dag.get_task("check_raw").upstream_task_ids == {"record_extraction"}
    assert [task.task_id for task in dag.tasks if task.outlets] == ["check_raw"]
    assert {"sources", "since", "until", "as_of", "config", "force", "allow_shrink"} == set(
        dag.params
    )


def test_schedules_come_from_the_environment(dag_bag, monkeypatch):
    import importlib

    monkeypatch.setenv("PERSONALAKE_EXTRACT_SCHEDULE", "0 * * * *")
    monkeypatch.setenv("PERSONALAKE_URGENT_SCHEDULE", "*/5 * * * *")
    schedules = {}
    for name in LANES:
        module = importlib.import_module(name)
        importlib.reload(module)
        schedules[name] = getattr(module, name)().schedule

    assert schedules == {"extract_logs": "0 * * * *", "extract_urgent_logs": "*/5 * * * *"}


def test_failed_source_is_red_and_the_others_are_recorded(run_dag, stub_jobs):
    stub_jobs.broken = ("shop",)

    dag_run, states = run_dag("extract_logs", config="config/demo.yml", since="2026-01-01")

    assert states == {
        "find_sources": "success",
        "load_source 0": "success",
        "load_source 1": "failed",
        "load_source 2": "success",
        "record_extraction": "success",
        "check_raw": "success",
        "report_failures": "failed",
    }
    assert dag_run.state == "failed"
    loads = stub_jobs.payloads("load_source")
    # Without a scheduler, Airflow takes them in no order.
    assert sorted(payload["sources"] for payload in loads) == [["mail"], ["shop"], ["web"]]
    assert {payload["since"] for payload in loads} == {"2026-01-01"}
    assert len({payload["started_at"] for payload in loads}) == 1
    [recorded] = stub_jobs.payloads("record_extraction")
    assert recorded["extraction"] == [{"rows": 3}, {"rows": 4}]
    assert recorded["started_at"] == loads[0]["started_at"]
    assert stub_jobs.payloads("check_raw") == [_Run().to_payload()]


def test_all_sources_failed_announces_nothing(run_dag, stub_jobs):
    stub_jobs.broken = stub_jobs.sources

    dag_run, states = run_dag("extract_logs")

    assert dag_run.state == "failed"
    assert states["record_extraction"] == states["check_raw"] == "upstream_failed"
    assert stub_jobs.payloads("record_extraction") == []


def test_lane_without_sources_is_skipped(run_dag, stub_jobs):
    stub_jobs.sources = ()

    dag_run, states = run_dag("extract_urgent_logs")

    assert dag_run.state == "success"
    assert set(states.values()) == {"success", "skipped"}
    assert [name for name, state in states.items() if state == "success"] == ["find_sources"]
    [asked] = stub_jobs.payloads("list_sources")
    assert asked["lane"] == "urgent"


def test_report_names_the_sources_that_failed(dag_bag):
    from airflow.sdk.exceptions import AirflowFailException

    report = dag_bag.dags["extract_logs"].get_task("report_failures").python_callable
    payloads = [{"sources": [name]} for name in ("web", "shop", "mail")]
    loaded = [{"payload": payloads[1], "counts": {}}]

    with pytest.raises(AirflowFailException, match=r"2 of 3 sources failed: web, mail; "):
        report(payloads, loaded)
    assert report(payloads[:1], [{"payload": payloads[0], "counts": {}}]) is None
    assert report(None, None) is None


@pytest.mark.parametrize(
    ("states", "goes_on"),
    [
        ({"load": "failed", "check_raw": "success"}, True),
        ({"load": "success", "check_raw": "failed"}, False),
        ({"load": "failed", "check_raw": "upstream_failed"}, False),
        ({"load": "failed"}, False),
    ],
)
def test_local_chain_goes_on_once_the_assets_are_announced(dag_bag, states, goes_on):
    from types import SimpleNamespace

    from dagkit.local import has_announced

    dag = SimpleNamespace(
        tasks=[
            SimpleNamespace(task_id="load", outlets=[]),
            SimpleNamespace(task_id="check_raw", outlets=["asset"]),
        ]
    )
    run = SimpleNamespace(
        get_task_instances=lambda: [
            SimpleNamespace(task_id=name, state=state) for name, state in states.items()
        ]
    )

    assert has_announced(dag, run) is goes_on
    assert has_announced(SimpleNamespace(tasks=dag.tasks[:1]), run) is False
