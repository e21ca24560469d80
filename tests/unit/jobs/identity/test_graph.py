"""Persons of small graphs, told as lines, against literal results and against the rules said again, slowly, with sets."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations, product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.identity.graph import BrakeConfig, Cut, Evidence, Kind, Links, Nodes, resolve

KINDS = {"u": Kind.USER, "e": Kind.EMAIL, "p": Kind.PHONE, "d": Kind.DEVICE}
OFF = BrakeConfig(enabled=False)


@dataclass(frozen=True)
class Link:
    left: str
    right: str
    evidence: Evidence
    known_at: int
    given_cut: Cut = Cut.NONE

    @property
    def order(self):
        return self.known_at, self.evidence, *sorted([self.left, self.right])


@dataclass(frozen=True)
class Graph:
    """Identifiers by their texts, the kind being the first letter; since when each is known; names and years of birth."""

    first_known: dict[str, int]
    links: tuple[Link, ...]
    names: dict[str, int] = field(default_factory=dict)
    years: dict[str, int] = field(default_factory=dict)

    def with_links(self, *links):
        return Graph(self.first_known, (*self.links, *links), self.names, self.years)


@dataclass(frozen=True)
class Persons:
    """What `resolve` says, in texts."""

    roots: dict[str, str]
    linked_at: dict[str, int]
    last_links: dict[str, tuple | None]
    cuts: dict[tuple, Cut]

    @property
    def groups(self):
        found = defaultdict(set)
        for text, root in self.roots.items():
            found[root].add(text)
        return {frozenset(group) for group in found.values()}


def resolve_graph(graph, brakes, texts=None):
    """Number the identifiers in the order of `texts`, resolve, and name them again."""
    texts = list(graph.first_known) if texts is None else texts
    numbers = {text: number for number, text in enumerate(texts)}
    ranks = {text: rank for rank, text in enumerate(sorted(texts))}
    nodes = Nodes(
        kinds=np.array([KINDS[text[0]] for text in texts], dtype=np.int8),
        first_known=np.array([graph.first_known[text] for text in texts], dtype=np.int64),
        ranks=np.array([ranks[text] for text in texts], dtype=np.int64),
        profile_a=np.array([graph.names.get(text, -1) for text in texts], dtype=np.int64),
        profile_b=np.array([graph.years.get(text, -1) for text in texts], dtype=np.int64),
    )
    links = Links(
        left=np.array([numbers[link.left] for link in graph.links], dtype=np.int32),
        right=np.array([numbers[link.right] for link in graph.links], dtype=np.int32),
        evidence=np.array([link.evidence for link in graph.links], dtype=np.int8),
        known_at=np.array([link.known_at for link in graph.links], dtype=np.int64),
        given_cut=np.array([link.given_cut for link in graph.links], dtype=np.int8),
    )
    found = resolve(nodes, links, brakes)
    assert [found.roots.dtype, found.linked_at.dtype, found.last_link.dtype, found.cut.dtype] == [
        np.int32,
        np.int64,
        np.int32,
        np.int8,
    ]
    return Persons(
        roots={text: texts[root] for text, root in zip(texts, found.roots, strict=True)},
        linked_at=dict(zip(texts, found.linked_at.tolist(), strict=True)),
        last_links={
            text: None if last < 0 else graph.links[last].order
            for text, last in zip(texts, found.last_link, strict=True)
        },
        cuts={
            (link.order, link.given_cut): Cut(cut)
            for link, cut in zip(graph.links, found.cut, strict=True)
        },
    )


def tell(lines, *, names=None, years=None):
    """A graph of lines such as `u1 e1 EMAIL`, each known a microsecond after the one before, and `first known` the same."""
    links = []
    first_known: dict[str, int] = {}
    for known_at, line in enumerate(lines):
        left, right, evidence, *cut = line.split()
        links.append(Link(left, right, Evidence[evidence], known_at, Cut[cut[0]] if cut else Cut.NONE))  # fmt: skip
        for text in (left, right):
            first_known.setdefault(text, known_at)
    return Graph(first_known, tuple(links), names or {}, years or {})


# The rules, said again without numpy.


def is_decided(link):
    return link.evidence == Evidence.MANUAL


def step_of(link):
    """The step at which a link joins."""
    kinds = {KINDS[link.left[0]], KINDS[link.right[0]]}
    is_stated = link.evidence in {Evidence.ALIAS, Evidence.MATCH} and Kind.DEVICE not in kinds
    return Kind.USER if is_decided(link) or is_stated else max(kinds)


def components(graph, links):
    """The component of each node."""
    net = nx.Graph()
    net.add_nodes_from(graph.first_known)
    net.add_edges_from((link.left, link.right) for link in links)
    return {text: frozenset(group) for group in nx.connected_components(net) for text in group}


def find_cuts(graph, brakes):
    cuts = [
        Cut.NONE if is_decided(link) and link.given_cut != Cut.SPLIT else link.given_cut
        for link in graph.links
    ]
    if not brakes.enabled:
        return cuts
    decided = {
        end
        for link, cut in zip(graph.links, cuts, strict=True)
        if is_decided(link) and cut == Cut.NONE
        for end in (link.left, link.right)
    }
    for kind, limit in (
        (Kind.EMAIL, brakes.max_persons_per_email),
        (Kind.PHONE, brakes.max_persons_per_phone),
        (Kind.DEVICE, brakes.max_persons_per_device),
    ):
        numbered = [pair for pair in enumerate(graph.links) if cuts[pair[0]] == Cut.NONE]
        former = components(graph, [link for _, link in numbered if step_of(link) < kind])
        open_links = [(number, link) for number, link in numbered if step_of(link) >= kind]
        same = [link for _, link in open_links if link.left[0] == link.right[0] == "d"]
        units = components(graph, same if kind == Kind.DEVICE else [])
        verdicts = defaultdict(set)
        for unit in {units[text] for text in graph.first_known if KINDS[text[0]] == kind}:
            at_unit = [
                (number, link) for number, link in open_links if {link.left, link.right} & unit
            ]
            persons = set()
            for _, link in at_unit:
                for end, other in ((link.left, link.right), (link.right, link.left)):
                    if end in unit:
                        persons |= find_persons(graph, kind, former, end, other, decided)
            for reason in find_reasons(graph, kind, limit, persons):
                for number, _ in at_unit:
                    verdicts[number].add(reason)
        for number, reasons in verdicts.items():
            cuts[number] = min(reasons)
    return cuts


def find_persons(graph, kind, former, end, other, decided):
    """Whom a link brings to its end."""
    own, found = former[end], set()
    has_surer = any(KINDS[text[0]] < kind for text in own)
    is_account = any(text in graph.names or text in graph.years for text in own)
    if (has_surer or is_account) and end not in decided:
        found.add(own)
    if former[other] != own and any(text[0] != "d" for text in former[other]):
        found.add(former[other])
    return found


def find_reasons(graph, kind, limit, persons):
    telephones = {person for person in persons if not any(text[0] in "ue" for text in person)}
    is_crowd = len(persons) > limit
    if kind == Kind.EMAIL:
        is_crowd = max(len(persons - telephones), len(telephones)) > limit
    if is_crowd:
        yield Cut.TOO_MANY_PERSONS
    if kind != Kind.DEVICE and any(
        codes[a] != codes[b]
        for one, another in combinations(persons, 2)
        for codes in (graph.names, graph.years)
        for a, b in product(one & codes.keys(), another & codes.keys())
    ):
        yield Cut.CONFLICTING_PROFILES
    accounts = [person for person in persons if {"u", "e"} <= {text[0] for text in person}]
    if kind == Kind.PHONE and len(accounts) > 1:
        yield Cut.CONFLICTING_EMAILS


def resolve_slowly(graph, brakes):
    """What `resolve` should say: components by networkx, times by trying all of them, ways in networkx' spanning tree."""
    cuts = find_cuts(graph, brakes)
    kept = sorted(
        (link for link, cut in zip(graph.links, cuts, strict=True) if cut == Cut.NONE),
        key=lambda link: link.order,
    )
    groups = components(graph, kept)
    roots = {
        text: min(group, key=lambda node: (graph.first_known[node], KINDS[node[0]], node))
        for text, group in groups.items()
    }
    anchors = {
        text: min(group, key=lambda node: (KINDS[node[0]], graph.first_known[node], node))
        for text, group in groups.items()
    }
    linked_at = {text: graph.first_known[text] for text in anchors.values()}
    for known_at in sorted({link.known_at for link in kept}):
        by_then = components(graph, [link for link in kept if link.known_at <= known_at])
        for text, anchor in anchors.items():
            if anchor in by_then[text]:
                linked_at.setdefault(text, known_at)
    net = nx.Graph()
    net.add_nodes_from(graph.first_known)
    for place, link in reversed(list(enumerate(kept))):
        net.add_edge(link.left, link.right, weight=place)
    forest = nx.minimum_spanning_tree(net)
    last_links = {}
    for text, anchor in anchors.items():
        way = nx.shortest_path(forest, anchor, text)
        last_links[text] = kept[forest.edges[way[-2:]]["weight"]].order if len(way) > 1 else None
    return Persons(
        roots,
        linked_at,
        last_links,
        {(link.order, link.given_cut): cut for link, cut in zip(graph.links, cuts, strict=True)},
    )


