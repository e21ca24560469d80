"""At the door: what names a person becomes a keyed pseudonym before a row is written.

A pseudonym is HMAC-SHA256 (RFC 2104) of the kind and the canonical text, of which 128 bits are kept: `u_` a shop's own number
for a person, `e_` an e-mail address, `p_` a telephone number, `d_` a device (a cookie, an installation), `s_` a visit. Of one
person's e-mail address every source makes the same pseudonym, whatever column it stood in.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

import duckdb

from jobs.keys import KeyRing
from jobs.sources.entities import IDENTIFIERS, Kind

PURPOSE = "pseudonyms"
_PREFIXES: dict[Kind, str] = {
    "user": "u_",
    "email": "e_",
    "phone": "p_",
    "device": "d_",
    "session": "s_",
}
_BLOCK = 64  # bytes, of SHA-256
_DIGITS = 32  # hexadecimal: 128 bits
# Of whole texts; without what Python's and RE2's expressions differ in (`\s`, `$`).
_EMAIL = r"[^@ \t\r\n]+(?:@|%40)[^@ \t\r\n]+"
_PHONE = r"(?:\+|00)[0-9][0-9 ()./-]{6,}"


def canonical(kind: Kind, text: str) -> tuple[Kind, str]:
    """The kind that a text really is of, and what is hashed of it: a shop may use addresses as numbers of its customers.

    Args:
        kind: of the column.
        text: not blank.
    """
    text = text.strip(" ")
    if kind in ("user", "email", "device") and re.fullmatch(_EMAIL, text):
        # Character by character, as DuckDB does it: Python knows of final sigmas and of two letters for one.
        return "email", "".join(char.lower()[0] for char in text).replace("%40", "@")
    if kind in ("user", "device") and re.fullmatch(_PHONE, text):
        kind = "phone"
    if kind == "phone":
        return "phone", re.sub(r"^00", "+", re.sub(r"[^0-9+]", "", text))
    return kind, text


def make_pseudonym(keys: KeyRing, kind: Kind, text: str) -> str:
    """The pseudonym of one text, as the loader makes it."""
    kind, text = canonical(kind, text)
    found = _PREFIXES[kind] + text
    for key in keys.derive_all(PURPOSE):
        digest = hmac.new(key, found.encode(), hashlib.sha256).hexdigest()
        found = _PREFIXES[kind] + digest[:_DIGITS]
    return found


def canonical_sql(kind: Kind, text: str) -> str:
    """SQL of the prefix and the canonical text."""
    digits = rf"regexp_replace(regexp_replace({text}, '[^0-9+]', '', 'g'), '^00', '+')"
    if kind == "phone":
        return f"'p_' || {digits}"
    email = f"'e_' || replace(lower({text}), '%40', '@')"
    plain = f"{_PREFIXES[kind]!r} || {text}"
    if kind == "session":
        return plain
    cases = f"WHEN regexp_full_match({text}, '{_EMAIL}') THEN {email} "
    if kind in ("user", "device"):
        cases += f"WHEN regexp_full_match({text}, '{_PHONE}') THEN 'p_' || {digits} "
    return f"CASE {cases}ELSE {plain} END"


def hash_sql(keys: KeyRing, text: str) -> str:
    """SQL of the pseudonym of a canonical text with its prefix.

    The keys stand in session variables (`set_keys`), so that no statement, plan or error shows them.
    """
    for number, _ in enumerate(keys.secrets):
        inner = f"unhex(sha256(getvariable('key_{number}_inner') || encode({text})))"
        digest = f"sha256(getvariable('key_{number}_outer') || {inner})"
        text = f"left({text}, 2) || left({digest}, {_DIGITS})"
    return text


def set_keys(con: duckdb.DuckDBPyConnection, keys: KeyRing) -> None:
    """Give a connection what `hash_sql` reads, and the salt of derived ids (`id_salt`)."""
    for number, key in enumerate(keys.derive_all(PURPOSE)):
        padded = key.ljust(_BLOCK, b"\0")
        for name, byte in (("inner", 0x36), ("outer", 0x5C)):
            value = bytes(part ^ byte for part in padded)
            con.execute(f"SET VARIABLE key_{number}_{name} = $1::BLOB", [value])
    # Of the oldest key: a record that comes again after a rotation has the id that it had.
    con.execute("SET VARIABLE id_salt = $1::VARCHAR", [keys.derive_all("ids")[0].hex()])


def make_pseudonyms(
    con: duckdb.DuckDBPyConnection, keys: KeyRing, relations: Iterable[tuple[str, set[str]]]
) -> None:
    """Fill the tables `pseudonyms_<kind>` (text, pseudonym) with each text of some relations once: hashing is dear.

    Args:
        con: with `set_keys`.
        keys: the ring.
        relations: SQL of each, and its columns. Without rejects: of who is in no row the vault keeps nothing.
    """
    of_kind: dict[Kind, list[str]] = {kind: [] for kind in _PREFIXES}
    for relation, columns in relations:
        for column, kind in IDENTIFIERS.items():
            if column in columns:
                of_kind[kind].append(f"SELECT DISTINCT {column} AS text FROM {relation}")
    for kind, selects in of_kind.items():
        told = " UNION ".join(selects) or "SELECT NULL::VARCHAR AS text"
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE pseudonyms_{kind} AS "
            f"SELECT text, {hash_sql(keys, canonical_sql(kind, 'text'))} AS pseudonym "
            f"FROM ({told}) WHERE text IS NOT NULL"
        )
