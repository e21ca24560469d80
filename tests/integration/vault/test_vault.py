"""Clear values on their way: from a batch into the inbox, from the inbox into the vault, from the vault to an export."""

import shutil
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from pydantic import SecretStr

from jobs.errors import ConfigError
from jobs.keys import load_keys, record_ring
from jobs.lake import connect, create_tables, transact
from jobs.lake.connection import encrypt_spills
from jobs.settings import Settings
from jobs.vault import (
    DEFAULT_FIELDS,
    FIELDS,
    deliver,
    keep_clear_values,
    name_customers,
    open_clear_values,
    vault_path,
)

pytestmark = pytest.mark.integration

DAY = datetime(2026, 7, 1, tzinfo=UTC)
U1, U2, U3 = ("u_" + digit * 32 for digit in "123")
E1, P1, D1 = "e_" + "1" * 32, "p_" + "1" * 32, "d_" + "1" * 32


@pytest.fixture
def settings(tmp_path) -> Settings:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data", key=SecretStr("11" * 32))

    def write(con):
        create_tables(con)
        record_ring(con, load_keys(settings), DAY)

    transact(settings, write, message="test")
    return settings


def keep(settings, rows, *, source="shop", known_at=DAY):
    """Put rows (identifier, field, value, day of July or None) into the inbox, as a batch does."""
    told = ", ".join(
        f"('{identifier}', '{field}', '{value}', "
        f"{f'''TIMESTAMPTZ '2026-07-{day:02d} 00:00:00+00' ''' if day else 'NULL::TIMESTAMPTZ'})"
        for identifier, field, value, day in rows
    )
    relation = f"SELECT * FROM (VALUES {told}) AS told (identifier, field, value, told_at)"
    transact(
        settings,
        lambda con: keep_clear_values(con, load_keys(settings), source, relation, known_at),
        message="test",
    )


def join(settings, *customers):
    """Give each customer its identifiers, as the stage of identities does."""

    def write(con):
        con.execute("DELETE FROM lake.identity.identifiers")
        for customer_id, identifiers in customers:
            con.execute(
                "INSERT INTO lake.identity.identifiers SELECT unnest(?), 'user', ?, $3::TIMESTAMPTZ, $3::TIMESTAMPTZ, NULL, 'r'",
                [identifiers, customer_id, DAY],
            )

    transact(settings, write, message="test")


def query(settings, text):
    con = connect(settings)
    try:
        return con.execute(text).fetchall()
    finally:
        con.close()


def open_people(settings, customers, columns="customer_id, user_id, email, phone"):
    con = connect(settings)
    try:
        encrypt_spills(con)
        con.execute("BEGIN")
        listed = ", ".join(f"('{customer}')" for customer in customers)
        count = open_clear_values(
            con,
            settings,
            load_keys(settings),
            f"SELECT customer_id FROM (VALUES {listed}) AS asked (customer_id)",
            task="write_exports",
            reason="test",
            run_id="run1",
            read_at=DAY,
        )
        rows = con.execute(f"SELECT {columns} FROM clear_people ORDER BY customer_id").fetchall()
        assert count == len(rows)
        return rows
    finally:
        con.close()


def test_inbox_has_each_value_once_and_encrypted(settings):
    rows = [
        (U1, "user_id", "1001", None),
        (U1, "first_name", "Ada", 1),
        (U2, "first_name", "Ada", 1),
    ]
    keep(settings, [*rows, rows[0], (U1, "user_id", "1001", 1)])
    keep(settings, rows)
    keep(settings, rows[:1], source="till")

    inbox = query(
        settings, "SELECT source, identifier, field, record, told_at FROM vault.inbox ORDER BY ALL"
    )

    assert [(*row[:3], row[4]) for row in inbox] == [
        ("shop", U1, "first_name", DAY),
        ("shop", U1, "user_id", DAY),
        ("shop", U2, "first_name", DAY),
        ("till", U1, "user_id", None),
    ]
    assert inbox[0][3] != inbox[2][3]  # equal names of two people
    assert inbox[1][3] == inbox[3][3]  # the same of the same
    assert not [row for row in inbox if b"Ada" in row[3] or b"1001" in row[3]]