@st.composite
def graphs(draw, max_nodes=10, max_links=20):
    """Graphs of few nodes, with ties in all that can be equal."""
    letters = draw(st.lists(st.sampled_from("uuueeppdd"), min_size=1, max_size=max_nodes))
    texts = [f"{letter}{number}" for number, letter in enumerate(letters)]
    link = st.builds(
        Link,
        left=st.sampled_from(texts),
        right=st.sampled_from(texts),
        evidence=st.sampled_from([*Evidence, Evidence.EMAIL, Evidence.PHONE, Evidence.LOGIN] * 2 + [Evidence.ORDER]),
        known_at=st.integers(0, 6),
        given_cut=st.sampled_from([Cut.NONE] * 12 + [Cut.SPLIT, Cut.TWO_PLACES, Cut.SHARED_ADDRESS]),
    )  # fmt: skip
    codes = st.dictionaries(st.sampled_from(texts), st.integers(0, 1), max_size=4)
    return Graph(
        first_known={text: draw(st.integers(0, 3)) for text in texts},
        links=tuple(draw(st.lists(link, max_size=max_links))),
        names=draw(codes),
        years=draw(codes),
    )


limits = st.builds(
    BrakeConfig,
    max_persons_per_email=st.integers(1, 3),
    max_persons_per_phone=st.integers(1, 3),
    max_persons_per_device=st.integers(1, 3),
)
off = st.just(OFF)


