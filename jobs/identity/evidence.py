"""What the lake's records say of who is who: identifiers, and the pairs of them that were told together.

Reads `raw`, as far as it was known at `as_of`, and `identity.decisions`. Bots say nothing. A record joins each weaker identifier
to the surest one that it holds; a tracked purchase and the shop's own record of that order are one record.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from jobs.identity.config import IdentityConfig
from jobs.identity.graph import Cut, Evidence, Kind, Links, Nodes

# Since when a record without any time is known: from the beginning, as everywhere else.
_BEGINNING = "TIMESTAMPTZ '1970-01-01 00:00:00+00'"
_COLUMNS = ("user_id", "email", "phone", "anonymous_id")
_KIND_OF = {
    "user_id": Kind.USER,
    "email": Kind.EMAIL,
    "phone": Kind.PHONE,
    "anonymous_id": Kind.DEVICE,
}
# By its prefix a pseudonym tells what it really is of, whatever column it stands in.
_PREFIXES = {"u": Kind.USER, "e": Kind.EMAIL, "g": Kind.EMAIL, "p": Kind.PHONE, "d": Kind.DEVICE}
_EVIDENCE_OF = {
    "email": Evidence.EMAIL,
    "phone": Evidence.PHONE,
    "anonymous_id": Evidence.LOGIN,
}


@dataclass(frozen=True)
class _Told:
    """A table that tells identifiers: since when, and of which rows."""

    table: str
    known_at: str
    columns: tuple[str, ...]
    where: str = "true"


_TOLD = (
    _Told("events", "received_at", _COLUMNS, "NOT is_bot AND occurred_at < $as_of"),
    _Told("orders", "coalesce(received_at, ordered_at)", _COLUMNS[:3], "ordered_at < $as_of"),
    _Told(
        "profiles",
        f"coalesce(received_at, updated_at, signed_up_at, {_BEGINNING})",
        _COLUMNS[:3],
        "coalesce(updated_at < $as_of, true)",
    ),
    _Told("consents", "coalesce(received_at, recorded_at)", _COLUMNS, "recorded_at < $as_of"),
    _Told("messages", "coalesce(received_at, occurred_at)", _COLUMNS, "occurred_at < $as_of"),
    _Told("feedback", "coalesce(received_at, occurred_at)", ("user_id", "anonymous_id"), "occurred_at < $as_of"),
    _Told("exposures", "coalesce(received_at, occurred_at)", ("user_id", "anonymous_id"), "occurred_at < $as_of"),
)  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """What a person decided of identifiers: `merge` two, or `split` some from all others."""

    decision_id: str
    decision: str
    identifiers: tuple[str, ...]


@dataclass(frozen=True)
class Evidences:
    """The graph, and what its numbers stand for.

    Attributes:
        identifiers: text of each node, in the order of the texts.
        nodes: the nodes.
        links: the links.
        counts: how many records told each link.
    """

    identifiers: pl.Series
    nodes: Nodes
    links: Links
    counts: npt.NDArray[np.int64]


def read_decisions(con: duckdb.DuckDBPyConnection) -> list[Decision]:
    """The decisions that hold, in the order in which they were made."""
    rows = con.execute(
        "SELECT decision_id, decision, identifiers FROM lake.identity.decisions WHERE withdrawn_at IS NULL "
        "ORDER BY decided_at, decision_id"
    ).fetchall()
    return [Decision(row[0], row[1], tuple(row[2])) for row in rows]


def read_evidence(
    con: duckdb.DuckDBPyConnection,
    as_of: datetime,
    config: IdentityConfig,
    *,
    shared: Iterable[str] = (),
    decisions: Iterable[Decision] = (),
) -> Evidences:
    """Read the graph of identifiers.

    Args:
        con: the lake.
        as_of: what came later is not known.
        config: thresholds.
        shared: pseudonyms of what the configuration calls shared.
        decisions: what people decided; they hold at every `as_of`.
    """
    decisions = list(decisions)
    _collect_records(con, as_of)
    _collect_links(con, as_of, config)
    _collect_cuts(con, as_of, config, shared, decisions)
    _number(con, as_of)
    nodes = con.execute(
        "SELECT identifier, kind::TINYINT AS kind, epoch_us(first_known_at) AS first_known, "
        "coalesce(name_code, -1)::BIGINT AS name_code, coalesce(birth_year, -1)::BIGINT AS birth_year FROM nodes ORDER BY node"
    ).pl()
    links = con.execute(
        'SELECT "left", "right", evidence::TINYINT AS evidence, epoch_us(known_at) AS known_at, count_told, '
        'given_cut::TINYINT AS given_cut FROM numbered_links ORDER BY "left", "right", evidence'
    ).pl()
    return Evidences(
        nodes["identifier"],
        Nodes(
            kinds=nodes["kind"].to_numpy(),
            first_known=nodes["first_known"].to_numpy(),
            ranks=np.arange(nodes.height, dtype=np.int64),
            profile_a=nodes["name_code"].to_numpy(),
            profile_b=nodes["birth_year"].to_numpy(),
        ),
        Links(
            left=links["left"].to_numpy(),
            right=links["right"].to_numpy(),
            evidence=links["evidence"].to_numpy(),
            known_at=links["known_at"].to_numpy(),
            given_cut=links["given_cut"].to_numpy(),
        ),
        links["count_told"].to_numpy(),
    )


def _collect_records(con: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """The table `records`: each combination of identifiers that records tell, since when, and how often."""
    selects = []
    for told in _TOLD:
        columns = ", ".join(
            f"nullif(trim({name}), '') AS {name}"
            if name in told.columns
            else f"NULL::VARCHAR AS {name}"
            for name in _COLUMNS
        )
        selects.append(
            f"SELECT {columns}, min({told.known_at}) AS known_at, count(*) AS count_told FROM lake.raw.{told.table} "
            f"WHERE ({told.where}) AND {told.known_at} <= $as_of GROUP BY ALL"
        )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE records AS SELECT * FROM ({' UNION ALL '.join(selects)}) "
        f"WHERE coalesce({', '.join(_COLUMNS)}) IS NOT NULL",
        {"as_of": as_of},
    )


def _kind_sql(identifier: str, column_kind: str) -> str:
    """SQL of the kind of an identifier, by its prefix if it is a pseudonym."""
    cases = " ".join(f"WHEN '{prefix}' THEN {int(kind)}" for prefix, kind in _PREFIXES.items())
    return (
        f"CASE WHEN regexp_full_match({identifier}, '[a-z]_[0-9a-f]{{32}}') "
        f"THEN CASE {identifier}[1] {cases} ELSE {column_kind} END ELSE {column_kind} END"
    )


def _collect_links(con: duckdb.DuckDBPyConnection, as_of: datetime, config: IdentityConfig) -> None:
    """The tables `told_identifiers` and `told_links`: what stands in one record, by order, and as statements."""
    each = " UNION ALL ".join(
        f"SELECT {name} AS identifier, {int(kind)} AS column_kind, known_at FROM records WHERE {name} IS NOT NULL"
        for name, kind in _KIND_OF.items()
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE told_identifiers AS {each}")
    # The surest identifier, and each other one. An address of many is no centre.
    center = "coalesce(user_id, CASE WHEN NOT starts_with(email, 'g_') THEN email END, phone, anonymous_id)"
    pairs = " UNION ALL ".join(
        f"SELECT {center} AS a, {name} AS b, {int(evidence)} AS evidence, known_at, count_told "
        f"FROM records WHERE {name} <> {center}"
        for name, evidence in _EVIDENCE_OF.items()
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE told_links AS {pairs}")
    con.execute(
        f"""
        INSERT INTO told_links
        WITH tracked AS (
            SELECT order_id, {center} AS center, anonymous_id, min(received_at) AS known_at
            FROM lake.raw.events
            WHERE event_type = 'purchase' AND order_id IS NOT NULL AND NOT is_bot
                AND occurred_at < $as_of AND received_at <= $as_of
            GROUP BY ALL
        ),
        sold AS (
            SELECT order_id, user_id, email, phone, {center.replace(", anonymous_id", "")} AS center,
                min(coalesce(received_at, ordered_at)) AS known_at
            FROM lake.raw.orders
            WHERE order_id IS NOT NULL AND line_type = 'sale' AND NOT coalesce(is_test, false)
                AND ordered_at < $as_of AND coalesce(received_at, ordered_at) <= $as_of
            GROUP BY ALL
        ),
        both_told AS (
            SELECT tracked.center, tracked.anonymous_id, sold.email, sold.phone, sold.center AS sold_to,
                greatest(tracked.known_at, sold.known_at) AS known_at
            FROM tracked JOIN sold USING (order_id)
        )
        SELECT sold_to, anonymous_id, {int(Evidence.ORDER)}, known_at, 1 FROM both_told
        -- Who signed in on a device is surer than who paid for what was ordered on it.
        WHERE sold_to IS NOT NULL AND anonymous_id IS NOT NULL
            AND anonymous_id NOT IN (SELECT b FROM told_links WHERE evidence = {int(Evidence.LOGIN)})
        UNION ALL
        SELECT center, email, {int(Evidence.EMAIL)}, known_at, 1 FROM both_told WHERE center <> anonymous_id AND email <> center
        UNION ALL
        SELECT center, phone, {int(Evidence.PHONE)}, known_at, 1 FROM both_told WHERE center <> anonymous_id AND phone <> center
        """,
        {"as_of": as_of},
    )
    one = "coalesce(user_id, email, phone, anonymous_id)"
    other = "coalesce(other_user_id, other_email, other_phone, other_anonymous_id)"
    known = "coalesce(received_at, linked_at)"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE statements AS
        SELECT {one} AS a, {other} AS b, coalesce(probability, 1) AS probability, {known} AS known_at,
            CASE link_kind WHEN 'alias' THEN {int(Evidence.ALIAS)} ELSE {int(Evidence.MATCH)} END AS evidence
        FROM lake.raw.links
        WHERE linked_at < $as_of AND {known} <= $as_of AND {one} IS NOT NULL AND {other} IS NOT NULL
        """,
        {"as_of": as_of},
    )
    con.execute(
        "INSERT INTO told_links SELECT a, b, evidence, min(known_at), count(*) FROM statements GROUP BY ALL"
    )
    for end in ("a", "b"):
        con.execute(
            f"INSERT INTO told_identifiers SELECT {end}, {int(Kind.USER)}, known_at FROM statements"
        )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE improbable AS SELECT a, b FROM statements "
        f"WHERE evidence = {int(Evidence.MATCH)} GROUP BY a, b HAVING max(probability) < $threshold",
        {"threshold": config.match_threshold},
    )


