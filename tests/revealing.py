"""Lets a test read the ids that its own files hold: the lake has pseudonyms only, and what the loader hashed is noted here."""

import functools

import jobs.sources.batch
import jobs.sources.replaying
from jobs.sources import pseudonyms

KEY = "11" * 32
_CLEAR: dict[str, str] = {}


def install():
    """Note the clear text of each pseudonym that this process makes."""
    original = pseudonyms.make_pseudonyms

    @functools.wraps(original)
    def make_and_note(con, keys, views, phone_country=None):
        unusable = original(con, keys, views, phone_country)
        for kind in ("user", "email", "phone", "device", "session", "name"):
            rows = con.execute(
                f"SELECT pseudonym, canonical[3:] FROM pseudonyms_{kind} WHERE pseudonym IS NOT NULL"
            )
            _CLEAR.update(rows.fetchall())
        return unusable

    jobs.sources.batch.make_pseudonyms = make_and_note
    jobs.sources.replaying.make_pseudonyms = make_and_note


def reveal(rows):
    """Rows with clear texts where these are known."""
    return [
        tuple(_CLEAR.get(cell, cell) if isinstance(cell, str) else cell for cell in row)
        for row in rows
    ]


def note(keys, kind, texts):
    """Note clear texts that another process loads."""
    _CLEAR.update(
        (pseudonyms.make_pseudonym(keys, kind, text), pseudonyms.canonical(kind, text)[1])
        for text in texts
    )
