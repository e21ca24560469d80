"""Clauses of a rule in words, for the reason beside each member.

Words only ever come from the rule, never from a customer, so a reason holds no personal data.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.segments.definition import (
    AbsentCondition,
    Comparison,
    CountCondition,
    EventFilter,
    FeatureCondition,
    FieldCondition,
    SequenceCondition,
    SumCondition,
)
from jobs.segments.fields import EVENT_WORDS, FILTER_BOUNDS, SUBJECTS

_COMPARED = ("more_than", "at_least", "less_than", "at_most")


@dataclass(frozen=True)
class Phrase:
    """A clause around its observed number: `before` + number + `one` or `many`.

    Attributes:
        before: the words before the number.
        one: the words after the number 1.
        many: the words after any other number.
        rule: the clause without an observed number.
    """

    before: str
    one: str
    many: str
    rule: str


def describe_number(number: float) -> str:
    """A number of a rule, without a needless fraction."""
    return str(int(number)) if number == int(number) else str(number)


def describe_comparison(comparison: Comparison) -> str:
    """`more than 3`, `at least 90, at most 365` or `exactly 1`."""
    if comparison.equals is not None:
        return f"exactly {describe_number(comparison.equals)}"
    bounds = {name: getattr(comparison, name) for name in _COMPARED}
    return ", ".join(
        f"{name.replace('_', ' ')} {describe_number(bound)}"
        for name, bound in bounds.items()
        if bound is not None
    )


def describe_events(event_types: tuple[str, ...], *, plural: bool) -> str:
    """`product views, list views or searches`."""
    return _list_choices([EVENT_WORDS[event_type][plural] for event_type in event_types])


def describe_name(name: str) -> str:
    """A feature or attribute in words: `count_product_views_30d` is `product views in 30 days`."""
    words = re.sub(r"_(\d+)d$", r" in \1 days", name.removeprefix("count_"))
    return words.replace("_", " ")


def describe_filter(filter_: EventFilter | None) -> str:
    """` (category shoes or boots, price from 50)`, or nothing."""
    if filter_ is None:
        return ""
    parts = [f"{name} {_list_choices(texts)}" for name, texts in filter_.choices().items()]
    parts += [
        f"{FILTER_BOUNDS[name][2]} {describe_number(bound)}"
        for name, bound in filter_.bounds().items()
    ]
    return f" ({', '.join(parts)})"


def _of_one(same: str | None) -> str:
    return f" {SUBJECTS[same].preposition} one {SUBJECTS[same].singular}" if same else ""


def describe_count(condition: CountCondition) -> Phrase:
    """`5 product views of one item within 12 hours (more than 2)`."""
    count, compared = condition.count, describe_comparison(condition)
    tail = f"{describe_filter(count.filter)}{_of_one(count.same)} within {count.within}"
    many = describe_events(count.event, plural=True)
    if count.distinct is None:
        one = describe_events(count.event, plural=False)
        return Phrase(
            "",
            f" {one}{tail} ({compared})",
            f" {many}{tail} ({compared})",
            f"{compared} {many}{tail}",
        )
    subject = SUBJECTS[count.distinct]
    before = f"{many}{describe_filter(count.filter)}{_of_one(count.same)} {subject.preposition} "
    return Phrase(
        before,
        f" {subject.singular} within {count.within} ({compared})",
        f" different {subject.plural} within {count.within} ({compared})",
        f"{before}{compared} different {subject.plural} within {count.within}",
    )


def describe_sum(condition: SumCondition) -> Phrase:
    """`a total value of 240.50 in purchases within 30 days (at least 200)`."""
    of, compared = condition.sum, describe_comparison(condition)
    tail = (
        f" in {describe_events(of.event, plural=True)}{describe_filter(of.filter)}"
        f"{_of_one(of.same)} within {of.within}"
    )
    before = f"a total {of.of} of "
    return Phrase(
        before, f"{tail} ({compared})", f"{tail} ({compared})", f"{before}{compared}{tail}"
    )


def _with_article(event_types: tuple[str, ...]) -> str:
    words = [EVENT_WORDS[event_type][0] for event_type in event_types]
    return _list_choices([f"{'an' if word[0] in 'aeiou' else 'a'} {word}" for word in words])


def describe_sequence(condition: SequenceCondition) -> Phrase:
    """`1 addition to cart with no purchase of the same item within 10 minutes, in the last 24 hours`."""
    sequence = condition.sequence
    same = SUBJECTS[sequence.same] if sequence.same else None
    of_same = f" {same.preposition} the same {same.singular}" if same else ""
    if sequence.then:
        relation = f"followed by {_with_article(sequence.then)}{of_same}"
    else:
        events = describe_events(sequence.following, plural=False)
        since = " or since" if sequence.still else ""
        relation = f"with no {events}{of_same} within {sequence.after}{since}"
    tail = f"{describe_filter(sequence.filter)} {relation}, in the last {sequence.within}"
    one = describe_events(sequence.first, plural=False) + tail
    many = describe_events(sequence.first, plural=True) + tail
    return Phrase("", f" {one}", f" {many}", one)


def describe_absent(condition: AbsentCondition) -> str:
    """`no purchases within 14 days`."""
    absent = condition.absent
    events = describe_events(absent.event, plural=True)
    return f"no {events}{describe_filter(absent.filter)} within {absent.within}"


def describe_feature(condition: FeatureCondition) -> Phrase:
    """`days since last order: 120 (at least 90)`, for a feature that is a number."""
    name, compared = describe_name(condition.feature), describe_comparison(condition)
    return Phrase(f"{name}: ", f" ({compared})", f" ({compared})", f"{name}: {compared}")


def describe_field(name: str, condition: FieldCondition) -> str:
    """`country: DE or AT`, `is registered: yes`, `birth year: at least 1980`; never the customer's own value."""
    words = describe_name(name)
    if isinstance(condition.is_, bool):
        return f"{words}: {'yes' if condition.is_ else 'no'}"
    if condition.choices:
        return f"{words}: {_list_choices(condition.choices)}"
    return f"{words}: {describe_comparison(condition)}"


def _list_choices(words: Sequence[str]) -> str:
    *head, last = words
    return f"{', '.join(head)} or {last}" if head else last
