"""The clear texts behind pseudonyms, encrypted: what an export needs to name somebody to the shop's own tools.

Reads and writes `vault.identifiers`. The loader adds, an export reads; nobody else has the key.
"""

from datetime import datetime

import duckdb
import polars as pl

from jobs.keys import KeyRing, decrypt_text, encrypt_texts

PURPOSE = "vault"
TABLE = "vault.identifiers"


def keep_identifiers(
    con: duckdb.DuckDBPyConnection, keys: KeyRing, source: str, known_at: datetime
) -> None:
    """Keep the texts of pseudonyms that the vault does not have of this source yet. Run it inside the batch's transaction.

    Of each source, since two loaders may meet the same person at once, and nothing but the source's lock keeps them apart.

    Args:
        con: the lake, with the table `pseudonyms_user` (text, pseudonym).
        keys: the ring.
        source: whence they came.
        known_at: the run's time.
    """
    new = con.execute(
        "SELECT pseudonym, min(text) AS text FROM pseudonyms_user "
        f"ANTI JOIN (SELECT pseudonym FROM lake.{TABLE} WHERE source = ?) USING (pseudonym) "
        "GROUP BY pseudonym ORDER BY pseudonym",
        [source],
    ).pl()
    if new.is_empty():
        return
    key = keys.derive(PURPOSE)
    rows = new.select(
        "pseudonym", pl.Series("record", encrypt_texts(key, new["text"].to_list()), pl.Binary)
    )
    con.register("new_identifiers", rows.to_arrow())
    con.execute(
        f"INSERT INTO lake.{TABLE} BY NAME SELECT pseudonym, record, $source AS source, "
        "$known_at::TIMESTAMPTZ AS known_at FROM new_identifiers",
        {"source": source, "known_at": known_at},
    )
    con.unregister("new_identifiers")


def open_identifiers(
    con: duckdb.DuckDBPyConnection, keys: KeyRing, relation: str, column: str
) -> None:
    """Put clear texts in the place of pseudonyms in a temporary table; what the vault does not know stays as it is.

    Args:
        con: the lake.
        keys: the ring.
        relation: the temporary table.
        column: holds pseudonyms.

    Raises:
        ConfigError: the key is not the vault's.
    """
    key = keys.derive(PURPOSE)
    found = con.execute(
        f"SELECT pseudonym, min(record) AS record FROM lake.{TABLE} "
        f"WHERE pseudonym IN (SELECT {column} FROM {relation}) GROUP BY pseudonym"
    ).fetchall()
    if not found:
        return
    texts = [decrypt_text(key, record, "the vault") for _, record in found]
    opened = pl.DataFrame({"pseudonym": [name for name, _ in found], "text": texts})
    con.register("opened_identifiers", opened.to_arrow())
    con.execute(
        f"UPDATE {relation} SET {column} = text FROM opened_identifiers WHERE {column} = pseudonym"
    )
    con.unregister("opened_identifiers")
