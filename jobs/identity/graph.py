"""Which identifiers are one person's: the components of a graph of links, with brakes, and how each node is reached.

If every link were believed, whoever shares a mailbox, a telephone or a computer would become one person. So the kinds of
identifiers are ordered, the surer first (user, e-mail, telephone, device), and the components grow in as many steps:

1. What a person decided (`MANUAL`) joins, and what is stated (`ALIAS`, `MATCH`) of anything but a device.
2. Of the e-mail addresses, then of the telephones, then of the devices, each is looked at with all its other links. The
   components so far are persons, but for those of devices alone. Where the identifier would join too many of them, or some
   that differ in what makes a person, all these links are cut: half of them left, they would join the same people through
   a telephone.
3. What is left joins: a link in the step of its weaker end, so that nothing joins persons before it is looked at.

Everything depends on the sets alone, neither on the order of the links nor on the numbers of the nodes. Nothing here touches
disk or clock, and nothing loops over nodes or links in Python.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

Bools = npt.NDArray[np.bool_]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_NO_REASON = 127  # above every `Cut`: the least of two reasons is the one to tell


class Kind(IntEnum):
    """What an identifier is of; the lower, the surer it is one person's."""

    USER = 0
    EMAIL = 1
    PHONE = 2
    DEVICE = 3


class Evidence(IntEnum):
    """What told two identifiers together; of links that are known equally early, the lower goes first."""

    MANUAL = 0  # a person's decision
    ALIAS = 1  # the source knows it
    EMAIL = 2
    PHONE = 3
    LOGIN = 4
    ORDER = 5
    MATCH = 6  # found by likeness


class Cut(IntEnum):
    """Why a link joins nobody; where several brakes hold one identifier, the lower is told."""

    NONE = 0
    SPLIT = 1  # a person decided
    TOO_MANY_PERSONS = 2
    CONFLICTING_PROFILES = 3  # the persons have different names or years of birth
    CONFLICTING_EMAILS = 4  # a telephone's persons have accounts with different e-mail addresses
    TWO_PLACES = 5  # given from outside, as are those below
    SHARED_ADDRESS = 6
    IMPROBABLE = 7  # a match below the threshold


@dataclass(frozen=True)
class Nodes:
    """Identifiers, an array of length n a column.

    Attributes:
        kinds: `Kind` of each.
        first_known: microseconds since 1970.
        ranks: 0 to n - 1, their places in the order of their texts; they break ties.
        profile_a: code of the name that an account is in, -1 where unknown and where there is no account.
        profile_b: code of the year of birth, likewise.
    """

    kinds: Int8s
    first_known: Int64s
    ranks: Int64s
    profile_a: Int64s
    profile_b: Int64s


@dataclass(frozen=True)
class Links:
    """Pairs of identifiers that were told together, an array of length m a column.

    A pair may be linked several times, and a node with itself; the direction means nothing.

    Attributes:
        left: numbers of nodes, from 0.
        right: numbers of nodes.
        evidence: `Evidence` of each.
        known_at: since when it is known, microseconds since 1970.
        given_cut: `Cut` that was decided elsewhere, 0 for none. Of a `MANUAL` link only `SPLIT` is obeyed.
    """

    left: Int32s
    right: Int32s
    evidence: Int8s
    known_at: Int64s
    given_cut: Int8s


class BrakeConfig(BaseModel, frozen=True, extra="forbid"):
    """How many persons an identifier may join before it is taken for one that they share."""

    # Accounts of one person: a number that was forgotten, one of the old shop, one of an app.
    max_persons_per_email: int = Field(default=3, ge=1)
    # An account and an order as a guest; a third is a household or an office.
    max_persons_per_phone: int = Field(default=2, ge=1)
    # Two people at one computer are seen daily. Who logs in names the visit, and needs no link.
    max_persons_per_device: int = Field(default=1, ge=1)
    enabled: bool = True  # off: only given cuts are obeyed, to see what the brakes do


