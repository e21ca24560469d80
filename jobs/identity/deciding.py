"""What people decide of identities: two customers are one person, or some identifiers are somebody else's.

Reads and writes `identity.decisions`; the decisions take effect where `jobs.identity.resolving` reads them, in every later run.
"""

import re
from datetime import datetime

import duckdb

from jobs.errors import ConfigError
from jobs.identity.evidence import Decision
from jobs.keys import KeyRing
from jobs.lake import create_tables, transact
from jobs.settings import Settings
from jobs.sources.pseudonyms import find_pseudonyms
from jobs.stages import digest_of

_PSEUDONYM = re.compile(r"[a-z]_[0-9a-f]{32}")


def find_identifiers(con: duckdb.DuckDBPyConnection, keys: KeyRing, text: str) -> list[str]:
    """The identifiers in the lake that a text means: a pseudonym as it is, else whatever the text is a pseudonym's clear form of.

    Args:
        con: the lake.
        keys: of pseudonyms.
        text: a customer's id, an identifier, or what the shop calls somebody: a number, an e-mail address, a telephone number.

    Raises:
        ConfigError: none is known. The message does not repeat the text, which may be personal.
    """
    names = {text}
    if not _PSEUDONYM.fullmatch(text):
        names.update(find_pseudonyms(keys, text))
    rows = con.execute(
        "SELECT identifier FROM lake.identity.identifiers WHERE list_contains($1, identifier) ORDER BY 1",
        [sorted(names)],
    ).fetchall()
    if not rows:
        raise ConfigError(
            "looking for a customer: nobody is known by that id, number or address; telephone numbers need their country "
            "(+49...), and names of customers are in core.customers"
        )
    return [row[0] for row in rows]


def customer_of(con: duckdb.DuckDBPyConnection, keys: KeyRing, text: str) -> str:
    """The customer whose identifier a text means.

    Raises:
        ConfigError: there is none, or there are several.
    """
    found = find_identifiers(con, keys, text)
    rows = con.execute(
        "SELECT DISTINCT customer_id FROM lake.identity.identifiers WHERE list_contains($1, identifier) ORDER BY 1",
        [found],
    ).fetchall()
    if len(rows) > 1:
        raise ConfigError(
            f"looking for a customer: the text means {len(rows)} of them ({', '.join(row[0] for row in rows)}); name one by its id"
        )
    return str(rows[0][0])


def plan_merge(con: duckdb.DuckDBPyConnection, keys: KeyRing, one: str, other: str) -> Decision:
    """A decision that two customers are one.

    Raises:
        ConfigError: they are one already, or one is not known.
    """
    customers = [customer_of(con, keys, text) for text in (one, other)]
    if len(set(customers)) == 1:
        raise ConfigError(
            f"merging customers: both are {customers[0]} already; nothing is to be decided"
        )
    # Each by its surest identifier: a decision about a device would wait for what else is known of the device.
    surest = con.execute(
        "SELECT arg_min(identifier, row(list_position(['user', 'email', 'phone', 'device'], kind), first_known_at, identifier)) "
        "FROM lake.identity.identifiers WHERE list_contains($1, customer_id) GROUP BY customer_id ORDER BY customer_id",
        [customers],
    ).fetchall()
    return Decision("", "merge", tuple(row[0] for row in surest))


def plan_split(con: duckdb.DuckDBPyConnection, keys: KeyRing, texts: list[str]) -> Decision:
    """A decision that identifiers are not the customer's that they belong to, but somebody else's.

    Raises:
        ConfigError: they belong to several customers, are all that the customer has, or one is not known.
    """
    found = sorted({name for text in texts for name in find_identifiers(con, keys, text)})
    rows = con.execute(
        "SELECT customer_id, count(*), count(*) FILTER (list_contains($1, identifier)) FROM lake.identity.identifiers "
        "GROUP BY 1 HAVING count(*) FILTER (list_contains($1, identifier)) > 0 ORDER BY 1",
        [found],
    ).fetchall()
    if len(rows) > 1:
        raise ConfigError(
            f"splitting a customer: the identifiers belong to {len(rows)} customers; take those of one at a time"
        )
    customer, count, count_named = rows[0]
    if count == count_named:
        raise ConfigError(
            f"splitting customer {customer}: these are all of its {count} identifiers, so nothing would be left of it; "
            "`personalake identity show` lists them"
        )
    return Decision("", "split", tuple(found))


def record_decision(
    settings: Settings, decision: Decision, reason: str, decided_at: datetime
) -> Decision:
    """Write a decision down; returns it with its id."""
    decision_id = digest_of(decision.decision, decision.identifiers, decided_at.isoformat())[:8]
    row = {
        "decision_id": decision_id,
        "decision": decision.decision,
        "identifiers": list(decision.identifiers),
        "reason": reason,
        "decided_at": decided_at,
    }

    def write(con: duckdb.DuckDBPyConnection) -> None:
        create_tables(con)
        con.execute(
            "INSERT INTO lake.identity.decisions BY NAME SELECT $decision_id AS decision_id, $decision AS decision, "
            "$identifiers::VARCHAR[] AS identifiers, $reason AS reason, $decided_at::TIMESTAMPTZ AS decided_at, "
            "NULL::TIMESTAMPTZ AS withdrawn_at",
            row,
        )

    transact(settings, write, message=f"identity: {decision.decision} {decision_id}")
    return Decision(decision_id, decision.decision, decision.identifiers)


def withdraw_decision(settings: Settings, decision_id: str, withdrawn_at: datetime) -> None:
    """Take a decision back; it stays on record.

    Raises:
        ConfigError: no decision of that id holds.
    """

    def write(con: duckdb.DuckDBPyConnection) -> None:
        found = con.execute(
            "SELECT 1 FROM lake.identity.decisions WHERE decision_id = ? AND withdrawn_at IS NULL",
            [decision_id],
        ).fetchone()
        if found is None:
            raise ConfigError(
                f"taking back the decision {decision_id}: none of that id holds; `personalake identity decisions` lists them"
            )
        con.execute(
            "UPDATE lake.identity.decisions SET withdrawn_at = $1 WHERE decision_id = $2",
            [withdrawn_at, decision_id],
        )

    transact(settings, write, message=f"identity: withdraw {decision_id}")