@settings(max_examples=100, deadline=None)
@given(graph=graphs(), brakes=off)
def test_resolve_without_brakes_finds_the_components_of_networkx(graph, brakes):
    assert resolve_graph(graph, brakes) == resolve_slowly(graph, brakes)


@settings(max_examples=500, deadline=None)
@given(graph=graphs(), brakes=limits)
def test_resolve_with_brakes_follows_the_rules(graph, brakes):
    assert resolve_graph(graph, brakes) == resolve_slowly(graph, brakes)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), graph=graphs(), brakes=limits | off)
def test_resolve_depends_on_no_order(data, graph, brakes):
    texts = data.draw(st.permutations(list(graph.first_known)))
    turned = [
        Link(link.right, link.left, link.evidence, link.known_at, link.given_cut)
        for link in data.draw(st.permutations(graph.links))
    ]
    shuffled = Graph(graph.first_known, tuple(turned), graph.names, graph.years)

    assert resolve_graph(shuffled, brakes, texts) == resolve_graph(graph, brakes)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), graph=graphs(), brakes=limits | off)
def test_resolve_gives_the_same_whatever_the_batches(data, graph, brakes):
    whole = tell_by_links(graph, graph.links)
    batches = data.draw(st.lists(st.integers(0, 3), min_size=len(graph.links), max_size=len(graph.links)))  # fmt: skip
    arrived: list[Link] = []
    for batch in data.draw(st.permutations(range(4))):
        arrived += [link for link, its in zip(graph.links, batches, strict=True) if its == batch]
        found = resolve_graph(tell_by_links(graph, arrived), brakes)

    assert found == resolve_graph(whole, brakes)


