"""How a visit goes on: the Markov chain of each kind of customer, with and without intent."""

import numpy as np

from jobs.demo_shop.catalogue import Array, draw_table
from jobs.demo_shop.customers import ARCHETYPES, N_PROPENSITIES, Archetype
from jobs.demo_shop.events import Step

N_STATES = Step.EXIT + 1


def transition_tables() -> Array:
    """Return next states, shape (archetype x intent x propensity x state, 1024), one draw each."""
    rows = [
        draw_table(np.array(_transitions(archetype, wanting, propensity)[state]), 1024)
        for archetype in ARCHETYPES
        for wanting in (False, True)
        for propensity in range(N_PROPENSITIES)
        for state in range(N_STATES)
    ]
    return np.array(rows, dtype=np.uint8)


def _transitions(archetype: Archetype, wanting: bool, propensity: int) -> list[list[float]]:
    """Return the weights from each state to page, list, search, view, ..., order, exit."""
    # Intent shows in the clicks before it shows in orders: that is what a model can learn.
    eager = (2.0 if wanting else 0.6) * (0.8, 1.0, 1.25)[propensity]
    add = min(archetype.adds_per_view * eager, 0.6)
    leave = archetype.exits_per_view * (0.8 if wanting else 1.1)
    browse = max(1 - add - archetype.wishes_per_view - leave, 0.05)
    lists = archetype.list_taste * 0.30
    pay = min(archetype.checkouts_per_add * (1.15 if wanting else 0.75), 0.75)
    done = min(archetype.orders_per_checkout * (1.05 if wanting else 0.9), 0.95)
    search = 0.22 if wanting else 0.12
    look = browse / (0.45 + lists + 0.08 + 0.02)
    return [
        # page, list, search, view, wish, add, remove, checkout, order, exit
        [0.05, 0.42, search, 0.15, 0, 0, 0, 0, 0, 0.22],
        [0.02, 0.20, 0.04, 0.58, 0, 0, 0, 0, 0, 0.16],
        [0.02, 0.08, 0.12, 0.63, 0, 0, 0, 0, 0, 0.15],
        [0.02 * look, lists * look, 0.08 * look, 0.45 * look,
         archetype.wishes_per_view, add, 0, 0, 0, leave],
        [0.02, 0.25, 0.05, 0.45, 0, 0, 0, 0, 0, 0.23],
        [0, 0.10, 0.04, 0.30, 0, 0, 0.07, pay, 0, 0.49 - 0.4 * pay],
        [0.02, 0.20, 0.05, 0.45, 0, 0, 0, 0, 0, 0.28],
        [0, 0.02, 0, (1 - done) * 0.3, 0, 0, 0, 0, done, (1 - done) * 0.7],
        [0.10, 0.05, 0, 0.03, 0, 0, 0, 0, 0, 0.82],
        [0.34, 0.22 * archetype.list_taste, search, 0.26, 0, 0, 0, 0, 0, 0],
    ]  # fmt: skip
