"""Compile a rule to one parameterised query.

The query reads three temporary tables that `jobs.segments.membership.prepare` makes, and returns the rows of
`ml.segment_memberships` without lineage, one a member:

- `segment_events`: events known at `as_of`, no older than the longest window of any rule.
- `segment_customers`: every customer, with the features and attributes that rules name (`feature_*`, `attribute_*`).
- `segment_matches`: the members of the segments that were evaluated before.

Its text depends on the shape of a rule only: names come from `jobs.segments.fields`, values are parameters.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jobs.segments.definition import (
    AbsentCondition,
    AllOf,
    AnyOf,
    AttributeCondition,
    Comparison,
    CountCondition,
    EventFilter,
    FeatureCondition,
    FieldCondition,
    NotOf,
    Segment,
    SegmentCondition,
    SequenceCondition,
    SumCondition,
    parse_duration,
)
from jobs.segments.fields import ATTRIBUTES, FEATURES, FILTER_BOUNDS, FILTER_COLUMNS, SUBJECTS
from jobs.segments.phrases import (
    Phrase,
    describe_absent,
    describe_count,
    describe_feature,
    describe_field,
    describe_sequence,
    describe_sum,
)

EVENTS_TABLE = "temp.segment_events"
CUSTOMERS_TABLE = "temp.segment_customers"
MATCHES_TABLE = "temp.segment_matches"
N_EVENT_IDS = 3  # enough to check a membership by hand, few enough to store for every member

_OPERATORS = {
    "more_than": ">",
    "at_least": ">=",
    "less_than": "<",
    "at_most": "<=",
    "equals": "=",
}
# Structs compare field by field, so the latest comes first and equal instants fall back to the event_id.
_EVENT = "{'occurred_at': occurred_at, 'event_id': event_id}"


@dataclass(frozen=True)
class CompiledSegment:
    """A query and the values of its named parameters."""

    sql: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class _Leaf:
    """Where the query holds what one condition observed (`n` counts conditions in the order of the file).

    Attributes:
        met: SQL over the joined customer: true when the condition holds, never null.
        query: SQL of a row a customer with events; None for a condition without events.
        observed: SQL of the observed number; None where nothing is counted.
        has_events: True when `query` has a column `events`, the latest that support the condition.
    """

    met: str
    query: str | None = None
    observed: str | None = None
    has_events: bool = False


@dataclass(frozen=True)
class _Evidence:
    """A clause that speaks for a member: when it does, and its number, threshold and events."""

    when: str
    observed: str
    threshold: str
    events: str | None = None


@dataclass(frozen=True)
class _Node:
    """A part of the rule's tree: when it holds, why (SQL text; and in plain words), and its evidence."""

    met: str
    reason: str
    words: str
    evidence: tuple[_Evidence, ...] = ()


