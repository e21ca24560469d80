import hashlib
import hmac
import re

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.keys import KeyRing
from jobs.sources.entities import IDENTIFIERS
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
COLUMNS = ("user_id", "email", "phone", "anonymous_id", "session_id", "name_key")


@pytest.fixture(scope="module", params=[ONE, TWO], ids=["one key", "rotated"])
def lake(request):
    con = duckdb.connect()
    set_keys(con, request.param)
    return con, request.param


def test_pseudonym_is_an_hmac_of_kind_and_text():
    digest = hmac.new(ONE.derive(PURPOSE), b"u_C-1", hashlib.sha256).hexdigest()

    assert make_pseudonym(ONE, "user", "C-1") == f"u_{digest[:32]}"


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@settings(deadline=None)
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
@example(text="0171 1234567")
@example(text="'+49 30 901820")
@example(text="info@example.com")
@example(text="INFO+x@example.com")
def test_sql_and_python_make_the_same_pseudonyms(lake, text):
    con, keys = lake
    text = text.strip(" ")  # as the loader trims
    if not text:
        return
    con.execute("CREATE OR REPLACE TEMP TABLE staged AS SELECT $text AS user_id, $text AS email, $text AS phone, "
                "$text AS anonymous_id, $text AS session_id, $text AS name_key", {"text": text})  # fmt: skip

    make_pseudonyms(con, keys, [("staged", set(COLUMNS))], "DE")

    for column in COLUMNS:
        kind = IDENTIFIERS[column]
        [found] = con.execute(f"SELECT pseudonym FROM pseudonyms_{kind}").fetchall()
        assert found == (make_pseudonym(keys, kind, text, "DE"),), kind


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("user", "C-1", ("user", "C-1")),
        ("user", "12345678901", ("user", "12345678901")),
        ("user", "Ada@Example.com", ("email", "ada@example.com")),
        ("user", "ada%40example.com", ("email", "ada@example.com")),
        ("user", "info@example.com", ("email", "info@example.com")),  # an account of that name
        ("user", "+49 30 901820", ("phone", "+4930901820")),
        ("user", "+0 000 000 000", ("user", "+0 000 000 000")),
        ("device", "ada@example.com", ("email", "ada@example.com")),
        ("device", "203.0.113.7 Mozilla/5.0 a@b", ("device", "203.0.113.7 Mozilla/5.0 a@b")),
        ("email", "Info@Example.com", ("shared_email", "info@example.com")),
        ("email", "no-reply+7@example.com", ("shared_email", "no-reply+7@example.com")),
        ("email", "informant@example.com", ("email", "informant@example.com")),
        ("email", "+49 30 901820", ("phone", "+4930901820")),
        ("email", "none", None),
        ("phone", "0049 (30) 901-820", ("phone", "+4930901820")),
        ("phone", "+49 (0)30 901820", ("phone", "+4930901820")),
        ("phone", "030 901820", ("phone", "+4930901820")),
        ("phone", "'+49 30 901820", ("phone", "+4930901820")),
        ("phone", "+1 650-253-0000", ("phone", "+16502530000")),
        (
            "phone",
            "Ada@example.com",
            ("email", "ada@example.com"),
        ),  # an e-mail address as telephone number
        ("phone", "0", None),
        ("phone", "n/a", None),
        ("session", "ada@example.com.7", ("session", "ada@example.com.7")),
    ],
)
def test_canonical_addresses_are_of_their_own_kind(kind, text, expected):
    assert canonical(kind, text, "DE") == expected


def test_national_number_needs_its_country():
    assert canonical("phone", "030 901820") is None
    assert canonical("phone", "030 901820", "AT") == ("phone", "+4330901820")


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


def test_texts_that_are_no_addresses_are_counted(lake):
    con, keys = lake
    con.execute(
        "CREATE OR REPLACE TEMP TABLE staged AS SELECT * FROM (VALUES ('none', '0'), ('-', '+49 30 901820')) AS t (email, phone)"
    )

    unusable = make_pseudonyms(con, keys, [("staged", {"email", "phone"})])

    assert unusable == {"email": 2, "phone": 1}
    assert con.execute("SELECT count(pseudonym) FROM pseudonyms_email").fetchone() == (0,)


def test_keys_stand_in_no_plan(lake):
    con, keys = lake
    text = hash_sql(keys, canonical_sql("user", "t", "NULL"))

    shown = str(con.execute(f"EXPLAIN SELECT {text} FROM (SELECT 'x' AS t)").fetchall())

    for key in keys.derive_all(PURPOSE):
        assert key.hex() not in text
        assert key.hex() not in shown
