"""The deployment's secret, and the keys that are derived from it.

One secret of 32 bytes, `PERSONALAKE_KEY`, is all that has to be kept: pseudonyms, rejected lines and the vault each have a key
of their own, derived by HKDF (RFC 5869). After a rotation the variable holds several, oldest first, with commas between: a
pseudonym is then the newest key's hash of the older one's, so that the lake can be rotated without anybody's clear data.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from jobs.errors import ConfigError
from jobs.settings import Settings

# Of the demo shop, whose people are made up; everybody knows it.
DEMO_KEY = "demo shop: these people are made up"
_KEY_BYTES = 32
_NONCE_BYTES = 12


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


def load_keys(settings: Settings, *, are_people_made_up: bool = False) -> KeyRing:
    """Read the secrets.

    Args:
        settings: hold `PERSONALAKE_KEY`.
        are_people_made_up: the demo shop's, which needs no secret.

    Raises:
        ConfigError: there is none, or it is none of 32 bytes in hexadecimal digits.
    """
    texts = [text.strip() for text in settings.key.get_secret_value().split(",") if text.strip()]
    if not texts:
        if are_people_made_up:
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


def encrypt_texts(key: bytes, texts: Iterable[str]) -> list[bytes]:
    """Encrypt texts with AES-256-GCM; equal texts have equal ciphers, so that a rerun writes the same rows.

    The nonce is a keyed hash of the text (as in SIV modes): two texts share one only if the hash collides.
    """
    cipher = AESGCM(key)
    encrypted = []
    for text in texts:
        data = text.encode("utf-8", errors="surrogatepass")
        nonce = hmac.new(key, data, hashlib.sha256).digest()[:_NONCE_BYTES]
        encrypted.append(nonce + cipher.encrypt(nonce, data, None))
    return encrypted


def decrypt_text(key: bytes, record: bytes, what: str) -> str:
    """The text that `encrypt_texts` was given.

    Raises:
        ConfigError: the key is not the one that it was encrypted with; `what` says of what.
    """
    try:
        data = AESGCM(key).decrypt(record[:_NONCE_BYTES], record[_NONCE_BYTES:], None)
    except InvalidTag:
        raise ConfigError(
            f"reading {what}: encrypted with another key; set PERSONALAKE_KEY to the one that the lake was written with"
        ) from None
    return data.decode("utf-8", errors="surrogatepass")
