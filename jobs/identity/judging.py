"""How good the links are, where the truth is known: pairs of identifiers that are one person's.

Reads a CSV file with the columns `kind`, `identifier` (as the logs write it), `person`, and, where given, `is_shared` (used by several
people, so it stands there once for each) and `is_linkable` (told together with another of its person's identifiers at all).
"""

import json
from pathlib import Path

import duckdb
import polars as pl

from jobs.errors import ConfigError
from jobs.identity.config import IdentityConfig
from jobs.keys import KeyRing
from jobs.sources.pseudonyms import make_pseudonym

MODEL = "identity_links"
_KINDS = {"user", "email", "phone", "device"}


def judge_links(
    con: duckdb.DuckDBPyConnection,
    identifiers: pl.DataFrame,
    links: pl.DataFrame,
    config: IdentityConfig,
    keys: KeyRing,
) -> pl.DataFrame | None:
    """Compare who is who with the truth.

    Args:
        con: any connection.
        identifiers: as `identity.identifiers`.
        links: as `identity.links`.
        config: names the file.
        keys: to find the pseudonyms of what stands in it.

    Returns:
        A row of `ml.model_runs` without run and date; None where the configuration names no file.

    Raises:
        ConfigError: the file is missing, or not what it should be.
    """
    if config.truth is None:
        return None
    truth = _read_truth(config.truth, keys)
    measured = measure_pairs(con, truth, identifiers.select("identifier", "customer_id"))
    # By login alone: what a shop has that looks only at the number of the account.
    baseline = measure_pairs(con, truth, _join_by_sign_in(links, truth))
    return pl.DataFrame(
        {
            "model_name": [MODEL],
            "algorithm": ["connected components with brakes"],
            "status": ["ok"],
            "n_train": [0],
            "n_test": [truth["identifier"].n_unique()],
            "metrics": [json.dumps(measured, sort_keys=True)],
            "baseline_metrics": [json.dumps({"sign_in": baseline}, sort_keys=True)],
            "parameters": [config.model_dump_json(exclude={"shared", "truth"})],
            "message": [None],
            "model_version": ["1"],
        },
        schema_overrides={"n_train": pl.Int64, "n_test": pl.Int64, "message": pl.String},
    )


def _read_truth(path: Path, keys: KeyRing) -> pl.DataFrame:
    try:
        truth = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as err:
        raise ConfigError(
            f"reading the truth about identities {path}: {type(err).__name__}; check `identity.truth`"
        ) from err
    if missing := {"kind", "identifier", "person"} - set(truth.columns):
        raise ConfigError(
            f"reading the truth about identities {path}: columns {', '.join(sorted(missing))} are missing"
        )
    if odd := set(truth["kind"].drop_nulls()) - _KINDS:
        raise ConfigError(
            f"reading the truth about identities {path}: kinds {', '.join(sorted(odd))} are unknown; "
            f"known: {', '.join(sorted(_KINDS))}"
        )
    pseudonyms = [
        make_pseudonym(keys, kind, text)
        for kind, text in truth.select("kind", "identifier").iter_rows()
    ]
    flags = [
        (pl.col(name) == "true" if name in truth.columns else pl.lit(default)).alias(name)
        for name, default in (("is_shared", False), ("is_linkable", True))
    ]
    return (
        truth.with_columns(pl.Series("identifier", pseudonyms, dtype=pl.String))
        .select("kind", "identifier", "person", *flags)
        .drop_nulls("identifier")
        .unique()
    )


# Of pairs of identifiers of both tables: those that are one customer's, those that are one person's, and those that are both.
# What several people share is of no one person, and counts only by whom it joins. Who is not found is somebody by themselves.
_PAIRS = """
    WITH whose AS (
        SELECT truth.identifier, truth.person, truth.is_shared, truth.is_linkable,
            coalesce(found.customer_id, truth.identifier) AS customer_id
        FROM truth LEFT JOIN found USING (identifier)
    ),
    alone AS (SELECT * FROM whose WHERE NOT is_shared),
    sizes AS (
        SELECT (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM alone GROUP BY customer_id)) AS pairs_found,
            (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM alone GROUP BY person)) AS pairs_true,
            (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM alone WHERE is_linkable GROUP BY person)) AS pairs_linkable,
            (SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM alone GROUP BY customer_id, person)) AS pairs_both,
            (SELECT sum(n * (n - 1) / 2) FROM (
                SELECT count(*) AS n FROM alone WHERE is_linkable GROUP BY customer_id, person
            )) AS pairs_both_linkable
    )
    SELECT coalesce(pairs_found, 0), coalesce(pairs_true, 0), coalesce(pairs_linkable, 0), coalesce(pairs_both, 0),
        coalesce(pairs_both_linkable, 0)
    FROM sizes
"""


def measure_pairs(
    con: duckdb.DuckDBPyConnection, truth: pl.DataFrame, found: pl.DataFrame
) -> dict[str, float]:
    """Pairwise precision and recall.

    Args:
        con: any connection.
        truth: identifier, person, is_shared, is_linkable.
        found: identifier, customer_id.

    Returns:
        `pair_precision`, `pair_recall` of the pairs that anything tells of, `pair_recall_of_all`, and their counts.
    """
    con.register("truth", truth.to_arrow())
    con.register("found", found.to_arrow())
    try:
        row = con.execute(_PAIRS).fetchone()
    finally:
        con.unregister("truth")
        con.unregister("found")
    found_pairs, true_pairs, linkable, both, both_linkable = (
        float(value) for value in row or (0,) * 5
    )
    return {
        "pair_precision": round(both / found_pairs, 6) if found_pairs else 1.0,
        "pair_recall": round(both_linkable / linkable, 6) if linkable else 1.0,
        "pair_recall_of_all": round(both / true_pairs, 6) if true_pairs else 1.0,
        "n_pairs_found": found_pairs,
        "n_pairs_true": true_pairs,
        "n_pairs_linkable": linkable,
    }


def _join_by_sign_in(links: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """What sign-ins alone join: each device with the account that signed in there last, as most shops have it."""
    devices = (
        links.filter(pl.col("link_kind") == "login")
        .sort("first_known_at", "identifier")
        .group_by("other_identifier", maintain_order=True)
        .last()
        .select(identifier="other_identifier", customer_id="identifier")
    )
    accounts = truth.filter(pl.col("kind") == "user").select("identifier").unique()
    return pl.concat([devices, accounts.with_columns(customer_id=pl.col("identifier"))])
