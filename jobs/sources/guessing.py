"""Guess what the columns of a table mean, by their names and their values: a mapping for a person to look over.

Pure: takes a sample, gives a guess that holds names of columns, names of events and codes of currencies, never another value.
"""

import difflib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import get_args

from jobs.sources.column_names import (
    CONTACTS,
    EVENT_WORDS,
    NAMED_BY_ID,
    NAMES,
    OTHER_EVENTS,
    SAID,
    TYPE_NAMES,
    USER_AGENTS,
    keys_of,
    looks_personal,
)
from jobs.sources.currencies import CURRENCIES
from jobs.sources.entities import ENTITIES, READER_COLUMNS, SYNONYMS, EntityName
from jobs.sources.recognition import Sample
from jobs.sources.value_types import (
    EMAIL,
    MIN_FITTING,
    PLAIN,
    detect_decimal_mark,
    detect_time_format,
    names_person,
)

_PERSONAL_RATE = 0.2  # of the values: fewer are freaks in a column of something else

_SIMILAR = 0.88  # of difflib: one letter of a word that is not short
_MAX_EVENT_NAMES = 60  # more are no kinds of events
_MAX_NAME_LENGTH = 60
_BOOLEANS = {"true", "t", "yes", "y", "1", "false", "f", "no", "n", "0"}
# Without one of each of these a row says nothing worth a table.
_SAYING: dict[str, tuple[tuple[str, ...], ...]] = {
    "events": (
        ("user_id", "anonymous_id", "session_id"),
        ("item_id", "url_path", "price", "search_query"),
    ),
    "items": (("title", "category", "brand", "price", "is_in_stock", "description"),),
    "profiles": (("country", "region", "birth_year", "gender", "loyalty_tier", "signed_up_at"),),
    "orders": (("item_id", "price", "amount", "title"),),
}


@dataclass
class Guess:
    """What a table seems to be.

    Attributes:
        entity: the raw table.
        is_canonical: its columns are named as the raw table's are, so it needs no mapping.
        columns: column of the raw table -> source column.
        constants: columns with one value for all rows.
        event_names: the log's names of events that were understood, and their types.
        unknown_names: those that were not.
        values: column -> what the source writes -> what it means.
        time_format: as a mapping names it.
        is_day_first_unsure: every day of the sample could also be read with the month first.
        decimal_mark: of its numbers.
        currency: the one that the sample names most often.
        each: path of the list whose elements are rows.
        user_agent: source column.
        personal: source columns that seem to name a person; they stay out.
        unread: other source columns that are not used.
        notes: what a person should know, a sentence each.
    """

    entity: EntityName
    is_canonical: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    event_names: dict[str, str] = field(default_factory=dict)
    unknown_names: tuple[str, ...] = ()
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    time_format: str = "iso"
    is_day_first_unsure: bool = False
    decimal_mark: str = "."
    currency: str = ""
    each: str = ""
    user_agent: str = ""
    personal: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def guess_mapping(sample: Sample, name: str) -> Guess | None:
    """Guess the raw table and its columns; None where the sample is of no kind that the lake holds.

    Args:
        sample: of one file, or of several that are alike.
        name: of the file; it decides where the columns do not.
    """
    canonical = _find_canonical(sample)
    if canonical:
        return Guess(canonical, is_canonical=True)
    finder = _Finder(sample)
    for entity in _candidates(finder, name):
        guess = _fill(entity, _Finder(sample), name)
        if guess is not None:
            return guess
    return None


def _find_canonical(sample: Sample) -> EntityName | None:
    """The raw table whose own columns these are."""
    entity: EntityName
    names = {path for path in sample.values if "." not in path}
    if len(names) != len(sample.values) or sample.lists:
        return None
    for entity in get_args(EntityName):
        rules = ENTITIES[entity]
        if not {*rules.required} <= names <= set(rules.told_columns) - READER_COLUMNS:
            continue
        if rules.one_of and not names & {*rules.one_of}:
            continue
        closed = all(
            {value.lower() for value in sample.values.get(column, ())}
            <= {*allowed, *SYNONYMS.get(column, {})}
            for column, allowed in rules.values.items()
        )
        times = all(
            not sample.values[column] or detect_time_format(sample.values[column])[0] == "iso"
            for column in names
            if rules.told_columns[column].startswith("TIMESTAMP")
        )
        if closed and times:
            return entity
    return None