def _collect_cuts(
    con: duckdb.DuckDBPyConnection,
    as_of: datetime,
    config: IdentityConfig,
    shared: Iterable[str],
    decisions: list[Decision],
) -> None:
    """The tables `shared`, `split_off`, `two_places` (user, device), and the links of merges."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE shared AS SELECT unnest($1::VARCHAR[]) AS identifier",
        [sorted(set(shared))],
    )
    con.execute("CREATE OR REPLACE TEMP TABLE split_off (identifier VARCHAR, decision_id VARCHAR)")
    for decision in decisions:
        if decision.decision == "split":
            con.execute(
                "INSERT INTO split_off SELECT unnest($1::VARCHAR[]), $2",
                [list(decision.identifiers), decision.decision_id],
            )
            continue
        first, second = decision.identifiers[:2]
        # Known since both are: the decision corrects what was believed before it, too.
        con.execute(
            f"""
            INSERT INTO told_links
            SELECT $first, $second, {int(Evidence.MANUAL)}, max(known_at), 1 FROM (
                SELECT identifier, min(known_at) AS known_at FROM told_identifiers
                WHERE identifier IN ($first, $second) GROUP BY 1
            ) HAVING count(*) = 2
            """,
            {"first": first, "second": second},
        )
    gap = f"INTERVAL {int(config.two_places_hours * 3600)} SECONDS"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE two_places AS
        WITH seen AS (
            SELECT user_id, anonymous_id, country, occurred_at FROM lake.raw.events
            WHERE user_id IS NOT NULL AND anonymous_id IS NOT NULL AND country IS NOT NULL AND NOT is_bot
                AND occurred_at < $as_of AND received_at <= $as_of
        ),
        travellers AS (SELECT user_id FROM seen GROUP BY 1 HAVING count(DISTINCT country) > 1),
        steps AS (
            SELECT user_id, anonymous_id, country, occurred_at,
                lag(anonymous_id) OVER step AS former_device, lag(country) OVER step AS former_country,
                occurred_at - lag(occurred_at) OVER step AS pause
            FROM seen SEMI JOIN travellers USING (user_id)
            WINDOW step AS (PARTITION BY user_id ORDER BY occurred_at, anonymous_id, country)
        ),
        homes AS (
            SELECT user_id, arg_max(country, row(count_seen, country)) AS home FROM (
                SELECT user_id, country, count(*) AS count_seen FROM steps GROUP BY ALL
            ) GROUP BY 1
        ),
        clashes AS (
            SELECT user_id, unnest([{{'device': anonymous_id, 'country': country}}, {{'device': former_device, 'country': former_country}}]) AS place FROM steps
            WHERE country <> former_country AND anonymous_id <> former_device AND pause < {gap}
        )
        SELECT user_id, place.device AS anonymous_id FROM clashes JOIN homes USING (user_id)
        WHERE place.country <> home GROUP BY ALL HAVING count(*) >= $times
        """,
        {"as_of": as_of, "times": config.two_places_times},
    )


