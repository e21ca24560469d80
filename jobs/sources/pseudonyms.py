"""At the door: what names a person becomes a keyed pseudonym before a row is written.

A pseudonym is HMAC-SHA256 (RFC 2104) of the kind and the canonical text, of which 128 bits are kept: `u_` a shop's own number
for a person, `e_` an e-mail address, `g_` one that many share (`info@...`), `p_` a telephone number (E.164), `d_` a device (a
cookie, an installation), `s_` a visit, `n_` a name, `x_` another text that a mapping calls personal. Of one person's e-mail
address every source makes the same pseudonym, whatever column it stood in.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

import duckdb
import phonenumbers
import polars as pl

from jobs.keys import KeyRing
from jobs.sources.entities import IDENTIFIERS, Kind

PURPOSE = "pseudonyms"
PREFIXES: dict[Kind, str] = {
    "user": "u_",
    "email": "e_",
    "shared_email": "g_",
    "phone": "p_",
    "device": "d_",
    "session": "s_",
    "name": "n_",
    "text": "x_",
}
_BLOCK = 64  # bytes, of SHA-256
_DIGITS = 32  # hexadecimal: 128 bits
# Of whole texts; without what Python's and RE2's expressions differ in (`\s`, `$`).
_EMAIL = r"[^@ \t\r\n]+(?:@|%40)[^@ \t\r\n]+"
_PHONE = r"(?:\+|00)[0-9][0-9 ()./-]{6,}"
# Local parts of addresses that stand for an office, a till, or nobody at all: whom they join are different people.
SHARED_LOCAL_PARTS = (
    "info", "contact", "kontakt", "office", "buero", "hello", "hallo", "mail", "post", "team", "sales", "vertrieb", "verkauf",
    "order", "orders", "bestellung", "bestellungen", "shop", "store", "kasse", "kiosk", "service", "kundenservice", "support",
    "help", "admin", "administrator", "webmaster", "postmaster", "root", "billing", "invoice", "rechnung", "accounting",
    "buchhaltung", "einkauf", "purchasing", "reception", "empfang", "marketing", "newsletter", "noreply", "no-reply", "no_reply",
    "donotreply", "none", "nomail", "noemail", "unknown", "unbekannt", "keine", "guest", "gast", "anonymous", "test", "na",
)  # fmt: skip
_SHARED = rf"(?:{'|'.join(map(re.escape, SHARED_LOCAL_PARTS))})(?:\+[^@]*)?@.*"


def canonical(kind: Kind, text: str, phone_country: str | None = None) -> tuple[Kind, str] | None:
    """The kind that a text really is of, and what is hashed of it: a shop may use addresses as numbers of its customers.

    Args:
        kind: of the column.
        text: not blank.
        phone_country: ISO code of the country whose national telephone numbers are meant; None where only international
            ones can be told.

    Returns:
        None where the text is no identifier: in a column of e-mail addresses or telephone numbers, neither of them.
    """
    text = text.strip(" ")
    if kind in ("user", "email", "phone", "device") and re.fullmatch(_EMAIL, text):
        # Character by character, as DuckDB does it: Python knows of final sigmas and of two letters for one.
        address = "".join(char.lower()[0] for char in text).replace("%40", "@")
        is_shared = kind in ("email", "phone") and re.fullmatch(_SHARED, address)
        return ("shared_email" if is_shared else "email"), address
    if kind == "phone" or (kind in ("user", "email", "device") and re.fullmatch(_PHONE, text)):
        number = canonical_phone(text, phone_country)
        if number is not None:
            return "phone", number
    if kind in ("email", "phone"):
        return None
    return kind, text


def canonical_phone(text: str, country: str | None) -> str | None:
    """A telephone number as E.164 writes it (`+491701234567`); None where it cannot be one.

    By the lengths and prefixes of each country's plan (the library `phonenumbers`), since `0` and `00000` would join many people.
    """
    text = text.strip().lstrip("'")  # exports put an apostrophe before a number, for spreadsheets
    text = re.sub(r"^00", "+", text)
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def make_pseudonym(
    keys: KeyRing, kind: Kind, text: str, phone_country: str | None = None
) -> str | None:
    """The pseudonym of one text, as the loader makes it; None where the text is no identifier."""
    found = canonical(kind, text, phone_country)
    if found is None:
        return None
    prefix, pseudonym = PREFIXES[found[0]], PREFIXES[found[0]] + found[1]
    for key in keys.derive_all(PURPOSE):
        pseudonym = prefix + hmac.new(key, pseudonym.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
    return pseudonym


def find_pseudonyms(keys: KeyRing, text: str) -> list[str]:
    """Every pseudonym that a text may have as an identifier of a person, whatever kind of column it stands in."""
    kinds: tuple[Kind, ...] = ("user", "email", "phone", "device")
    found = (make_pseudonym(keys, kind, text) for kind in kinds)
    return sorted({pseudonym for pseudonym in found if pseudonym is not None})


def canonical_sql(kind: Kind, text: str, phone: str) -> str:
    """SQL of the prefix and the canonical text; null where the text is no identifier.

    Args:
        kind: of the column.
        text: SQL of the text.
        phone: SQL of what `canonical_phone` says of it, null where it was not asked.
    """
    plain = f"{PREFIXES[kind]!r} || {text}"
    if kind not in ("user", "email", "phone", "device"):
        return plain
    address = f"replace(lower({text}), '%40', '@')"
    email = f"'e_' || {address}"
    if kind in ("email", "phone"):
        email = f"CASE WHEN regexp_full_match({address}, '{_SHARED}') THEN 'g_' ELSE 'e_' END || {address}"
        plain = "NULL"
    is_phone = f"{phone} IS NOT NULL"
    if kind != "phone":
        is_phone += f" AND regexp_full_match({text}, '{_PHONE}')"
    return (
        f"CASE WHEN regexp_full_match({text}, '{_EMAIL}') THEN {email} "
        f"WHEN {is_phone} THEN 'p_' || {phone} ELSE {plain} END"
    )


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
    """Give a connection what `hash_sql` reads, the salt of derived ids (`id_salt`), and the macro `pseudonym_of_text`."""
    for number, key in enumerate(keys.derive_all(PURPOSE)):
        padded = key.ljust(_BLOCK, b"\0")
        for name, byte in (("inner", 0x36), ("outer", 0x5C)):
            value = bytes(part ^ byte for part in padded)
            con.execute(f"SET VARIABLE key_{number}_{name} = $1::BLOB", [value])
    # Of the oldest key: a record that comes again after a rotation has the id that it had.
    con.execute("SET VARIABLE id_salt = $1::VARCHAR", [keys.derive_all("ids")[0].hex()])
    hashed = hash_sql(keys, "('x_' || said)")
    con.execute(f"CREATE OR REPLACE TEMP MACRO pseudonym_of_text(said) AS {hashed}")


def make_pseudonyms(
    con: duckdb.DuckDBPyConnection,
    keys: KeyRing,
    relations: Iterable[tuple[str, set[str]]],
    phone_country: str | None = None,
) -> dict[Kind, int]:
    """Make views `pseudonyms_<kind>` (text, canonical, pseudonym) of each text of some relations, once: hashing is dear.

    Args:
        con: with `set_keys`.
        keys: the ring.
        relations: SQL of each, and its columns. Without rejects: of who is in no row the vault keeps nothing.
        phone_country: as `canonical` takes it.

    Returns:
        How many distinct texts of a kind of column are no identifiers; their pseudonym is null.
    """
    kinds = list(dict.fromkeys(IDENTIFIERS.values()))
    selects = [
        f"SELECT DISTINCT '{kind}' AS kind, {column} AS text FROM {relation} WHERE {column} IS NOT NULL"
        for relation, columns in relations
        for column, kind in IDENTIFIERS.items()
        if column in columns
    ]
    told = (
        " UNION ".join(selects) or "SELECT NULL::VARCHAR AS kind, NULL::VARCHAR AS text WHERE false"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE told AS {told}")
    _find_phones(con, phone_country)
    cases = " ".join(f"WHEN '{kind}' THEN {canonical_sql(kind, 'text', 'phone')}" for kind in kinds)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE pseudonyms AS "
        f"SELECT kind, text, canonical, {hash_sql(keys, 'canonical')} AS pseudonym FROM ("
        f"SELECT kind, text, CASE kind {cases} END AS canonical FROM told LEFT JOIN phone_forms USING (text))"
    )
    for kind in kinds:
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW pseudonyms_{kind} AS "
            f"SELECT text, canonical, pseudonym FROM pseudonyms WHERE kind = '{kind}'"
        )
    unusable = con.execute(
        "SELECT kind, count(*) FROM pseudonyms WHERE pseudonym IS NULL GROUP BY kind ORDER BY kind"
    )
    return dict(unusable.fetchall())


def _find_phones(con: duckdb.DuckDBPyConnection, country: str | None) -> None:
    """Fill the table `phone_forms` (text, phone) with those texts of the table `told` that are telephone numbers."""
    texts = con.execute(
        f"SELECT DISTINCT text FROM told WHERE (kind = 'phone' OR (kind IN ('user', 'email', 'device') "
        f"AND regexp_full_match(text, '{_PHONE}'))) AND NOT regexp_full_match(text, '{_EMAIL}')"
    ).fetchall()
    con.execute("CREATE OR REPLACE TEMP TABLE phone_forms (text VARCHAR, phone VARCHAR)")
    forms = [(text, canonical_phone(text, country)) for (text,) in texts]
    if not forms:
        return
    frame = pl.DataFrame(forms, schema={"text": pl.String, "phone": pl.String}, orient="row")
    con.register("found_phones", frame.to_arrow())
    con.execute("INSERT INTO phone_forms FROM found_phones WHERE phone IS NOT NULL")
    con.unregister("found_phones")
