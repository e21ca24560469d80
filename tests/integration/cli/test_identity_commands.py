"""`personalake identity`: show, merge, split, undo; what they would do, and that clear texts find people."""

import pytest
from rich.console import Console

from jobs.errors import ConfigError, InputDataError
from jobs.pipeline import STAGES

pytestmark = pytest.mark.integration


@pytest.fixture
def people(shop, monkeypatch):
    """A shop whose identities are resolved, but for dbt's tables, which the commands only count."""
    monkeypatch.setattr("jobs.cli.identity.out", Console(width=250))
    shop.write(
        "mapping.yml",
        "file_type: csv\ncolumns: {occurred_at: ts, event_type: kind, user_id: who, anonymous_id: sku, email: price}\n"
        "event_names: {view: product_view, buy: purchase}\n",
    )
    shop.write_events(
        "web/2026-06-01.csv",
        "2026-06-01,view,u1,pc,ada@example.com",
        "2026-06-02,view,u1,phone,",
        "2026-06-03,view,u2,tablet,bob@example.com",
    )
    shop.write_rees46("old.csv", ("2026-05-01", "view"))
    assert shop.load() == []
    STAGES["resolve_identities"](shop.open())
    return shop


def test_show_finds_a_customer_by_an_address_and_tells_what_joins(people):
    status, lines = people.run("identity", "show", "Ada@example.com")

    text = "\n".join(lines)
    assert status == 0
    assert lines[0].startswith("Customer u_")
    assert text.count("| device |") == 2
    assert "| email |" in text
    assert "ada@example.com" not in text


def test_show_of_a_stranger_is_one_clear_line_without_the_address(people):
    with pytest.raises(ConfigError, match="nobody is known by that id") as caught:
        people.run("identity", "show", "eve@example.com")

    assert "eve" not in str(caught.value)


def test_before_the_first_run_nobody_is_known(shop):
    shop.load()

    with pytest.raises(InputDataError, match="has none yet"):
        shop.run("identity", "show", "u1")


def test_decisions_are_tried_made_listed_and_taken_back(people):
    _, tried = people.run(
        "identity", "merge", "ada@example.com", "u2", "--reason", "one person", "--dry-run"
    )
    before = people.query("SELECT count(*) FROM lake.identity.decisions")
    _, made = people.run(
        "identity", "merge", "ada@example.com", "u2", "--reason", "one person", "--later"
    )
    STAGES["resolve_identities"](people.open())
    merged = people.query("SELECT count(DISTINCT customer_id) FROM lake.identity.identifiers")
    [(decision,)] = people.query("SELECT decision_id FROM lake.identity.decisions")
    _, listed = people.run("identity", "decisions")
    people.run("identity", "undo", decision, "--later")
    STAGES["resolve_identities"](people.open())

    assert any(line.startswith("| merged | u_") for line in tried)
    assert tried[-1] == "A dry run: nothing was decided."
    assert before == [(0,)]
    assert f"Decision {decision} is on record" in made[-2]
    assert merged == [(1,)]
    assert any(decision in line and "one person" in line for line in listed)
    assert people.query("SELECT count(DISTINCT customer_id) FROM lake.identity.identifiers") == [
        (2,)
    ]
    assert people.query("SELECT change, cause FROM lake.identity.changes ORDER BY rowid") == [
        ("merged", "manual"),
        ("split", "link_withdrawn"),
    ]


def test_split_takes_a_device_away_for_good(people):
    people.run("identity", "split", "phone", "--reason", "lent", "--later")
    STAGES["resolve_identities"](people.open())

    assert people.query(
        "SELECT count(DISTINCT customer_id), count(*) FILTER (kind = 'device' AND identifier = customer_id) "
        "FROM lake.identity.identifiers"
    ) == [(3, 1)]