@dataclass(frozen=True)
class Resolution:
    """Whose each identifier is, and what became of each link.

    A person's anchor is the oldest of its surest identifiers: its account, if there is one. What is known of the person at an
    earlier time is what was connected with the anchor then, so that a device of long ago, which becomes the root when its
    owner first signs in on it, does not take the account's past away.

    Attributes:
        roots: int32[n], the oldest node of the component (ties: the surer kind, then the lower rank), whose text is the id.
        linked_at: int64[n], the earliest time at which the node is known to be connected with its anchor, microseconds
            since 1970; of an anchor, its `first_known`.
        last_link: int32[n], the last link on the way that is complete the earliest from the anchor to the node; -1 for
            anchors. Of links that differ in nothing but their number, any may stand here.
        cut: int8[m], `Cut` of each link.
    """

    roots: Int32s
    linked_at: Int64s
    last_link: Int32s
    cut: Int8s


def resolve(nodes: Nodes, links: Links, brakes: BrakeConfig) -> Resolution:
    """Find the persons of a graph of identifiers.

    Args:
        nodes: n identifiers; those without links are persons of their own.
        links: m links between them.
        brakes: bounds of what one identifier may join.

    Returns:
        Roots, times and last links of the nodes in their order, cuts of the links in theirs.
    """
    cut, groups = _join_persons(nodes, links, brakes)
    roots = _find_first(groups, nodes.first_known, nodes.kinds, nodes.ranks)
    anchors = _find_first(groups, nodes.kinds, nodes.first_known, nodes.ranks)
    linked_at, last_link = _find_ways(nodes, links, cut, anchors)
    return Resolution(roots, linked_at, last_link, cut)


def _join_persons(nodes: Nodes, links: Links, brakes: BrakeConfig) -> tuple[Int8s, Int32s]:
    """Cut what the brakes forbid; return the cuts of the links, and the component of each node over the others."""
    is_manual = links.evidence == Evidence.MANUAL
    cut = links.given_cut.copy()
    cut[is_manual & (cut != Cut.SPLIT)] = Cut.NONE
    groups = np.arange(len(nodes.kinds), dtype=np.int32)
    if not brakes.enabled:
        return cut, _join(groups, links, cut == Cut.NONE)
    steps = np.maximum(nodes.kinds[links.left], nodes.kinds[links.right])
    is_stated = (links.evidence == Evidence.ALIAS) | (links.evidence == Evidence.MATCH)
    steps[is_manual | (is_stated & (steps < Kind.DEVICE))] = Kind.USER
    groups = _join(groups, links, (cut == Cut.NONE) & (steps == Kind.USER))
    is_decided = np.zeros(len(groups), dtype=bool)
    for ends in (links.left, links.right):
        is_decided[ends[is_manual & (cut == Cut.NONE)]] = True
    for kind, max_persons in (
        (Kind.EMAIL, brakes.max_persons_per_email),
        (Kind.PHONE, brakes.max_persons_per_phone),
        (Kind.DEVICE, brakes.max_persons_per_device),
    ):
        is_open = (cut == Cut.NONE) & (steps >= kind)
        units = np.arange(len(groups), dtype=np.int32)
        if kind == Kind.DEVICE:  # linked devices are one device under several names
            is_same = nodes.kinds[links.left] == nodes.kinds[links.right]
            units = _join(units, links, is_open & is_same)
        shared, persons = _find_shared(kind, nodes, links, is_open, units, groups, is_decided)
        reasons = _find_reasons(kind, max_persons, nodes, groups, shared, persons)
        found = np.minimum(reasons[units[links.left]], reasons[units[links.right]])
        is_braked = is_open & (found < _NO_REASON)
        cut[is_braked] = found[is_braked]
        groups = _join(groups, links, (cut == Cut.NONE) & (steps == kind))
    return cut, groups


def _join(groups: Int32s, links: Links, is_open: Bools) -> Int32s:
    """The components that open links make of groups, numbered from 0."""
    n_groups = int(groups.max(initial=-1)) + 1
    left, right = groups[links.left[is_open]], groups[links.right[is_open]]
    graph = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(n_groups, n_groups))
    _, joined = connected_components(graph, directed=False)
    return cast(Int32s, joined[groups])