def tell_by_links(graph, links):
    """What is known from some links: their identifiers, in the order in which they come, since the first link of each."""
    first_known: dict[str, int] = {}
    for link in links:
        for text in (link.left, link.right):
            first_known[text] = min(first_known.get(text, link.known_at), link.known_at)
    return Graph(first_known, tuple(links), graph.names, graph.years)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), graph=graphs())
def test_resolve_keeps_the_id_of_a_component_that_grows(data, graph):
    old = resolve_graph(graph, OFF)
    texts = [*graph.first_known, *(f"{letter}_new" for letter in KINDS)]
    later = st.builds(
        Link, st.sampled_from(texts), st.sampled_from(texts), st.sampled_from(Evidence), st.integers(7, 9)
    )  # fmt: skip
    links = data.draw(st.lists(later, max_size=6))
    first_known = dict.fromkeys(texts, 7) | graph.first_known

    new = resolve_graph(Graph(first_known, (*graph.links, *links)), OFF)

    for group in new.groups:
        former = {old.roots[text] for text in group if text in old.roots}
        eldest = min(former, key=lambda text: (first_known[text], KINDS[text[0]], text), default=None)  # fmt: skip
        assert eldest is None or {new.roots[text] for text in group} == {eldest}


@settings(max_examples=100, deadline=None)
@given(data=st.data(), graph=graphs(), brakes=limits | off)
def test_resolve_forgets_a_merge_that_was_split(data, graph, brakes):
    ends = [data.draw(st.sampled_from(sorted(graph.first_known))) for _ in range(2)]
    former = resolve_graph(graph, brakes)

    merged = resolve_graph(graph.with_links(Link(*ends, Evidence.MANUAL, 3)), brakes)
    split = Link(*ends, Evidence.MANUAL, 3, Cut.SPLIT)
    undone = resolve_graph(graph.with_links(split), brakes)

    assert merged.roots[ends[0]] == merged.roots[ends[1]]
    assert undone.cuts == former.cuts | {(split.order, Cut.SPLIT): Cut.SPLIT}
    assert (undone.roots, undone.linked_at, undone.last_links) == (former.roots, former.linked_at, former.last_links)  # fmt: skip


CROWD, PROFILES, EMAILS = Cut.TOO_MANY_PERSONS, Cut.CONFLICTING_PROFILES, Cut.CONFLICTING_EMAILS


