import duckdb
import pytest

from jobs.sources import expressions


def _ask(sql, **values):
    con = duckdb.connect()
    names = ", ".join(f"${name}::VARCHAR AS {name}" for name in values)
    return con.execute(f"SELECT {sql} FROM (SELECT {names})", values).fetchone()[0]


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://shop.example.com/hats/polar?ref=1#top", "/hats/polar"),
        ("https://shop.example.com", "/"),
        ("https://shop.example.com?q=hat", "/"),
        ("//shop.example.com/a", "/a"),
        ("/hats/?x=1", "/hats/"),
        ("https://shop.example.com/u/ada@example.com/x", "/u/[e-mail]/x"),
        ("https://shop.example.com/u/ada%40example.com", "/u/[e-mail]"),
        (None, None),
    ],
)
def test_path_of_keeps_the_path_only(url, path):
    assert _ask(expressions.path_of("url"), url=url) == path


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.example.com/search?q=hat", "www.example.com/search"),
        ("https://www.example.com/", "www.example.com"),
        ("https://ada@example.com:secret@www.example.com/a", "[e-mail]@www.example.com/a"),
        (None, None),
    ],
)
def test_site_of_keeps_host_and_path(url, site):
    assert _ask(expressions.site_of("url"), url=url) == site


@pytest.mark.parametrize("text", ["(not set)", "(Not Set)", "<Other>", "(other)", "undefined", "NULL"])  # fmt: skip
def test_known_placeholders_are_null(text):
    assert _ask(expressions.known("value"), value=text) is None


def test_known_other_texts_are_kept():
    assert _ask(expressions.known("value"), value="Other") == "Other"


@pytest.mark.parametrize(
    ("text", "count"),
    [('[{"a": 1}, 3, null, {}]', 2), ("[]", 0), ('{"a": 1}', None), ("[1", None), ("x", None), (None, None)],
)  # fmt: skip
def test_objects_in_anything_else_is_null(text, count):
    assert _ask(f"len({expressions.objects_in('told')})", told=text) == count
