"""The segment language: what a rule file may hold.

A rule is a tree (`all`, `any`, `not`) over conditions; each condition is a mapping that one key names (`count:`, `sum:`,
`sequence:`, `absent:`, `feature:`, `attribute:`, `segment:`). A new kind of condition is a model here, an entry in
`Condition` and a function in `jobs.segments.compilation`. Taught and listed in docs/segments.md.
"""

import difflib
import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from jobs.segments.fields import (
    ATTRIBUTES,
    FEATURES,
    FILTER_BOUNDS,
    FILTER_COLUMNS,
    Distinct,
    EventType,
    Kind,
    Measure,
    Same,
)

_DURATION = r"^([1-9][0-9]{0,4}) (minute|hour|day)s?$"
# What pydantic's error locations call the branch of a union; no setting has such a name, so messages can drop it.
TAG_MARK = "?"

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
SegmentId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Duration = Annotated[str, StringConstraints(pattern=_DURATION)]


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _refuse_other_than_one(value: Any) -> Any:
    if value is not None and not isinstance(value, bool | str):
        raise ValueError(
            "expected one text or true/false; write several below in:, and a number with equals:"
        )
    return value


def _names_of(known: dict[str, Kind]) -> list[JsonValue]:
    return [*sorted(known)]


def _without_id_suffix(value: Any) -> Any:
    return value.removesuffix("_id") if isinstance(value, str) else value


EventTypes = Annotated[
    tuple[EventType, ...],
    Field(min_length=1),
    BeforeValidator(_as_tuple, json_schema_input_type=EventType | tuple[EventType, ...]),
]
Texts = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    BeforeValidator(_as_tuple, json_schema_input_type=Text | tuple[Text, ...]),
]
OneValue = Annotated[bool | Text, BeforeValidator(_refuse_other_than_one)]
# `item_id` is what the column is called, so it is understood where `item` is meant.
SameSubject = Annotated[Same, BeforeValidator(_without_id_suffix, json_schema_input_type=Same)]
DistinctSubject = Annotated[
    Distinct, BeforeValidator(_without_id_suffix, json_schema_input_type=Distinct)
]


def parse_duration(text: str) -> timedelta:
    """Read "<n> minutes|hours|days" (also in the singular)."""
    match = re.fullmatch(_DURATION, text)
    if match is None:
        raise ValueError(f"expected a time such as 24 hours, found {text!r}")
    return timedelta(**{f"{match[2]}s": int(match[1])})


class _Rule(BaseModel, frozen=True, extra="forbid"):
    """Part of a rule: immutable, and an unknown setting is refused."""


class Comparison(_Rule):
    """What an observed number must be: one bound, two bounds, or a value."""

    more_than: Number | None = None
    at_least: Number | None = None
    less_than: Number | None = None
    at_most: Number | None = None
    equals: Number | None = None

    @property
    def lower(self) -> float | None:
        """The lower bound, if there is one."""
        return self.at_least if self.more_than is None else self.more_than

    @property
    def upper(self) -> float | None:
        """The upper bound, if there is one."""
        return self.at_most if self.less_than is None else self.less_than

    @property
    def threshold(self) -> float:
        """The number that membership turns on: the lower bound where there are two."""
        given = (self.equals, self.lower, self.upper)
        return next(bound for bound in given if bound is not None)

    def admits(self, value: float) -> bool:
        """True when `value` fulfils the comparison."""
        return (
            (self.more_than is None or value > self.more_than)
            and (self.at_least is None or value >= self.at_least)
            and (self.less_than is None or value < self.less_than)
            and (self.at_most is None or value <= self.at_most)
            and (self.equals is None or value == self.equals)
        )

    def has_bound(self) -> bool:
        """True when anything is compared at all."""
        return not (self.equals is None and self.lower is None and self.upper is None)

    def check_bounds(self) -> None:
        """Refuse no bound, two bounds of one side, and bounds that nothing fulfils.

        Raises:
            ValueError: says what to write.
        """
        if not self.has_bound():
            raise ValueError("add one of more_than, at_least, less_than, at_most, equals")
        if self.more_than is not None and self.at_least is not None:
            raise ValueError("write more_than or at_least, not both")
        if self.less_than is not None and self.at_most is not None:
            raise ValueError("write less_than or at_most, not both")
        if self.equals is not None and (self.lower is not None or self.upper is not None):
            raise ValueError("write equals alone, or bounds without it")
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise ValueError(
                f"nothing lies between {self.lower:g} and {self.upper:g}; raise the upper bound"
            )