@pytest.mark.parametrize(
    ("graph", "groups", "cuts"),
    [
        pytest.param(tell(["u1 e1 EMAIL", "u2 e1 EMAIL"]), ["u1 u2 e1"], {}, id="two accounts, one e-mail"),
        pytest.param(
            tell(["u1 e1 EMAIL", "u2 e1 EMAIL", "u3 e1 EMAIL"], names={"u1": 5, "u3": 5}),
            ["u1 u2 u3 e1"], {}, id="three accounts in one name",
        ),
        pytest.param(
            tell(["u1 e1 EMAIL", "u2 e1 EMAIL", "e1 p1 PHONE", "d1 e1 EMAIL", "d1 u1 LOGIN"], names={"u1": 5, "u2": 6}),
            ["u1 d1", "u2", "e1", "p1"], {"u1 e1": PROFILES, "u2 e1": PROFILES, "e1 p1": PROFILES, "d1 e1": PROFILES},
            id="two people with one e-mail, told by their names",
        ),
        pytest.param(
            tell(["u1 e1 EMAIL", "u2 e1 EMAIL"], years={"u1": 1970, "u2": 1996}),
            ["u1", "u2", "e1"], {"u1 e1": PROFILES, "u2 e1": PROFILES}, id="mother and daughter with one e-mail",
        ),
        pytest.param(
            tell(["u1 u2 ALIAS", "u1 e1 EMAIL", "u2 e1 EMAIL", "u3 e1 EMAIL"], names={"u1": 5, "u2": 6}),
            ["u1 u2 u3 e1"], {}, id="a new name of a known alias",
        ),
        pytest.param(
            tell([*(f"u{n} e1 EMAIL" for n in range(1, 5)), "d1 e1 EMAIL", "d1 u1 LOGIN", "e1 p1 PHONE", "u1 p1 PHONE"]),
            ["u1 p1 d1", "u2", "u3", "u4", "e1"],
            {"u1 e1": CROWD, "u2 e1": CROWD, "u3 e1": CROWD, "u4 e1": CROWD, "d1 e1": CROWD, "e1 p1": CROWD},
            id="the e-mail of a call centre, told of accounts",
        ),
        pytest.param(
            tell([f"p{n} e1 EMAIL" for n in range(1, 5)]),
            ["p1", "p2", "p3", "p4", "e1"], {f"p{n} e1": CROWD for n in range(1, 5)},
            id="the e-mail of a call centre, told of guests",
        ),
        pytest.param(
            tell(["e1 e9 EMAIL", "e2 e9 EMAIL", "e3 e9 EMAIL", "e4 e9 EMAIL"]),
            ["e1", "e2", "e3", "e4", "e9"], {f"e{n} e9": CROWD for n in range(1, 5)},
            id="the e-mail of a call centre, where e-mails are the numbers of accounts",
        ),
        pytest.param(
            tell(["u1 e1 EMAIL", "u2 e2 EMAIL", "u1 p1 PHONE", "u2 p1 PHONE"]),
            ["u1 e1", "u2 e2", "p1"], {"u1 p1": EMAILS, "u2 p1": EMAILS}, id="the telephone of a household",
        ),
        pytest.param(
            tell(["u1 p1 PHONE", "u2 p1 PHONE", "d1 p1 PHONE"], names={"u1": 5, "u2": 6}),
            ["u1", "u2", "d1", "p1"], {"u1 p1": PROFILES, "u2 p1": PROFILES, "d1 p1": PROFILES},
            id="the telephone of a household, told by their names",
        ),
        pytest.param(
            tell(["u1 e1 EMAIL", "u1 p1 PHONE", "e2 p1 PHONE"]), ["u1 e1 e2 p1"], {}, id="an order as a guest",
        ),
        pytest.param(
            tell(["e1 p1 PHONE", "e2 p1 PHONE", "e3 p1 PHONE"]),
            ["e1", "e2", "e3", "p1"], {"e1 p1": CROWD, "e2 p1": CROWD, "e3 p1": CROWD},
            id="the telephone of an office, told of guests",
        ),
        pytest.param(
            tell(["d1 u1 LOGIN", "d1 u2 LOGIN", "d2 u1 LOGIN", "d1 u2 ORDER"]),
            ["u1 d2", "u2", "d1"], {"d1 u1": CROWD, "d1 u2": CROWD}, id="the computer of a family",
        ),
        pytest.param(
            tell(["u1 e1 EMAIL", "d1 u1 LOGIN", "d1 e1 EMAIL", "d2 u1 LOGIN"]),
            ["u1 e1 d1 d2"], {}, id="the devices of one person",
        ),
        pytest.param(
            tell(["d1 d2 ALIAS", "d2 d3 ALIAS", "d1 u1 LOGIN", "d3 u2 LOGIN"]),
            ["u1", "u2", "d1", "d2", "d3"], {"d1 d2": CROWD, "d2 d3": CROWD, "d1 u1": CROWD, "d3 u2": CROWD},
            id="a shared device under three names",
        ),
        pytest.param(tell(["d1 d2 ALIAS", "d2 e1 ALIAS"]), ["d1 d2 e1"], {}, id="a newsletter's reader"),
        pytest.param(
            tell(["u1 u2 ALIAS", "u2 u3 ALIAS", "u3 u1 ALIAS", "u1 u1 ALIAS"]), ["u1 u2 u3"], {}, id="a cycle of aliases",
        ),
        pytest.param(
            tell(["u1 e1 EMAIL", "u2 e1 EMAIL", "u1 u2 MANUAL"], names={"u1": 5, "u2": 6}),
            ["u1 u2 e1"], {}, id="a decision that two names are one person's",
        ),
        pytest.param(
            tell(["d1 u1 LOGIN", "d1 u2 MANUAL", "d1 u2 LOGIN"]), ["u1 u2 d1"], {},
            id="a decision that names a person by their device",
        ),
        pytest.param(
            tell(["u1 e1 EMAIL", "u1 u2 MANUAL SHARED_ADDRESS", "u2 u3 MANUAL SPLIT", "u3 e1 EMAIL SPLIT"]),
            ["u1 u2 e1", "u3"], {"u2 u3": Cut.SPLIT, "u3 e1": Cut.SPLIT}, id="decisions and what is given",
        ),
        pytest.param(
            tell(["u1 e1 MATCH IMPROBABLE", "u2 e1 MATCH", "d1 u2 LOGIN TWO_PLACES", "d1 u1 LOGIN"]),
            ["u1 d1", "u2 e1"], {"u1 e1": Cut.IMPROBABLE, "d1 u2": Cut.TWO_PLACES}, id="cuts that are given",
        ),
    ],
)  # fmt: skip
def test_resolve_brakes(graph, groups, cuts):
    found = resolve_graph(graph, BrakeConfig())

    assert found.groups == {frozenset(group.split()) for group in groups}
    assert {" ".join(order[2:]): cut for (order, _), cut in found.cuts.items() if cut} == {
        " ".join(sorted(pair.split())): cut for pair, cut in cuts.items()
    }


