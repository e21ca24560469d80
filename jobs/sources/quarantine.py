"""Lines that did not become rows: kept whole and encrypted, so that they can be read again once the mapping is mended."""

import hashlib
import hmac
import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jobs.errors import ConfigError
from jobs.settings import Settings

KEY_FILE = ".rejects.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12


def load_key(settings: Settings) -> bytes:
    """The key of rejected lines: of `PERSONALAKE_REJECTS_KEY`, else of a file in the lake's folder, made when it is missing.

    Raises:
        ConfigError: the variable holds no key of 32 bytes in hexadecimal digits.
    """
    if settings.rejects_key:
        try:
            key = bytes.fromhex(settings.rejects_key)
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise ConfigError(
                "PERSONALAKE_REJECTS_KEY: expected 64 hexadecimal digits; make some with "
                "`openssl rand -hex 32`"
            )
        return key
    path = settings.lake_dir / KEY_FILE
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return _make_key(path)


def _make_key(path: Path) -> bytes:
    """Write a new key beside the lake, whole or not at all; of two writers the first one's counts."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(AESGCM.generate_key(8 * _KEY_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_bytes()


def encrypt_lines(key: bytes, lines: Iterable[str]) -> list[bytes]:
    """Encrypt texts with AES-256-GCM; equal texts have equal ciphers, so that a rerun writes the same rows.

    The nonce is a keyed hash of the text (as in SIV modes): two texts share one only if the hash collides.
    """
    cipher = AESGCM(key)
    encrypted = []
    for line in lines:
        data = line.encode("utf-8", errors="surrogatepass")
        nonce = hmac.new(key, data, hashlib.sha256).digest()[:_NONCE_BYTES]
        encrypted.append(nonce + cipher.encrypt(nonce, data, None))
    return encrypted


def decrypt_line(key: bytes, record: bytes) -> str:
    """The text that `encrypt_lines` was given.

    Raises:
        ConfigError: the key is not the one that the line was encrypted with.
    """
    try:
        data = AESGCM(key).decrypt(record[:_NONCE_BYTES], record[_NONCE_BYTES:], None)
    except InvalidTag:
        raise ConfigError(
            "reading rejected lines: they were encrypted with another key; set PERSONALAKE_REJECTS_KEY, "
            f"or bring back {KEY_FILE} of the lake's folder"
        ) from None
    return data.decode("utf-8", errors="surrogatepass")