class EventFilter(_Rule):
    """Which events of a type are meant; all that is given must hold."""

    item: Texts | None = None
    category: Texts | None = None
    brand: Texts | None = None
    channel: Texts | None = None
    campaign: Texts | None = None
    device: Texts | None = None
    country: Texts | None = None
    region: Texts | None = None
    min_price: Number | None = None
    max_price: Number | None = None
    min_value: Number | None = None
    max_value: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> "EventFilter":
        if not self.choices() and not self.bounds():
            raise ValueError("add what to filter by (category: ..., min_price: ...), or remove it")
        return self

    def choices(self) -> dict[str, tuple[str, ...]]:
        """The texts that are accepted, by filter."""
        given = {name: getattr(self, name) for name in FILTER_COLUMNS}
        return {name: texts for name, texts in given.items() if texts is not None}

    def bounds(self) -> dict[str, float]:
        """The limits of numbers, by filter."""
        given = {name: getattr(self, name) for name in FILTER_BOUNDS}
        return {name: bound for name, bound in given.items() if bound is not None}


class Events(_Rule):
    """Some events of the time before `as_of`."""

    event: EventTypes
    within: Duration
    filter: EventFilter | None = None

    @property
    def event_types(self) -> frozenset[str]:
        """Every event type that the condition reads."""
        return frozenset(self.event)


class CountOf(Events):
    """Events to count: all, those of one `same` subject, or the `distinct` subjects among them."""

    same: SameSubject | None = None
    distinct: DistinctSubject | None = None

    @model_validator(mode="after")
    def _check(self) -> "CountOf":
        if self.same is not None and self.same == self.distinct:
            raise ValueError(f"one {self.same} has one {self.same}; remove same or distinct")
        return self


class SumOf(Events):
    """A number of events to add up."""

    of: Measure = "value"  # money is what nearly every such rule is about
    same: SameSubject | None = None


class SequenceOf(_Rule):
    """One event, then another one or the lack of it."""

    first: EventTypes
    then: EventTypes | None = None
    then_not: EventTypes | None = None
    after: Duration | None = None
    still: bool = Field(default=False, strict=True)
    within: Duration
    same: SameSubject | None = None
    filter: EventFilter | None = None

    @model_validator(mode="after")
    def _check(self) -> "SequenceOf":
        if (self.then is None) == (self.then_not is None):
            raise ValueError("write either then (followed by) or then_not (not followed by)")
        if self.then is not None and (self.after is not None or self.still):
            raise ValueError("after and still belong to then_not; remove them")
        if self.then_not is not None:
            if self.after is None:
                raise ValueError("add after: how long to wait, for example after: 10 minutes")
            if parse_duration(self.after) >= parse_duration(self.within):
                raise ValueError(
                    "after is as long as within, so no event could match; make within longer"
                )
        return self

    @property
    def event_types(self) -> frozenset[str]:
        """Every event type that the condition reads."""
        return frozenset(self.first + self.following)

    @property
    def following(self) -> tuple[str, ...]:
        """The event types of `then` or `then_not`."""
        return self.then or self.then_not or ()


class CountCondition(Comparison):
    """Number of events, or of different things in them."""

    count: CountOf

    @model_validator(mode="after")
    def _check(self) -> "CountCondition":
        self.check_bounds()
        _check_same(self.count.same, self)
        return self


class SumCondition(Comparison):
    """Sum over events."""

    sum: SumOf

    @model_validator(mode="after")
    def _check(self) -> "SumCondition":
        self.check_bounds()
        _check_same(self.sum.same, self)
        return self


class SequenceCondition(_Rule):
    """An event followed, or not followed, by another."""

    sequence: SequenceOf


class AbsentCondition(_Rule):
    """No such event in the window."""

    absent: Events


class FieldCondition(Comparison):
    """A column of the customer: numbers are compared, texts and yes/no are matched."""

    is_: OneValue | None = Field(default=None, alias="is")
    in_: Texts | None = Field(default=None, alias="in")

    def check_kind(self, name: str, kind: Kind) -> None:
        """Refuse a test that does not fit the column.

        Raises:
            ValueError: says what to write.
        """
        if kind == "number":
            if self.is_ is not None or self.in_ is not None:
                raise ValueError(f"{name} is a number; compare it (at_least, equals, ...)")
            self.check_bounds()
            return
        if self.has_bound():
            raise ValueError(f"{name} is not a number; use is" + (" or in" * (kind == "text")))
        if (self.is_ is None) == (self.in_ is None):
            raise ValueError("add either is or in" if kind == "text" else "add is: true or false")
        if kind == "boolean" and not isinstance(self.is_, bool):
            raise ValueError(f"{name} is yes or no; write is: true or is: false")
        if kind == "text" and isinstance(self.is_, bool):
            # YAML reads an unquoted NO (Norway) as false.
            raise ValueError(f"{name} is a text; put the value in quotes, for example is: 'NO'")

    @property
    def choices(self) -> tuple[str, ...]:
        """The accepted texts; none for a number or a yes/no."""
        return self.in_ or ((self.is_,) if isinstance(self.is_, str) else ())


class FeatureCondition(FieldCondition):
    """A column of features.customer_features, as of the run."""

    feature: str = Field(json_schema_extra={"enum": _names_of(FEATURES)})

    @field_validator("feature")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return _check_known(value, FEATURES)

    @model_validator(mode="after")
    def _check(self) -> "FeatureCondition":
        self.check_kind(self.feature, FEATURES[self.feature])
        return self