def test_resolve_tells_since_when_and_by_what():
    graph = tell(["d1 e1 EMAIL", "u1 p1 PHONE", "u1 e1 EMAIL", "e1 p1 PHONE", "d1 u1 LOGIN"])

    found = resolve_graph(graph, BrakeConfig())

    assert found == Persons(
        roots=dict.fromkeys(["d1", "e1", "u1", "p1"], "e1"),
        linked_at={"e1": 2, "d1": 2, "u1": 1, "p1": 1},
        last_links={
            "e1": (2, Evidence.EMAIL, "e1", "u1"),
            "d1": (0, Evidence.EMAIL, "d1", "e1"),
            "u1": None,
            "p1": (1, Evidence.PHONE, "p1", "u1"),
        },
        cuts={(link.order, Cut.NONE): Cut.NONE for link in graph.links},
    )


def test_resolve_of_nothing_is_empty():
    assert resolve_graph(Graph({}, ()), BrakeConfig()) == Persons({}, {}, {}, {})


def test_resolve_without_links_leaves_each_alone():
    found = resolve_graph(Graph({"u1": 7, "d1": 8}, ()), BrakeConfig())

    assert found == Persons(
        {"u1": "u1", "d1": "d1"}, {"u1": 7, "d1": 8}, {"u1": None, "d1": None}, {}
    )


@pytest.mark.parametrize("brakes", [BrakeConfig(), OFF], ids=["brakes", "none"])
@pytest.mark.parametrize("shape", ["chain", "cycle", "star"])
def test_resolve_ten_thousand_identifiers_of_one_person(shape, brakes):
    number = np.arange(1, 10_000)
    former = np.zeros_like(number) if shape == "star" else number - 1
    left, right = number.astype(np.int32), former.astype(np.int32)
    known_at = number * 7919 % 10_007
    if shape == "cycle":
        left, right, known_at = np.append(left, left[-1]), np.append(right, 0), np.append(known_at, 10_007)  # fmt: skip
    n = len(number) + 1
    alone = np.full(n, -1)
    nodes = Nodes(np.zeros(n, dtype=np.int8), np.arange(n), np.arange(n)[::-1], alone, alone)
    aliases = np.full(len(left), Evidence.ALIAS, dtype=np.int8)
    links = Links(left, right, aliases, known_at, np.zeros(len(left), dtype=np.int8))

    found = resolve(nodes, links, brakes)

    latest = known_at[: n - 1] if shape == "star" else np.maximum.accumulate(known_at[: n - 1])
    assert found.roots.tolist() == [0] * n
    assert found.linked_at.tolist() == [0, *latest.tolist()]
    assert found.last_link.tolist() == list(range(-1, n - 1))
    assert not found.cut.any()
