"""SQL that puts a stable, unreadable id in the place of what names a person.

Every reader that meets an e-mail address, a telephone number or an IP address where an id belongs goes through here.
"""


def pseudonym(text: str) -> str:
    """SQL of the id that stands for a text: equal texts, whatever their case and surrounding blanks, have equal ids.

    Args:
        text: SQL of the text; null stays null.
    """
    return f"sha256(lower(trim({text})))[:32]"