class AttributeCondition(FieldCondition):
    """A column of core.customers."""

    attribute: str = Field(json_schema_extra={"enum": _names_of(ATTRIBUTES)})

    @field_validator("attribute")
    @classmethod
    def _check_name(cls, value: str) -> str:
        return _check_known(value, ATTRIBUTES)

    @model_validator(mode="after")
    def _check(self) -> "AttributeCondition":
        self.check_kind(self.attribute, ATTRIBUTES[self.attribute])
        return self


class SegmentCondition(_Rule):
    """Fulfils the rule of another segment."""

    segment: SegmentId


class AllOf(_Rule):
    """Every condition holds."""

    all: tuple["Condition", ...] = Field(min_length=1)


class AnyOf(_Rule):
    """At least one condition holds."""

    any: tuple["Condition", ...] = Field(min_length=1)


class NotOf(_Rule):
    """The condition does not hold."""

    not_: "Condition" = Field(alias="not")


CONDITION_KEYS = (
    "all",
    "any",
    "not",
    "count",
    "sum",
    "sequence",
    "absent",
    "feature",
    "attribute",
    "segment",
)


def _find_key(value: Any) -> str | None:
    """The tag of the one key that names a condition; None makes pydantic refuse it."""
    if isinstance(value, BaseModel):
        names = {name.rstrip("_") for name in type(value).model_fields}
    else:
        names = set(value) if isinstance(value, dict) else set()
    found = [key for key in CONDITION_KEYS if key in names]
    return TAG_MARK + found[0] if len(found) == 1 else None


Condition = Annotated[
    Annotated[AllOf, Tag("?all")]
    | Annotated[AnyOf, Tag("?any")]
    | Annotated[NotOf, Tag("?not")]
    | Annotated[CountCondition, Tag("?count")]
    | Annotated[SumCondition, Tag("?sum")]
    | Annotated[SequenceCondition, Tag("?sequence")]
    | Annotated[AbsentCondition, Tag("?absent")]
    | Annotated[FeatureCondition, Tag("?feature")]
    | Annotated[AttributeCondition, Tag("?attribute")]
    | Annotated[SegmentCondition, Tag("?segment")],
    Discriminator(
        _find_key,
        custom_error_type="condition",
        custom_error_message=f"expected one condition, named by one of {', '.join(CONDITION_KEYS)}; "
        "put several below all: or any:",
    ),
]


class Segment(_Rule):
    """One rule: who owns it, what it may be used for, when it holds and whom it selects."""

    id: SegmentId
    name: Text
    version: int = Field(default=1, ge=1, strict=True)  # raise it whenever `where` changes
    owner: Text
    description: Text
    purpose: Text = "marketing"  # what nearly every segment is sent out for
    enabled: bool = Field(default=True, strict=True)
    valid_from: date | None = None
    valid_to: date | None = None
    where: Condition

    @model_validator(mode="after")
    def _check(self) -> "Segment":
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            raise ValueError("valid_to lies before valid_from; swap or mend them")
        return self

    @property
    def rule_version(self) -> str:
        """`id@version`, which every membership row names."""
        return f"{self.id}@{self.version}"

    def is_active(self, as_of_date: date) -> bool:
        """True when the segment is published on that day (both ends of its validity included)."""
        return (
            self.enabled
            and (self.valid_from is None or self.valid_from <= as_of_date)
            and (self.valid_to is None or as_of_date <= self.valid_to)
        )

    def conditions(self) -> Iterator[Any]:
        """The conditions of the rule in the order of the file, without `all`, `any` and `not`."""
        yield from _walk(self.where)

    def references(self) -> tuple[str, ...]:
        """The ids of the segments that the rule builds on."""
        return tuple(c.segment for c in self.conditions() if isinstance(c, SegmentCondition))

    def definition(self) -> dict[str, Any]:
        """The rule as plain JSON values under the names of the file, without what was not given."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def definition_json(self) -> str:
        """The rule as JSON text, equal for equal rules."""
        return json.dumps(self.definition(), sort_keys=True, ensure_ascii=False)


def segment_schema() -> str:
    """The JSON Schema of a rule file, as the text of config/schemas/segment.schema.json."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Segment.model_json_schema(by_alias=True, mode="validation"),
        "title": "personalake segment",
    }
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _walk(condition: Any) -> Iterator[Any]:
    match condition:
        case AllOf(all=children) | AnyOf(any=children):
            for child in children:
                yield from _walk(child)
        case NotOf(not_=child):
            yield from _walk(child)
        case _:
            yield condition


def _check_same(same: str | None, comparison: Comparison) -> None:
    if same is not None and comparison.equals is None and comparison.lower is None:
        raise ValueError(
            f"with same: {same} a rule asks for one {same} with enough events; "
            "use more_than, at_least or equals, and put it below not: for the opposite"
        )


def _check_known(name: str, known: dict[str, Kind]) -> str:
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "docs/segments.md lists the names"
    raise ValueError(f"there is no {name!r}; {hint}")