class _Finder:
    """Finds source columns by what they are called and what they hold; each is used once."""

    def __init__(self, sample: Sample) -> None:
        self.each = _choose_list(sample)
        self.values = dict(sample.values)
        if self.each:
            self.values |= {
                f"each.{path}": values for path, values in sample.lists[self.each].items()
            }
        self.personal = tuple(
            path for path, values in self.values.items() if _is_personal(path, values)
        )
        self.used: dict[str, str] = {}
        self._named: dict[str, list[str]] = {}
        for path in self.personal:
            for key in keys_of(path):
                self._named.setdefault(key, []).append(path)
        self._paths: dict[str, list[str]] = {}
        # The whole of a path counts more than its end, and what stands in an element more than what stands around the list.
        told = [
            (rank > 0, not path.startswith("each."), place, key, path)
            for place, path in enumerate(self.values)
            for rank, key in enumerate(keys_of(path))
            if path not in self.personal
        ]
        for *_, key, path in sorted(told):
            self._paths.setdefault(key, []).append(path)

    def find(self, names: tuple[str, ...], test: Callable[[list[str]], bool]) -> str | None:
        """The first source column of these names that passes the test and is not used yet."""
        for name in names:
            for path in self._paths.get(name, ()):
                if path not in self.used.values() and test(self.values[path]):
                    return path
        return None

    def find_person(self, names: tuple[str, ...], test: Callable[[list[str]], bool]) -> str | None:
        """The first source column of these names that names a person, and passes the test."""
        for name in names:
            for path in self._named.get(name, ()):
                if path not in self.used.values() and test(self.values[path]):
                    return path
        return None

    def has(self, *columns: str) -> bool:
        """Whether there is a source column for each of these columns of raw tables."""
        return all(self.find(NAMES[column], _test_of(column)) is not None for column in columns)


def _choose_list(sample: Sample) -> str:
    """The list whose elements name items: the products of an order, say."""
    for path, values in sample.lists.items():
        keys = {key for name in values for key in keys_of(f"each.{name}")}
        if keys & {*NAMES["item_id"]}:
            return path
    return ""


def _is_personal(path: str, values: list[str]) -> bool:
    if looks_personal(path):
        return True
    found = sum(map(names_person, values))
    return found > _PERSONAL_RATE * len(values)


def _test_of(column: str) -> Callable[[list[str]], bool]:
    """What the values of a source column for this column must be."""
    types = {ENTITIES[entity].columns.get(column) for entity in get_args(EntityName)} - {None}
    type_ = str(next(iter(types)))
    if type_.startswith("TIMESTAMP"):
        return lambda values: bool(detect_time_format(values)[0])
    if type_.startswith("DECIMAL") or type_ in {"INTEGER", "BIGINT"}:
        return lambda values: detect_decimal_mark(values) is not None
    if type_ == "BOOLEAN":
        return lambda values: bool(values) and {value.lower() for value in values} <= _BOOLEANS
    if column in {"event_type", "message_type", "feedback_type"}:
        return _are_kinds
    if column == "currency":
        return lambda values: bool(values) and {value.upper() for value in values} <= CURRENCIES
    if column == "state":
        known = {*SYNONYMS["state"]}
        return lambda values: bool(values) and {value.lower() for value in values} <= known
    if column == "property":
        return _are_kinds
    if column == "event_id":  # an id that many rows share is somebody's or something's
        return lambda values: len(set(values)) >= MIN_FITTING * len(values)
    return _always


def _always(values: list[str]) -> bool:  # noqa: ARG001 - stands where a test is asked for
    return True


def _are_kinds(values: list[str]) -> bool:
    """Whether a column holds a few names, again and again."""
    names = set(values)
    if not names or len(names) > _MAX_EVENT_NAMES or max(map(len, names)) > _MAX_NAME_LENGTH:
        return False
    return not detect_time_format(values)[0] and not all(PLAIN.fullmatch(name) for name in names)