@dataclass
class _Compiler:
    as_of: datetime
    parameters: dict[str, Any] = field(default_factory=dict)
    leaves: list[_Leaf] = field(default_factory=list)

    def bind(self, value: Any) -> str:
        """Make a value a parameter and return its placeholder."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def compare(self, observed: str, comparison: Comparison) -> str:
        given = {name: getattr(comparison, name) for name in _OPERATORS}
        return " AND ".join(
            f"{observed} {_OPERATORS[name]} {self.bind(bound)}"
            for name, bound in given.items()
            if bound is not None
        )

    def select_types(self, event_types: tuple[str, ...]) -> str:
        return f"list_contains({self.bind(list(event_types))}, event_type)"

    def select_filter(self, filter_: EventFilter | None) -> list[str]:
        if filter_ is None:
            return []
        choices = [
            f"list_contains({self.bind(list(texts))}, {FILTER_COLUMNS[name]})"
            for name, texts in filter_.choices().items()
        ]
        return choices + [
            f"{FILTER_BOUNDS[name][0]} {FILTER_BOUNDS[name][1]} {self.bind(bound)}"
            for name, bound in filter_.bounds().items()
        ]

    def select_since(self, within: str) -> str:
        return f"occurred_at >= {self.bind(self.as_of - parse_duration(within))}"

    def add_leaf(self, leaf: _Leaf) -> str:
        """Keep a leaf and return the suffix of its columns."""
        self.leaves.append(leaf)
        return str(len(self.leaves) - 1)

    def add_static(self, met: str, words: str) -> _Node:
        """A leaf that observes nothing: the reason is its clause."""
        number = self.add_leaf(_Leaf(met))
        return _Node(f"met_{number}", self.bind(words), words)

    def add_observed(self, leaf: _Leaf, phrase: Phrase, threshold: float) -> _Node:
        """A leaf with a number: the reason holds what was observed."""
        number = self.add_leaf(leaf)
        observed = f"observed_{number}"
        before, one, many = (self.bind(text) for text in (phrase.before, phrase.one, phrase.many))
        reason = (
            f"concat({before}, {_format_number(observed)}, "
            f"CASE WHEN {observed} = 1 THEN {one} ELSE {many} END)"
        )
        events = f"events_{number}" if leaf.has_events else None
        evidence = _Evidence(f"met_{number}", observed, self.bind(threshold), events)
        return _Node(f"met_{number}", reason, phrase.rule, (evidence,))

    def gather(
        self, measure: str, conditions: list[str], same: str | None, comparison: Comparison
    ) -> _Leaf:
        """A leaf that aggregates events a customer, or a customer and `same` subject (the best one counts)."""
        query = (
            f"SELECT customer_id, {measure} AS observed, max({_EVENT}, {N_EVENT_IDS}) AS events "
            f"FROM {EVENTS_TABLE} WHERE {' AND '.join(conditions)}"
        )
        name = f"condition_{len(self.leaves)}"
        if same is None:
            observed = f"coalesce({name}.observed, 0)"
            query = f"{query} GROUP BY customer_id"
            return _Leaf(self.compare(observed, comparison), query, observed, has_events=True)
        subject = SUBJECTS[same].expression
        query = (
            f"{query} AND {subject} IS NOT NULL GROUP BY customer_id, {subject} "
            f"HAVING {self.compare(measure, comparison)} QUALIFY row_number() OVER "
            f"(PARTITION BY customer_id ORDER BY {measure} DESC, {subject}) = 1"
        )
        return _Leaf(f"{name}.customer_id IS NOT NULL", query, f"{name}.observed", has_events=True)

    def compile_count(self, condition: CountCondition) -> _Node:
        count = condition.count
        measure = "count(*)"
        if count.distinct is not None:
            measure = f"count(DISTINCT {SUBJECTS[count.distinct].expression})"
        conditions = [
            self.select_types(count.event),
            self.select_since(count.within),
            *self.select_filter(count.filter),
        ]
        leaf = self.gather(measure, conditions, count.same, condition)
        return self.add_observed(leaf, describe_count(condition), condition.threshold)

    def compile_sum(self, condition: SumCondition) -> _Node:
        of = condition.sum
        conditions = [
            self.select_types(of.event),
            self.select_since(of.within),
            *self.select_filter(of.filter),
        ]
        # Fractions of a cent are noise of the order of addition; a threshold must not turn on them.
        measure = f"round(coalesce(sum({of.of}), 0), 6)"
        leaf = self.gather(measure, conditions, of.same, condition)
        return self.add_observed(leaf, describe_sum(condition), condition.threshold)

    def compile_absent(self, condition: AbsentCondition) -> _Node:
        absent = condition.absent
        conditions = [
            self.select_types(absent.event),
            self.select_since(absent.within),
            *self.select_filter(absent.filter),
        ]
        name = f"condition_{len(self.leaves)}"
        query = f"SELECT DISTINCT customer_id FROM {EVENTS_TABLE} WHERE {' AND '.join(conditions)}"
        words = describe_absent(condition)
        number = self.add_leaf(_Leaf(f"{name}.customer_id IS NULL", query, "0"))
        evidence = _Evidence(f"met_{number}", f"observed_{number}", "0")
        return _Node(f"met_{number}", self.bind(words), words, (evidence,))

    def compile_sequence(self, condition: SequenceCondition) -> _Node:
        sequence = condition.sequence
        is_first = " AND ".join(
            [self.select_types(sequence.first), *self.select_filter(sequence.filter)]
        )
        is_next = self.select_types(sequence.following)
        keys = ["customer_id"] + ([SUBJECTS[sequence.same].expression] if sequence.same else [])
        known = [f"{key} IS NOT NULL" for key in keys[1:]]
        conditions = [self.select_since(sequence.within), f"({is_first} OR {is_next})", *known]
        # One ordered pass instead of a self-join: a frame by value also sees other events of the same instant.
        judged = (
            f"SELECT customer_id, occurred_at, event_id, {is_first} AS is_first, "
            f"min(CASE WHEN {is_next} THEN {_EVENT} END) OVER (PARTITION BY {', '.join(keys)} "
            "ORDER BY occurred_at RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING "
            f"EXCLUDE CURRENT ROW) AS next FROM {EVENTS_TABLE} WHERE {' AND '.join(conditions)}"
        )
        events = f"max({_EVENT}, {N_EVENT_IDS})"
        if sequence.then:
            selected = "next IS NOT NULL"
            events = f"list_concat({events}, max(next, {N_EVENT_IDS}))"
        else:
            wait = parse_duration(sequence.after or "")
            selected = f"occurred_at <= {self.bind(self.as_of - wait)} AND "
            if sequence.still:
                selected += "next IS NULL"
            else:
                selected += f"(next IS NULL OR next.occurred_at > occurred_at + {self.bind(wait)})"
        query = (
            f"SELECT customer_id, count(*) AS observed, {events} AS events FROM ({judged}) "
            f"WHERE is_first AND {selected} GROUP BY customer_id"
        )
        name = f"condition_{len(self.leaves)}"
        leaf = _Leaf(f"{name}.customer_id IS NOT NULL", query, f"{name}.observed", has_events=True)
        return self.add_observed(leaf, describe_sequence(condition), 1)

    def match_field(self, column: str, condition: FieldCondition) -> str:
        if isinstance(condition.is_, bool):
            test = f"{column} = {self.bind(condition.is_)}"
        elif condition.choices:
            test = f"list_contains({self.bind(list(condition.choices))}, {column})"
        else:
            test = self.compare(column, condition)
        # An unknown value fulfils no test.
        return f"coalesce({test}, false)"

    def compile_feature(self, condition: FeatureCondition) -> _Node:
        column = feature_column(condition.feature)
        met = self.match_field(column, condition)
        if FEATURES[condition.feature] != "number":
            return self.add_static(met, describe_field(condition.feature, condition))
        leaf = _Leaf(met, observed=column)
        return self.add_observed(leaf, describe_feature(condition), condition.threshold)

    def compile_attribute(self, condition: AttributeCondition) -> _Node:
        # What is known of a person stays out of reasons and values: the clause alone is told.
        met = self.match_field(attribute_column(condition.attribute), condition)
        return self.add_static(met, describe_field(condition.attribute, condition))

    def compile_reference(self, condition: SegmentCondition) -> _Node:
        members = f"SELECT customer_id FROM {MATCHES_TABLE} WHERE segment_id = "
        met = f"customers.customer_id IN ({members}{self.bind(condition.segment)})"
        return self.add_static(met, f"in segment {condition.segment}")

    def compile_condition(self, condition: Any) -> _Node:
        match condition:
            case AllOf(all=children):
                return _join(" AND ", "and", [self.compile_condition(c) for c in children])
            case AnyOf(any=children):
                return _join(" OR ", "or", [self.compile_condition(c) for c in children])
            case NotOf(not_=child):
                node = self.compile_condition(child)
                words = f"not ({node.words})"
                return _Node(f"NOT ({node.met})", self.bind(words), words)
            case _:
                return _COMPILERS[type(condition)](self, condition)


_COMPILERS: dict[type, Callable[[_Compiler, Any], _Node]] = {
    CountCondition: _Compiler.compile_count,
    SumCondition: _Compiler.compile_sum,
    SequenceCondition: _Compiler.compile_sequence,
    AbsentCondition: _Compiler.compile_absent,
    FeatureCondition: _Compiler.compile_feature,
    AttributeCondition: _Compiler.compile_attribute,
    SegmentCondition: _Compiler.compile_reference,
}


def feature_column(feature: str) -> str:
    """The column of `segment_customers` that holds a feature of the allow-list."""
    if feature not in FEATURES:
        raise KeyError(feature)
    return f"feature_{feature}"


def attribute_column(attribute: str) -> str:
    """The column of `segment_customers` that holds an attribute of the allow-list."""
    if attribute not in ATTRIBUTES:
        raise KeyError(attribute)
    return f"attribute_{attribute}"


def compile_segment(segment: Segment, as_of: datetime) -> CompiledSegment:
    """Compile a rule to a query that returns its members at `as_of`.

    Args:
        segment: the rule.
        as_of: the instant that windows end at (exclusive), with a time zone.

    Returns:
        A query of customer_id, segment_id, rule_version, reason, observed_value, threshold, event_ids: one row a
        member, in no order; and its named parameters.
    """
    compiler = _Compiler(as_of.astimezone(UTC))
    node = compiler.compile_condition(segment.where)
    queries = [f"condition_{n} AS ({leaf.query})" for n, leaf in _with_query(compiler)]
    joins = [
        f"LEFT JOIN condition_{n} ON condition_{n}.customer_id = customers.customer_id"
        for n, _ in _with_query(compiler)
    ]
    columns = ["customers.customer_id"]
    for n, leaf in enumerate(compiler.leaves):
        columns.append(f"{leaf.met} AS met_{n}")
        if leaf.observed:
            columns.append(f"{leaf.observed} AS observed_{n}")
        if leaf.has_events:
            columns.append(f"condition_{n}.events AS events_{n}")
    judged = f"SELECT {', '.join(columns)} FROM {CUSTOMERS_TABLE} AS customers {' '.join(joins)}"
    sql = (
        f"WITH {', '.join([*queries, f'judged AS ({judged})'])} "
        f"SELECT customer_id, {compiler.bind(segment.id)} AS segment_id, "
        f"{compiler.bind(segment.rule_version)} AS rule_version, {node.reason} AS reason, "
        f"{_choose(node.evidence, 'observed')} AS observed_value, "
        f"{_choose(node.evidence, 'threshold')} AS threshold, "
        f"{_list_event_ids(node.evidence)} AS event_ids FROM judged WHERE {node.met}"
    )
    # Below `not` a clause's observed number is not told, and DuckDB refuses values without a place.
    used = set(re.findall(r"\$(p\d+)", sql))
    return CompiledSegment(sql, {k: v for k, v in compiler.parameters.items() if k in used})


def _with_query(compiler: _Compiler) -> list[tuple[int, _Leaf]]:
    return [(n, leaf) for n, leaf in enumerate(compiler.leaves) if leaf.query]


def _join(operator: str, word: str, nodes: list[_Node]) -> _Node:
    """Put nodes together; only those that hold give reasons and evidence."""
    if len(nodes) == 1:
        return nodes[0]
    is_any = word == "or"
    reasons = [
        f"CASE WHEN {node.met} THEN {node.reason} END" if is_any else node.reason for node in nodes
    ]
    met = f"({operator.join(node.met for node in nodes)})"
    evidence = tuple(
        _Evidence(f"({node.met}) AND {item.when}", item.observed, item.threshold, item.events)
        for node in nodes
        for item in node.evidence
    )
    words = f" {word} ".join(node.words for node in nodes)
    return _Node(met, f"concat_ws(' and ', {', '.join(reasons)})", f"({words})", evidence)


def _format_number(column: str) -> str:
    """SQL of a number's text: whole numbers bare, others with two decimals."""
    number = f"CAST({column} AS DOUBLE)"
    form = f"CASE WHEN {number} = floor({number}) THEN '%.0f' ELSE '%.2f' END"
    return f"printf({form}, {number})"


def _choose(evidence: tuple[_Evidence, ...], part: str) -> str:
    """SQL of the first clause that speaks for the member, so that value and threshold belong together."""
    if not evidence:
        return "CAST(NULL AS DOUBLE)"
    cases = " ".join(f"WHEN {item.when} THEN {getattr(item, part)}" for item in evidence)
    return f"CAST(CASE {cases} END AS DOUBLE)"


def _list_event_ids(evidence: tuple[_Evidence, ...]) -> str:
    """SQL of the latest events of all clauses that speak for the member, latest first."""
    lists = [
        f"coalesce(CASE WHEN {item.when} THEN {item.events} END, [])"
        for item in evidence
        if item.events
    ]
    if not lists:
        return "CAST([] AS VARCHAR[])"
    merged = f"list_reverse_sort(list_distinct(flatten([{', '.join(lists)}])))[1:{N_EVENT_IDS}]"
    return f"[event.event_id FOR event IN {merged}]"