def _number(con: duckdb.DuckDBPyConnection, as_of: datetime) -> None:
    """Number identifiers in the order of their texts, and write links by these numbers, the surer end first."""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE nodes AS
        WITH told AS (
            SELECT identifier, min({_kind_sql("identifier", "column_kind")}) AS kind, min(known_at) AS first_known_at
            FROM told_identifiers GROUP BY identifier
        ),
        people AS (
            SELECT user_id AS identifier,
                CASE WHEN count(DISTINCT name_key) = 1 THEN min(name_key) END AS name_key,
                CASE WHEN count(DISTINCT birth_year) = 1 THEN min(birth_year) END AS birth_year
            FROM lake.raw.profiles
            WHERE user_id IS NOT NULL AND coalesce(received_at, updated_at, {_BEGINNING}) <= $as_of GROUP BY user_id
        )
        SELECT (row_number() OVER (ORDER BY identifier) - 1)::INTEGER AS node, told.*,
            CASE WHEN name_key IS NOT NULL THEN dense_rank() OVER (ORDER BY name_key) END AS name_code, birth_year
        FROM told LEFT JOIN people USING (identifier)
        """,
        {"as_of": as_of},
    )
    cut = f"""
        CASE WHEN split_ends.is_split THEN {int(Cut.SPLIT)}
            WHEN starts_with(a, 'g_') OR starts_with(b, 'g_') OR a IN (FROM shared) OR b IN (FROM shared)
                THEN {int(Cut.SHARED_ADDRESS)}
            WHEN evidence = {int(Evidence.LOGIN)} AND two_places.user_id IS NOT NULL THEN {int(Cut.TWO_PLACES)}
            WHEN evidence = {int(Evidence.MATCH)} AND improbable.a IS NOT NULL THEN {int(Cut.IMPROBABLE)}
            ELSE 0 END
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE numbered_links AS
        WITH pairs AS (
            SELECT a, b, evidence, min(known_at) AS known_at, sum(count_told)::BIGINT AS count_told
            FROM told_links WHERE a <> b GROUP BY ALL
        ),
        ends AS (SELECT DISTINCT a, b FROM pairs),
        -- A decision parts its identifiers from all others, and leaves them together.
        split_ends AS (
            SELECT DISTINCT a, b, true AS is_split FROM (
                SELECT a, b, decision_id FROM ends JOIN split_off ON a = identifier
                UNION ALL
                SELECT a, b, decision_id FROM ends JOIN split_off ON b = identifier
            ) GROUP BY a, b, decision_id HAVING count(*) = 1
        ),
        told AS (
            SELECT one.node AS "left", other.node AS "right", evidence, pairs.known_at, count_told, {cut} AS given_cut,
                (one.kind, one.node) <= (other.kind, other.node) AS is_in_order
            FROM pairs
            JOIN nodes AS one ON pairs.a = one.identifier
            JOIN nodes AS other ON pairs.b = other.identifier
            LEFT JOIN two_places ON pairs.a = two_places.user_id AND pairs.b = two_places.anonymous_id
            LEFT JOIN improbable USING (a, b)
            LEFT JOIN split_ends USING (a, b)
        )
        SELECT CASE WHEN is_in_order THEN "left" ELSE "right" END AS "left",
            CASE WHEN is_in_order THEN "right" ELSE "left" END AS "right",
            evidence, min(known_at) AS known_at, sum(count_told)::BIGINT AS count_told,
            coalesce(min(given_cut) FILTER (given_cut > 0), 0) AS given_cut
        FROM told GROUP BY 1, 2, 3
        """
    )