def test_value_that_is_told_again_is_noted_again_after_a_day(settings):
    keep(settings, [(U1, "email", "a@example.com", 1), (U1, "user_id", "1", None)])
    for hours in (12, 36):
        later = DAY + timedelta(hours=hours)
        keep(settings, [(U1, "user_id", "1", None)], known_at=later)
    keep(settings, [(U1, "email", "a@example.com", 2)], known_at=DAY + timedelta(hours=36))
    keep(settings, [(U1, "email", "a@example.com", 3)], known_at=DAY + timedelta(hours=36))

    inbox = query(
        settings, "SELECT field, day(told_at), hour(known_at) FROM vault.inbox ORDER BY ALL"
    )

    assert inbox == [("email", 1, 0), ("email", 3, 12), ("user_id", None, 0), ("user_id", None, 12)]


def test_deliver_makes_one_row_of_a_person_from_the_latest_values(settings):
    keep(settings, [(U1, "user_id", "1001", None), (E1, "email", "old@example.com", 1)])
    keep(settings, [(U1, "email", "new@example.com", 3), (U1, "phone", "+491", 2)], source="till")
    keep(
        settings,
        [(P1, "phone", "+492", 2), (U1, "first_name", "Ada", 2), (U2, "user_id", "1002", None)],
    )
    join(settings, (E1, [U1, E1, P1]), (U2, [U2]))

    counts = deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY)

    assert counts == {"delivered": 6, "dropped": 1, "people": 2}
    columns = (
        "customer_id, user_id, user_id_source, user_id_told_at, email, email_source, day(email_told_at), "
        "phone, phone_source, first_name"
    )
    assert open_people(settings, [E1, U2, U3], columns) == [
        (E1, "1001", "shop", None, "new@example.com", "till", 3, "+491", "till", None),
        (U2, "1002", "shop", None, None, None, None, None, None, None),
    ]
    assert query(settings, "SELECT count(*) FROM vault.inbox") == [(0,)]


def test_deliver_with_all_fields_keeps_what_exports_may_want(settings):
    values = ["1001", "a@example.com", "+491", "Ada", "Lovelace", "GB", "SW1A"]
    keep(settings, [(U1, field, value, 1) for field, value in zip(FIELDS, values, strict=True)])

    deliver(settings, load_keys(settings), FIELDS, DAY)

    assert open_people(settings, [U1], ", ".join(FIELDS)) == [tuple(values)]


def test_deliver_drops_fields_that_are_wanted_no_more(settings):
    keep(settings, [(U1, "user_id", "1001", 1), (U1, "phone", "+491", 1)])
    deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY)

    deliver(settings, load_keys(settings), ("user_id",), DAY)

    assert open_people(settings, [U1]) == [(U1, "1001", None, None)]


def test_deliver_again_after_a_crash_changes_nothing(settings):
    """The vault has committed, and the lake still has the rows."""
    keep(settings, [(U1, "user_id", "1001", 1), (U1, "email", "a@example.com", None)])
    join(settings, (U1, [U1]))
    before = settings.lake_dir.with_name("before")
    shutil.copytree(settings.lake_dir, before)
    deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY)
    people = open_people(settings, [U1])
    shutil.rmtree(settings.lake_dir)
    before.rename(settings.lake_dir)

    counts = deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY)

    assert counts == {"delivered": 2, "dropped": 0, "people": 1}
    assert open_people(settings, [U1]) == people == [(U1, "1001", "a@example.com", None)]


def test_deliver_follows_people_who_turn_out_to_be_one(settings):
    keep(settings, [(U1, "user_id", "1001", 1), (U2, "user_id", "1002", 2)])
    deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY)
    assert open_people(settings, [U1, U2], "customer_id, user_id") == [(U1, "1001"), (U2, "1002")]
    join(settings, (U1, [U1, U2]))

    deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY)

    assert open_people(settings, [U1, U2], "customer_id, user_id") == [(U1, "1002")]


def test_deliver_unknown_field_is_refused(settings):
    with pytest.raises(ConfigError, match="the vault has no field shoe_size; it has user_id,"):
        deliver(settings, load_keys(settings), ("user_id", "shoe_size"), DAY)


