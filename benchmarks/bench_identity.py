"""How fast identifiers become persons: `resolve` on the identifiers of a made-up shop.

Accounts with an e-mail address, mostly a telephone, and three devices; guests; devices of which nothing else is known. Some
share: a computer, a household's telephone, the address of a call centre. Goals for 10 million links: a minute, and 4 GiB
with the graph itself.
"""

import argparse
import resource
import statistics
import sys
import time

import numpy as np

from jobs.identity.graph import BrakeConfig, Cut, Evidence, Kind, Links, Nodes, resolve

DEFAULT_LINKS = 10_000_000
GOAL_SECONDS = 60
GOAL_GIB = 4
LINKS_PER_ACCOUNT = 8.2  # what `make_graph` tells of one
DEVICES_PER_ACCOUNT = 3
HISTORY = 2 * 365 * 86_400 * 1_000_000  # microseconds: two years


def make_graph(n_links: int, seed: int) -> tuple[Nodes, Links]:
    """About nine nodes to ten links, the numbers of nodes and the order of links shuffled."""
    random = np.random.default_rng(seed)
    n = max(10, int(n_links / LINKS_PER_ACCOUNT))
    most, half, few = slice(int(0.6 * n)), slice(int(0.4 * n)), slice(int(0.3 * n))
    users = np.arange(n)
    emails = np.where(random.random(n) < 0.001, 0, users)  # of the call centre
    phones = np.where(random.random(n) < 0.05, users // 2, users)  # of a household
    devices = np.arange(DEVICES_PER_ACCOUNT * n)
    is_shared = random.random(len(devices)) < 0.02
    devices[is_shared] = random.integers(len(devices), size=is_shared.sum())
    mobiles = devices[::DEVICES_PER_ACCOUNT]
    others = DEVICES_PER_ACCOUNT * n + users[few]  # devices of guests, and earlier cookies
    told = [
        (Evidence.EMAIL, Kind.USER, users, Kind.EMAIL, emails),
        (Evidence.PHONE, Kind.USER, users[most], Kind.PHONE, phones[most]),
        (Evidence.PHONE, Kind.EMAIL, emails[most], Kind.PHONE, phones[most]),
        (Evidence.LOGIN, Kind.DEVICE, devices, Kind.USER, users.repeat(DEVICES_PER_ACCOUNT)),
        (Evidence.ORDER, Kind.DEVICE, mobiles, Kind.USER, users),
        (Evidence.EMAIL, Kind.DEVICE, mobiles, Kind.EMAIL, emails),
        (Evidence.PHONE, Kind.DEVICE, mobiles[half], Kind.PHONE, phones[half]),
        (Evidence.EMAIL, Kind.DEVICE, others, Kind.EMAIL, n + users[few]),
        (Evidence.ALIAS, Kind.DEVICE, mobiles[few], Kind.DEVICE, others + n),
    ]
    sizes = {Kind.USER: n, Kind.EMAIL: 2 * n, Kind.PHONE: n, Kind.DEVICE: 5 * n}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    n_nodes = sum(sizes.values())
    numbers = random.permutation(n_nodes).astype(np.int32)
    order = random.permutation(sum(len(ids) for *_, ids in told))
    links = Links(
        left=np.concatenate([numbers[starts[kind] + ids] for _, kind, ids, _, _ in told])[order],
        right=np.concatenate([numbers[starts[kind] + ids] for *_, kind, ids in told])[order],
        evidence=np.repeat([row[0] for row in told], [len(row[2]) for row in told]).astype(np.int8)[order],
        known_at=random.integers(HISTORY, size=len(order)),
        given_cut=np.zeros(len(order), dtype=np.int8),
    )  # fmt: skip
    kinds = np.empty(n_nodes, dtype=np.int8)
    kinds[numbers] = np.repeat(list(sizes), list(sizes.values()))
    first_known = random.integers(HISTORY, size=n_nodes)
    for ends in (links.left, links.right):
        np.minimum.at(first_known, ends, links.known_at)
    is_user = kinds == Kind.USER
    nodes = Nodes(
        kinds=kinds,
        first_known=first_known,
        ranks=random.permutation(n_nodes),
        profile_a=np.where(is_user, random.integers(-1, n, size=n_nodes), -1),
        profile_b=np.where(is_user, random.integers(-1, 80, size=n_nodes), -1),
    )
    return nodes, links


def main() -> int:
    """Resolve several times and print the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=DEFAULT_LINKS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    nodes, links = make_graph(arguments.links, arguments.seed)
    seconds, cpu_seconds = [], []
    for _ in range(arguments.rounds):
        started, cpu_started = time.perf_counter(), time.process_time()
        found = resolve(nodes, links, BrakeConfig())
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
    n_links, median = len(links.left), statistics.median(seconds)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    n_persons = int((found.last_link < 0).sum())
    print(f"identifiers     {len(nodes.kinds):>12,}")
    print(f"links           {n_links:>12,}")
    print(f"persons         {n_persons:>12,}")
    for reason, count in zip(*np.unique(found.cut, return_counts=True), strict=True):
        print(f"  {Cut(reason).name.lower():22}{count:>12,} links")
    print(
        f"median seconds  {median:>12.1f}  (goal {GOAL_SECONDS} for {DEFAULT_LINKS:,} links; "
        f"{statistics.median(cpu_seconds):.1f} of processor time)"
    )
    print(f"links a second  {n_links / median:>12,.0f}")
    print(f"peak RSS        {peak_gib:>12.2f} GiB  (goal {GOAL_GIB}, the graph included)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
