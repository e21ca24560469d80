import hashlib
import hmac
import re

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.keys import KeyRing
from jobs.sources.pseudonyms import (
    PURPOSE,
    canonical,
    canonical_sql,
    hash_sql,
    make_pseudonym,
    make_pseudonyms,
    set_keys,
)

ONE = KeyRing((b"1" * 32,))
TWO = KeyRing((b"1" * 32, b"2" * 32))
KINDS = ("user", "email", "phone", "device", "session")


@pytest.fixture(scope="module", params=[ONE, TWO], ids=["one key", "rotated"])
def lake(request):
    con = duckdb.connect()
    set_keys(con, request.param)
    return con, request.param


def test_pseudonym_is_an_hmac_of_kind_and_text():
    digest = hmac.new(ONE.derive(PURPOSE), b"u_C-1", hashlib.sha256).hexdigest()

    assert make_pseudonym(ONE, "user", "C-1") == f"u_{digest[:32]}"


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(
    text=st.one_of(
        WORDS,
        st.builds("{}@{}".format, WORDS, WORDS),
        st.builds("+{}{}".format, st.integers(10**7), WORDS),
    )
)
@example(text="İ@example.com")
@example(text="Ada%40Example.com")
@example(text="+49 (30) 901-82")
@example(text="0049 30 9018 20")
@example(text="a@b@c")
@example(text="ß@example.com")
def test_sql_and_python_make_the_same_pseudonyms(lake, text):
    con, keys = lake
    text = text.strip(" ")  # as the loader trims
    if not text:
        return

    for kind in KINDS:
        made = hash_sql(keys, canonical_sql(kind, "$text"))
        [(found,)] = con.execute(f"SELECT {made}", {"text": text}).fetchall()
        assert found == make_pseudonym(keys, kind, text), kind


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("user", "C-1", ("user", "C-1")),
        ("user", "12345678901", ("user", "12345678901")),
        ("user", "Ada@Example.com", ("email", "ada@example.com")),
        ("user", "ada%40example.com", ("email", "ada@example.com")),
        ("user", "+49 30 901820", ("phone", "+4930901820")),
        ("device", "ada@example.com", ("email", "ada@example.com")),
        ("device", "203.0.113.7 Mozilla/5.0 a@b", ("device", "203.0.113.7 Mozilla/5.0 a@b")),
        ("phone", "0049 (30) 901-82", ("phone", "+493090182")),
        ("session", "ada@example.com.7", ("session", "ada@example.com.7")),
    ],
)
def test_canonical_addresses_are_of_their_own_kind(kind, text, expected):
    assert canonical(kind, text) == expected


def test_pseudonyms_are_made_once_a_text_whatever_the_column(lake):
    con, keys = lake
    con.execute(
        "CREATE OR REPLACE TEMP TABLE staged AS SELECT * FROM (VALUES ('ada@example.com', 'ada@example.com', NULL), "
        "('Ada@example.com', 'd-1', 's-1'), (NULL, 'd-1', 's-1')) AS t (user_id, anonymous_id, session_id)"
    )

    make_pseudonyms(con, keys, [("staged", {"user_id", "anonymous_id", "session_id"})])

    users = con.execute("SELECT text, pseudonym FROM pseudonyms_user").fetchall()
    devices = dict(con.execute("SELECT text, pseudonym FROM pseudonyms_device").fetchall())
    assert len(users) == 2
    assert {name for _, name in users} == {devices["ada@example.com"]}
    assert re.fullmatch("e_[0-9a-f]{32}", users[0][1])
    assert set(devices) == {"ada@example.com", "d-1"}
    assert con.execute("SELECT count(*) FROM pseudonyms_session").fetchone() == (1,)
    assert con.execute("SELECT count(*) FROM pseudonyms_email").fetchone() == (0,)


def test_keys_stand_in_no_plan(lake):
    con, keys = lake
    text = hash_sql(keys, canonical_sql("user", "t"))

    shown = str(con.execute(f"EXPLAIN SELECT {text} FROM (SELECT 'x' AS t)").fetchall())

    for key in keys.derive_all(PURPOSE):
        assert key.hex() not in text
        assert key.hex() not in shown
