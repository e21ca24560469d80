"""The session settings as dbt gets them, and what dbt takes without any."""

import yaml

from jobs.pipeline.dbt import session_variables
from jobs.run_config import SessionConfig
from jobs.settings import PROJECT_ROOT


def test_session_variables_name_every_setting():
    config = SessionConfig(
        inactivity_minutes=20,
        new_session_on_campaign=True,
        new_session_at_midnight=True,
        engaged_seconds=5,
        max_events=100,
        max_hours=1.5,
    )

    assert session_variables(config) == {
        "inactivity_minutes": 20,
        "new_session_on_campaign": True,
        "new_session_at_midnight": True,
        "engaged_seconds": 5,
        "max_session_events": 100,
        "max_session_hours": 1.5,
    }
    assert set(config.model_dump().values()) == set(session_variables(config).values())


def test_session_variables_of_the_defaults_are_those_of_the_dbt_project():
    project = yaml.safe_load((PROJECT_ROOT / "dbt_project" / "dbt_project.yml").read_text())
    defaults = session_variables(SessionConfig())

    assert {name: project["vars"][name] for name in defaults} == defaults