def _candidates(finder: _Finder, name: str) -> list[EntityName]:
    """The raw tables that a sample may be of, the most telling columns first."""
    has, lowered = finder.has, name.lower()
    is_somebody = has("user_id") or has("anonymous_id")
    path = finder.find(TYPE_NAMES, _are_kinds)
    kinds = {value.lower() for value in finder.values[path]} if path else set()
    # Views and clicks alone could be of anything.
    is_told = bool(kinds - {"view", "viewed", "click", "clicked"})
    is_feedback = (
        is_told or has("placement") or bool(re.search("recomm|feedback|impression", lowered))
    )
    is_message = is_told or has("message_id") or bool(re.search("mail|message|push|sms", lowered))
    found: list[tuple[EntityName, bool]] = [
        ("exposures", has("experiment_id", "variant_id")),
        ("consents", has("purpose", "state")),
        ("exchange_rates", has("rate", "currency") and not has("item_id")),
        ("item_properties", has("property", "value", "item_id")),
        ("categories", has("parent_category_id") and not has("item_id")),
        ("feedback", is_feedback and bool(kinds) and kinds <= _said("feedback_type")),
        ("messages", is_message and bool(kinds) and kinds <= _said("message_type")),
        ("events", bool(kinds) and is_somebody),
        ("orders", has("order_id") or bool(re.search("order|invoice|sales", lowered))),
        ("items", not is_somebody and not has("session_id")),
        ("profiles", not has("item_id") and not has("amount")),
        ("events", True),
    ]
    return [entity for entity, fits in found if fits]


def _said(column: str) -> set[str]:
    """What may stand in a column of a closed list."""
    known = {
        entity.name: entity.values[column]
        for entity in ENTITIES.values()
        if column in entity.values
    }
    return {*next(iter(known.values())), *SAID.get(column, {})}


def _fill(entity: EntityName, finder: _Finder, name: str) -> Guess | None:
    """Find a source column for each column of a raw table; None where a needed one is missing."""
    rules = ENTITIES[entity]
    guess = Guess(entity, each=finder.each)
    columns = [column for column in rules.columns if column in NAMES]
    # What is needed chooses first.
    for column in sorted(
        columns, key=lambda column: column not in {*rules.required, *rules.one_of}
    ):
        _pick(column, guess, finder)
    _take_amount(guess, finder)
    _pick_contacts(guess, finder)
    told = rules.told_columns
    guess.columns = {name: guess.columns[name] for name in told if name in guess.columns}
    if entity == "events":
        _name_events(guess, finder, name)
    if not any(path.startswith("each.") for path in guess.columns.values()):
        guess.each = ""
    filled = {*guess.columns, *guess.constants, "line_type", "recorded_at"}
    if not {*rules.required} <= filled or (rules.one_of and not filled & {*rules.one_of}):
        return None
    if not all(filled & {*alternatives} for alternatives in _SAYING.get(entity, ())):
        return None
    _find_values(guess, finder)
    agent = finder.find(USER_AGENTS, _always) if entity == "events" else None
    guess.user_agent = agent or ""
    guess.personal = tuple(path for path in finder.personal if path not in guess.columns.values())
    taken = {*guess.columns.values(), guess.user_agent, *guess.personal}
    guess.unread = tuple(
        path
        for path in finder.values
        if path not in taken and (guess.each or not path.startswith("each."))
    )
    return guess


def _names_of(entity: EntityName, column: str) -> tuple[str, ...]:
    """What a column may be called in files of one kind of thing."""
    if column in {"item_id", "user_id", "order_id"} and NAMED_BY_ID.get(entity) == column:
        return (*NAMES[column], "id")
    if column == "title" and entity != "items":
        return tuple(name for name in NAMES[column] if name != "name")  # it may be a person's
    return NAMES[column]


def _pick_contacts(guess: Guess, finder: _Finder) -> None:
    """Find the columns that become pseudonyms, or are for the vault alone."""
    for column, names in CONTACTS.items():
        test = _are_addresses if column == "email" else _always
        path = finder.find_person(names, test)
        if path is not None and column in ENTITIES[guess.entity].told_columns:
            guess.columns[column] = finder.used[column] = path
    if "user_id" in ENTITIES[guess.entity].columns and not {"user_id", "email"} & {*guess.columns}:
        # A shop may know its customers by their addresses.
        path = finder.find_person(NAMES["user_id"], _are_addresses)
        if path is not None:
            guess.columns["user_id"] = finder.used["user_id"] = path


def _are_addresses(values: list[str]) -> bool:
    return bool(values) and sum("@" in value for value in values) >= MIN_FITTING * len(values)