def _find_shared(
    kind: Kind,
    nodes: Nodes,
    links: Links,
    is_open: Bools,
    units: Int32s,
    groups: Int32s,
    is_decided: Bools,
) -> tuple[Int64s, Int64s]:
    """Distinct pairs, in their order, of a unit of the kind and a person to whom open links lead, where these are several.

    The group of the identifier itself is one of them if somebody surer is in it already, or it is the number of an account.
    But what a person decided must not set off the very brake that it overrules.
    """
    is_person = _mark_groups(groups, nodes.kinds != Kind.DEVICE)
    has_profile = (nodes.profile_a >= 0) | (nodes.profile_b >= 0)
    is_taken = _mark_groups(groups, (nodes.kinds < kind) | has_profile)
    pairs = []
    for ends, other_ends in ((links.left, links.right), (links.right, links.left)):
        is_here = is_open & (nodes.kinds[ends] == kind)
        identifiers = ends[is_here]
        own, other = groups[identifiers], groups[other_ends[is_here]]
        is_counted = is_taken[own] & ~is_decided[identifiers]
        for found in (own, other):
            is_told = np.where(found == own, is_counted, is_person[found])
            unit = units[identifiers[is_told]].astype(np.int64)
            pairs.append(unit * len(groups) + found[is_told])
    keys = np.concatenate(pairs)
    del pairs
    keys.sort()  # np.unique would hash them, which takes several times as long
    keys = keys[np.diff(keys, prepend=-1) > 0]
    shared, persons = np.divmod(keys, max(len(groups), 1))
    is_several = np.bincount(shared)[shared] > 1
    return shared[is_several], persons[is_several]


def _mark_groups(groups: Int32s, is_marked: Bools) -> Bools:
    """Which groups hold a marked node; as long as there are nodes."""
    marks = np.zeros(len(groups), dtype=bool)
    marks[groups[is_marked]] = True
    return marks


def _find_reasons(
    kind: Kind, max_persons: int, nodes: Nodes, groups: Int32s, shared: Int64s, persons: Int64s
) -> Int8s:
    """The `Cut` that each unit's links deserve, `_NO_REASON` for none; of several the least, which is set last."""
    reasons = np.full(len(groups), _NO_REASON, dtype=np.int8)
    has_email = _mark_groups(groups, nodes.kinds == Kind.EMAIL)[persons]
    has_user = _mark_groups(groups, nodes.kinds == Kind.USER)[persons]
    if kind == Kind.PHONE:
        reasons[_find_crowded(shared[has_user & has_email], 1)] = Cut.CONFLICTING_EMAILS
    if kind != Kind.DEVICE:
        for codes in (nodes.profile_a, nodes.profile_b):
            contradicted = _find_contradicted(shared, persons, groups, codes)
            reasons[contradicted] = Cut.CONFLICTING_PROFILES
    crowds = [shared]
    if kind == Kind.EMAIL:
        # Telephones are counted apart: a later step may give them to the account.
        crowds = [shared[has_user | has_email], shared[~(has_user | has_email)]]
    for crowd in crowds:
        reasons[_find_crowded(crowd, max_persons)] = Cut.TOO_MANY_PERSONS
    return reasons


def _find_crowded(shared: Int64s, max_persons: int) -> Int64s:
    """Units with more persons."""
    units, counts = np.unique(shared, return_counts=True)
    return units[counts > max_persons]


def _find_contradicted(shared: Int64s, persons: Int64s, groups: Int32s, codes: Int64s) -> Int64s:
    """Units with two persons who have two different known codes."""
    known = np.flatnonzero(codes >= 0)
    least = np.full(len(groups), np.iinfo(np.int64).max)
    np.minimum.at(least, groups[known], codes[known])
    most = np.full(len(groups), -1)
    np.maximum.at(most, groups[known], codes[known])
    is_known = most[persons] >= 0
    persons = persons[is_known]
    units, starts, counts = np.unique(shared[is_known], return_index=True, return_counts=True)
    lowest = np.minimum.reduceat(least[persons], starts)
    highest = np.maximum.reduceat(most[persons], starts)
    # Several persons and several codes: however these are spread, two of the persons differ.
    return units[(counts > 1) & (lowest < highest)]


