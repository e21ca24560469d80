"""The deployment's secret, and the keys that are derived from it.

One secret of 32 bytes, `PERSONALAKE_KEY`, is all that has to be kept: pseudonyms, rejected lines and the vault each have a key
of their own, derived by HKDF (RFC 5869). After a rotation the variable holds several, oldest first, with commas between: a
pseudonym is then the newest key's hash of the older one's, so that the lake can be rotated without anybody's clear data.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Literal

import duckdb
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from jobs.errors import ConfigError, TransientError
from jobs.settings import Settings

RINGS = "ops.key_rings"
# Of the demo shop, whose people are made up; everybody knows it.
DEMO_KEY = "demo shop: these people are made up"
_KEY_BYTES = 32


@dataclass(frozen=True, repr=False)
class KeyRing:
    """Secrets, oldest first; shown nowhere."""

    secrets: tuple[bytes, ...]

    def derive(self, purpose: str) -> bytes:
        """The newest secret's key of 32 bytes for a purpose (`rejects`, `vault`)."""
        return _derive(self.secrets[-1], purpose)

    def derive_all(self, purpose: str) -> tuple[bytes, ...]:
        """Each secret's key for a purpose, oldest first."""
        return tuple(_derive(secret, purpose) for secret in self.secrets)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits by which a lake knows the ring that it was written with; they tell nothing of the secrets."""
        return hashlib.sha256(b"".join(self.derive_all("fingerprint"))).hexdigest()[:16]

    @property
    def former(self) -> "KeyRing | None":
        """The ring before its newest secret came; None for a first one."""
        return KeyRing(self.secrets[:-1]) if len(self.secrets) > 1 else None


def load_keys(settings: Settings, people: Literal["real", "made_up"] = "real") -> KeyRing:
    """Read the secrets.

    Args:
        settings: hold `PERSONALAKE_KEY`.
        people: of the run configuration; those of the demo shop are made up, and need no secret.

    Raises:
        ConfigError: there is none, or one is not of 32 bytes in hexadecimal digits.
    """
    texts = [text.strip() for text in settings.key.get_secret_value().split(",") if text.strip()]
    if not texts:
        if people == "made_up":
            return KeyRing((DEMO_KEY.encode(),))
        raise ConfigError(
            "PERSONALAKE_KEY is not set: people are known by pseudonyms that need a key; make one with "
            "`openssl rand -hex 32`, put it into .env, and keep a copy: without it nobody is found again"
        )
    return KeyRing(tuple(_read(text) for text in texts))


def _read(text: str) -> bytes:
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise ConfigError(
            "PERSONALAKE_KEY: expected 64 hexadecimal digits (several keys with commas between, the newest last); "
            "make some with `openssl rand -hex 32`"
        )
    return secret


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, None, f"personalake {purpose}".encode()).derive(secret)


def find_ring(con: duckdb.DuckDBPyConnection) -> str | None:
    """The fingerprint of the ring that a lake's pseudonyms are of; None for a lake without any."""
    try:
        # Row ids grow with each commit, whatever the clocks say.
        row = con.execute(
            f"SELECT fingerprint FROM lake.{RINGS} ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
    except duckdb.CatalogException:  # a lake without tables
        return None
    return None if row is None else str(row[0])


def check_ring(con: duckdb.DuckDBPyConnection, keys: KeyRing) -> None:
    """Refuse another ring than the lake's: everybody would come back as somebody else.

    Ask in each transaction that writes pseudonyms: the keys may have been rotated since the process began.

    Raises:
        ConfigError: it is another one, or a rotation has to come first.
    """
    found = find_ring(con)
    if found in (None, keys.fingerprint):
        return
    if keys.former is not None and keys.former.fingerprint == found:
        raise ConfigError(
            "PERSONALAKE_KEY holds a new key that this lake does not know yet; run `personalake keys rotate` first"
        )
    raise ConfigError(
        "PERSONALAKE_KEY is not the key that this lake was written with: its people would all become strangers; "
        "set that key again (after a rotation the older keys and the newest one, with commas between), or choose "
        "another place with --lake"
    )


def record_ring(con: duckdb.DuckDBPyConnection, keys: KeyRing, since: datetime) -> None:
    """Check the ring, and put it on record in a lake that has none yet. Run it inside a transaction.

    Raises:
        ConfigError: the lake is another ring's.
    """
    if find_ring(con) is not None:
        check_ring(con, keys)
    else:
        con.execute(
            f"INSERT INTO lake.{RINGS} BY NAME SELECT $fingerprint AS fingerprint, $since::TIMESTAMPTZ AS since",
            {"fingerprint": keys.fingerprint, "since": since},
        )


def check_not_rotated(con: duckdb.DuckDBPyConnection, ring: str | None) -> None:
    """Refuse to write what was computed from a lake that has another ring by now.

    Args:
        con: the lake, inside the transaction that writes.
        ring: `find_ring` of the snapshot that was read.

    Raises:
        TransientError: the keys were rotated meanwhile; what was computed names people by their former pseudonyms.
    """
    if find_ring(con) != ring:
        raise TransientError(
            "the keys were rotated while this stage computed: it names people by their former pseudonyms; run it again"
        )


def _cipher(key: bytes) -> AESSIV:
    # AES-256-SIV takes two keys of 32 bytes.
    return AESSIV(HKDFExpand(SHA256(), 2 * _KEY_BYTES, b"siv").derive(key))


def encrypt_texts(
    key: bytes, texts: Iterable[str], contexts: Iterable[str] | None = None
) -> list[bytes]:
    """Encrypt texts with AES-256-SIV (RFC 5297); equal texts have equal ciphers, so that a rerun writes the same rows.

    Args:
        key: of `KeyRing.derive`.
        texts: what is to be encrypted.
        contexts: what each text belongs to: its cipher opens for that only, and tells nothing of equal texts of others.

    Returns:
        A cipher of each, 16 bytes longer than the text in UTF-8.
    """
    cipher = _cipher(key)
    return [
        cipher.encrypt(
            text.encode("utf-8", errors="surrogatepass"),
            None if context is None else [context.encode()],
        )
        for text, context in zip(
            texts, repeat(None) if contexts is None else contexts, strict=False
        )
    ]


def decrypt_texts(
    key: bytes, records: Iterable[bytes], what: str, contexts: Iterable[str] | None = None
) -> list[str]:
    """The texts that `encrypt_texts` was given.

    Raises:
        ConfigError: the key or a context is not the one that they were encrypted with; `what` says of what.
    """
    cipher = _cipher(key)
    try:
        return [
            cipher.decrypt(record, None if context is None else [context.encode()]).decode(
                "utf-8", errors="surrogatepass"
            )
            for record, context in zip(
                records, repeat(None) if contexts is None else contexts, strict=False
            )
        ]
    except InvalidTag:
        raise ConfigError(
            f"reading {what}: encrypted with another key; set PERSONALAKE_KEY to the one that the lake was written with"
        ) from None


def decrypt_text(key: bytes, record: bytes, what: str) -> str:
    """The one text of a record (`decrypt_texts`).

    Raises:
        ConfigError: the key is not the one that it was encrypted with; `what` says of what.
    """
    return decrypt_texts(key, [record], what)[0]