def _pick(column: str, guess: Guess, finder: _Finder) -> None:
    path = finder.find(_names_of(guess.entity, column), _test_of(column))
    if path is None:
        return
    values = finder.values[path]
    type_ = ENTITIES[guess.entity].columns[column]
    if type_.startswith("TIMESTAMP"):
        time_format, is_unsure = detect_time_format(values)
        has_time = any(
            ENTITIES[guess.entity].columns[other].startswith("TIMESTAMP") for other in guess.columns
        )
        if has_time and time_format != guess.time_format:
            guess.notes.append(
                f"{column} could be {path}, but its times are written differently ({time_format})"
            )
            return
        guess.time_format = time_format
        guess.is_day_first_unsure |= is_unsure
    elif type_.startswith("DECIMAL"):
        mark = detect_decimal_mark(values)
        if mark == "," and guess.decimal_mark == ".":
            guess.decimal_mark = ","
            for other in [*guess.columns]:
                if ENTITIES[guess.entity].columns[other].startswith("DECIMAL"):
                    _drop_unlike(other, guess, finder)
        elif mark == "." and guess.decimal_mark == ",":
            guess.notes.append(f"{column} could be {path}, but it is written with a decimal point")
            return
    elif column == "currency" and values:
        guess.currency = Counter(value.upper() for value in values).most_common(1)[0][0]
    finder.used[column] = path
    guess.columns[column] = path


def _drop_unlike(column: str, guess: Guess, finder: _Finder) -> None:
    """Leave out a number that is written with a point, where others have a comma."""
    path = guess.columns[column]
    if detect_decimal_mark(finder.values[path]) == ".":
        del guess.columns[column], finder.used[column]
        guess.notes.append(f"{column} could be {path}, but it is written with a decimal point")


def _take_amount(guess: Guess, finder: _Finder) -> None:
    """Take the amount of a line for the price of one piece, where there is no other price."""
    if guess.entity != "events" or "price" in guess.columns:
        return
    path = finder.find(NAMES["amount"], _test_of("amount"))
    if path is None:
        return
    guess.columns["price"] = path
    finder.used["price"] = path
    if detect_decimal_mark(finder.values[path]) == ",":
        guess.decimal_mark = ","
    if quantity := guess.columns.pop("quantity", None):
        guess.notes.append(
            f"{path} was taken for the money of a whole line, so {quantity} is not read as the quantity"
        )


def _name_events(guess: Guess, finder: _Finder, name: str) -> None:
    path = guess.columns.get("event_type")
    if path is None:
        is_sale = bool({"price", "order_id"} & {*guess.columns}) and not re.search(
            "view|click", name.lower()
        )
        guess.constants["event_type"] = "purchase" if is_sale else "product_view"
        if "item_id" not in guess.columns and not is_sale:
            guess.constants["event_type"] = "page_view"
        guess.notes.append(
            "no column names the event: every line is taken for the event type below"
        )
        return
    counted = Counter(finder.values[path])
    shown = [name for name, _ in counted.most_common() if _may_be_shown(name)]
    guess.event_names = {name: found for name in shown if (found := guess_event_type(name))}
    guess.unknown_names = tuple(name for name in shown if name not in guess.event_names)
    if not guess.event_names:
        guess.event_names = dict.fromkeys(guess.unknown_names, "custom")
        guess.unknown_names = ()
        guess.notes.append("none of the events' names was understood: give each its event type")
    if not guess.event_names:
        del guess.columns["event_type"]


def _may_be_shown(name: str) -> bool:
    """Whether a value of the column of event names is one: no address, no number of somebody."""
    return (
        not EMAIL.search(name) and not re.search(r"\d{5}", name) and len(name) <= _MAX_NAME_LENGTH
    )


def guess_event_type(name: str) -> str | None:
    """The event type of a log's own name of an event; None where it is not understood."""
    from jobs.sources import segment

    words = {_compact(key): type_ for key, type_ in segment.EVENT_NAMES.items()} | EVENT_WORDS
    key = _compact(name)
    if key in words:
        return words[key]
    if key in OTHER_EVENTS:
        return None
    near = difflib.get_close_matches(key, words, n=1, cutoff=_SIMILAR)
    return words[near[0]] if near else None


def _compact(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _find_values(guess: Guess, finder: _Finder) -> None:
    """Say what the values of closed lists mean, where they are not the lists' own."""
    for column in ENTITIES[guess.entity].values:
        said = SAID.get(column)
        if said and column in guess.columns:
            found = {value: said[value.lower()] for value in sorted(set(finder.values[guess.columns[column]]))
                     if value.lower() in said}  # fmt: skip
            if found:
                guess.values[column] = found