def _find_first(groups: Int32s, *keys: Int8s | Int64s) -> Int32s:
    """The node of each node's group that comes first by some keys, the first key counting most."""
    found = np.arange(len(groups), dtype=np.int32)
    for values in keys:
        least = np.full(len(groups), np.iinfo(values.dtype).max)
        np.minimum.at(least, groups[found], values[found])
        found = found[values[found] == least[groups[found]]]
    firsts = np.empty_like(groups)
    firsts[groups[found]] = found
    return firsts[groups]


def _find_ways(nodes: Nodes, links: Links, cut: Int8s, anchors: Int32s) -> tuple[Int64s, Int32s]:
    """When each node is first connected with its anchor, and by which last link (-1 for anchors).

    The way whose latest link is the earliest runs in the minimum spanning tree (Hu, "The maximum capacity route problem",
    Operations Research 9, 1961). All nodes go along it together, and look twice as far towards their anchors at each turn.
    """
    tree = _span(nodes, links, cut)
    left, right = links.left[tree], links.right[tree]
    parents = _find_parents(left, right, anchors)
    children = np.where(parents[right] == left, right, left)
    last_link = np.full(len(anchors), -1, dtype=np.int32)
    last_link[children] = tree
    linked_at = np.full(len(anchors), np.iinfo(np.int64).min)
    linked_at[children] = links.known_at[tree]
    while not np.array_equal(parents, anchors):
        np.maximum(linked_at, linked_at[parents], out=linked_at)
        parents = parents[parents]
    is_anchor = last_link < 0
    linked_at[is_anchor] = nodes.first_known[is_anchor]
    return linked_at, last_link


def _span(nodes: Nodes, links: Links, cut: Int8s) -> Int32s:
    """The links of the minimum spanning forest, the earlier first: by time, evidence, and ranks of the ends."""
    kept = np.flatnonzero(cut == Cut.NONE).astype(np.int32)
    ranks = nodes.ranks[links.left[kept]], nodes.ranks[links.right[kept]]
    pairs = np.minimum(*ranks) << 32 | np.maximum(*ranks)  # a rank is less than n, and n an int32
    kept = kept[np.lexsort((pairs, links.evidence[kept], links.known_at[kept]))]
    del ranks, pairs
    low = np.minimum(links.left[kept], links.right[kept])
    high = np.maximum(links.left[kept], links.right[kept])
    # Of a pair, only the first link: scipy would add up their weights. And it takes weight 0 for no link.
    _, first = np.unique(low.astype(np.int64) * len(nodes.ranks) + high, return_index=True)
    n_nodes = len(nodes.ranks)
    graph = coo_array((first + 1.0, (low[first], high[first])), shape=(n_nodes, n_nodes))
    tree = minimum_spanning_tree(graph.tocsr(), overwrite=True)
    return cast(Int32s, kept[tree.data.astype(np.int64) - 1])


def _find_parents(left: Int32s, right: Int32s, anchors: Int32s) -> Int32s:
    """The next node towards its anchor of each node of a forest; of an anchor, itself."""
    n_nodes = len(anchors)
    tops = np.flatnonzero(anchors == np.arange(n_nodes)).astype(np.int32)
    # One more node above all anchors, so that one search visits every tree.
    rows = np.concatenate([left, np.full(len(tops), n_nodes, dtype=np.int32)])
    columns = np.concatenate([right, tops])
    shape = (n_nodes + 1, n_nodes + 1)
    forest = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)
    _, parents = breadth_first_order(forest.tocsr(), n_nodes, directed=False)
    parents = parents[:n_nodes]
    parents[tops] = tops
    return cast(Int32s, parents)