def test_each_opening_is_on_record(settings):
    keep(settings, [(U1, "user_id", "1001", 1), (U2, "user_id", "1002", 1)])
    deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY, "run0")
    open_people(settings, [U1, U3])
    open_people(settings, [U1, U2])

    assert query(settings, "FROM ops.vault_reads ORDER BY ALL") == [
        ("deliver_vault", "delivery", 2, "run0", DAY),
        ("write_exports", "test", 1, "run1", DAY),
        ("write_exports", "test", 2, "run1", DAY),
    ]


def test_customers_are_named_as_the_shop_calls_them(settings):
    keep(
        settings,
        [
            (U1, "user_id", "1001", 1),
            (U1, "email", "a@example.com", 1),
            (E1, "email", "e@example.com", 1),
            (P1, "phone", "+491", 1),
            (U2, "email", "family@example.com", 1),
            (U3, "email", "family@example.com", 1),
        ],
    )
    deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY)
    con = connect(settings)
    con.execute(
        "CREATE TEMP TABLE found AS SELECT unnest(?) AS customer_id", [[U1, E1, P1, D1, U2, U3]]
    )
    open_clear_values(
        con, settings, load_keys(settings), "FROM found",
        task="write_exports", reason="test", run_id="run1", read_at=DAY,
    )  # fmt: skip

    name_customers(con, "found")

    names = [name for (name,) in con.execute("FROM found").fetchall()]
    con.close()
    assert sorted(names) == sorted(["1001", "e@example.com", "+491", D1, U2, U3])


def test_without_a_vault_nobody_is_known_and_nothing_was_opened(settings):
    assert open_people(settings, [U1]) == []
    assert query(settings, "SELECT count(*) FROM ops.vault_reads") == [(0,)]


def test_vault_holds_nothing_in_clear_and_is_its_owners_alone(settings):
    keep(settings, [(U1, "user_id", "1001-secret", 1), (U1, "email", "ada@example.com", 1)])

    deliver(settings, load_keys(settings), DEFAULT_FIELDS, DAY)

    files = {path.name: path for path in settings.vault_dir.iterdir()}
    assert set(files) == {".lock", f"people-{load_keys(settings).fingerprint}.duckdb"}
    for path in files.values():
        assert path.stat().st_mode & 0o777 == 0o600
        assert not [text for text in (b"secret", b"ada@", U1.encode()) if text in path.read_bytes()]
    assert settings.vault_dir.stat().st_mode & 0o777 == 0o700


def test_vault_of_another_key_is_refused_without_a_word_of_it(settings, tmp_path):
    keep(settings, [(U1, "user_id", "1001", 1)])
    keys = load_keys(settings)
    deliver(settings, keys, DEFAULT_FIELDS, DAY)
    other = load_keys(settings.model_copy(update={"key": SecretStr("22" * 32)}))
    with pytest.raises(
        ConfigError, match="PERSONALAKE_KEY is not the key that this lake was written with"
    ):
        deliver(settings, other, DEFAULT_FIELDS, DAY)

    path = vault_path(settings, keys.fingerprint)
    with duckdb.connect(str(tmp_path / "plain.duckdb")) as con:
        con.execute("CREATE TABLE people AS SELECT 1 AS customer_id")
    for content in (
        (tmp_path / "plain.duckdb").read_bytes(),
        b"junk" * 5000,
        path.read_bytes()[:5000],
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="no database that PERSONALAKE_KEY opens") as caught:
            open_people(settings, [U1])
        assert "\n" not in str(caught.value)
        assert keys.derive("vault").hex() not in repr(caught.value.__context__) + str(caught.value)


def test_vault_of_another_lake_is_refused(settings, tmp_path):
    shared = settings.model_copy(update={"vault": tmp_path / "vault"})
    keep(shared, [(U1, "user_id", "1001", 1)])
    deliver(shared, load_keys(shared), DEFAULT_FIELDS, DAY)
    other = shared.model_copy(update={"lake": tmp_path / "other"})

    def write(con):
        create_tables(con)
        record_ring(con, load_keys(other), DAY + timedelta(days=1))

    transact(other, write, message="test")

    with pytest.raises(
        ConfigError, match="another lake's vault; give each lake its own with PERSONALAKE_VAULT"
    ):
        deliver(other, load_keys(other), DEFAULT_FIELDS, DAY)
    with pytest.raises(ConfigError, match="another lake's vault"):
        open_people(other, [U1])
    assert open_people(shared, [U1], "user_id") == [("1001",)]
