import pytest
from pydantic import SecretStr

from jobs.errors import ConfigError
from jobs.keys import KeyRing, decrypt_text, decrypt_texts, encrypt_texts, load_keys
from jobs.settings import Settings

OLD, NEW = "ab" * 32, "cd" * 32


def load(text, **options):
    return load_keys(Settings(_env_file=None, key=SecretStr(text)), **options)


def test_keys_of_purposes_and_secrets_differ():
    ring = load(f"{OLD}, {NEW}")

    assert len({*ring.derive_all("vault"), *ring.derive_all("rejects")}) == 4
    assert ring.derive("vault") == load(NEW).derive("vault")
    assert len(ring.derive("vault")) == 32


def test_fingerprint_is_of_the_whole_ring():
    assert (
        len({load(OLD).fingerprint, load(NEW).fingerprint, load(f"{OLD},{NEW}").fingerprint}) == 3
    )
    assert load(OLD).fingerprint == load(OLD).fingerprint


def test_former_ring_lacks_the_newest_key():
    former = load(f"{OLD},{NEW}").former

    assert former is not None
    assert former.fingerprint == load(OLD).fingerprint
    assert former.former is None


def test_missing_key_stops_all_but_the_demo():
    with pytest.raises(ConfigError, match=r"PERSONALAKE_KEY is not set.*openssl rand -hex 32"):
        load("")
    assert load("", people="made_up").secrets
    assert load(OLD, people="made_up").fingerprint == load(OLD).fingerprint


@pytest.mark.parametrize("text", ["abc", "ab" * 31, "zz" * 32, f"{OLD},{OLD}1", f"{OLD};{NEW}"])
def test_wrong_key_is_named_and_not_shown(text):
    with pytest.raises(ConfigError, match="64 hexadecimal digits") as caught:
        load(text)
    assert text not in str(caught.value)


def test_key_ring_shows_nothing():
    assert OLD not in repr(load(OLD))
    assert OLD not in repr(Settings(_env_file=None, key=SecretStr(OLD)))


def test_encrypted_texts_come_back_with_their_key_only():
    key = KeyRing((b"a" * 32,)).derive("vault")
    [first, again, other, empty] = encrypt_texts(key, ["Ada \ud800", "Ada \ud800", "Eve", ""])

    assert first == again != other
    assert b"Ada" not in first
    assert decrypt_text(key, first, "the vault") == "Ada \ud800"
    assert decrypt_text(key, empty, "the vault") == ""
    with pytest.raises(ConfigError, match="reading the vault: encrypted with another key"):
        decrypt_text(KeyRing((b"b" * 32,)).derive("vault"), first, "the vault")
    with pytest.raises(ConfigError):
        decrypt_text(key, first[:-1] + bytes([first[-1] ^ 1]), "the vault")


def test_cipher_opens_for_what_it_belongs_to_only():
    key = KeyRing((b"a" * 32,)).derive("vault")
    contexts = ["u_1 first_name", "u_2 first_name"]
    records = encrypt_texts(key, ["Ada", "Ada"], contexts)

    assert records[0] != records[1]
    assert decrypt_texts(key, records, "the vault", contexts) == ["Ada", "Ada"]
    with pytest.raises(ConfigError):
        decrypt_texts(key, records, "the vault", reversed(contexts))
    with pytest.raises(ConfigError):
        decrypt_texts(key, records, "the vault")
