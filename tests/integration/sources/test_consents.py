"""Consents at the door: purposes by the policy's words, and opt-out lists."""

from datetime import timedelta

import pytest

from jobs.settings import PROJECT_ROOT
from tests.integration.sources.conftest import STARTED_AT

pytestmark = pytest.mark.integration

DECISIONS = """
file_type: csv
entity: consents
columns: {user_id: who, purpose: what, state: state, recorded_at: at}
"""
SOURCE = "name: desk, path: '*.csv', mapping: decisions.yml, max_reject_rate: 1"


def test_purposes_are_stored_in_the_words_of_the_policy(deployment):
    deployment.configure(SOURCE, decisions=DECISIONS)
    deployment.write(
        "a.csv",
        "who,what,state,at\n"
        "C1,Analytics-Storage,yes,2026-06-01 10:00\n"
        "C1,ADS STORAGE,no,2026-06-01 10:01\n"
        "C1,e-mail,granted,2026-06-01 10:02\n"
        "C1,All,withdrawn,2026-06-01 10:03\n",
    )
    deployment.extract()

    assert deployment.query("SELECT purpose, state FROM raw.consents ORDER BY recorded_at") == [
        ("analytics", "granted"),
        ("ads", "denied"),
        ("marketing", "granted"),
        ("all", "withdrawn"),
    ]


def test_unknown_purpose_waits_until_the_policy_names_it(deployment):
    deployment.configure(SOURCE, decisions=DECISIONS)
    deployment.write(
        "a.csv",
        "who,what,state,at\n"
        "C1,Club Letter,withdrawn,2026-06-01 10:00\n"
        "C2,ada@example.com,granted,2026-06-01 10:00\n"
        "C3,marketing,granted,2026-06-01 10:00\n",
    )
    deployment.extract()
    rejects = deployment.query("SELECT reason_code, reason FROM raw.rejects ORDER BY line_number")
    shipped = (PROJECT_ROOT / "config" / "consent.yml").read_text()
    deployment.write("ours.yml", shipped.replace("newsletter", "newsletter, club_letter"))
    with deployment.config_path.open("a") as file:
        file.write("consent: {policy: ours.yml}\n")
    [result] = deployment.replay()

    assert rejects == [
        ("unknown_purpose", "purpose Club Letter is not in the consent policy"),
        ("unknown_purpose", "purpose [hidden] is not in the consent policy"),
    ]
    assert (result.rows, result.loaded, result.rejected) == (2, 1, 1)
    assert deployment.query("SELECT user_id, purpose, state FROM raw.consents ORDER BY ALL") == [
        ("C1", "marketing", "withdrawn"),
        ("C3", "marketing", "granted"),
    ]


def test_consent_from_the_future_is_rejected(deployment):
    deployment.configure(SOURCE, decisions=DECISIONS)
    soon, too_late = STARTED_AT + timedelta(hours=23), STARTED_AT + timedelta(hours=25)
    deployment.write(
        "a.csv",
        f"who,what,state,at\nC1,marketing,granted,{soon:%F %T}\nC2,marketing,granted,{too_late:%F %T}\n",
    )
    deployment.extract()

    assert deployment.query("SELECT user_id FROM raw.consents") == [("C1",)]
    assert deployment.query("SELECT line_number, reason_code FROM raw.rejects") == [
        (3, "time_in_future")
    ]


def test_opt_out_list_withdraws_when_it_is_loaded(deployment):
    """The shipped mapping reads a list of addresses; one that comes back in the next list is told anew."""
    mapping = (PROJECT_ROOT / "config" / "mappings" / "opt_out_list.yml").read_text()
    deployment.configure("name: robinson, path: '*.csv', mapping: list.yml", list=mapping)
    deployment.write("june.csv", "email\nAda@Example.com\n bob@example.com\n")
    deployment.extract()
    later = STARTED_AT + timedelta(days=30)
    deployment.write("july.csv", "email\nada@example.com\n")
    deployment.extract(started_at=later)

    found = deployment.query(
        "SELECT email = (SELECT min(email) FROM raw.consents WHERE recorded_at > $$2026-07-02$$) AS is_ada, "
        "email[:2], user_id, purpose, state, recorded_at FROM raw.consents ORDER BY recorded_at, line_number",
        reveals=False,
    )
    assert found == [
        (True, "e_", None, "marketing", "withdrawn", STARTED_AT),
        (False, "e_", None, "marketing", "withdrawn", STARTED_AT),
        (True, "e_", None, "marketing", "withdrawn", later),
    ]
