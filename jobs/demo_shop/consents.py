"""What people agree to: the decisions that the CRM keeps, and the banner's answer in each line."""

import numpy as np
import polars as pl

from jobs.demo_shop.catalogue import Array
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.crm import timestamps
from jobs.demo_shop.customers import DAY_MS, NEVER_MS, PURPOSES, Customers
from jobs.demo_shop.events import Events
from jobs.demo_shop.identities import Accounts
from jobs.demo_shop.noise import N_BOTS

ANALYTICS = PURPOSES.index("analytics")
# What a line says of analytics.
UNANSWERED, GRANTED, REFUSED = 0, 1, 2
_GRANTED_AT_FIRST = 3


def draw_withdrawals(
    config: DemoShopConfig, customers: Customers, signed_up_ms: Array, rng: np.random.Generator
) -> Array:
    """Return when each customer takes back each consent, shape (n_customers, 3).

    In ms after the first midnight; NEVER_MS for consents that last, and for people without an
    account: a preference centre does not know them.
    """
    days = customers.withdrawn_days
    withdrawn_ms = days * DAY_MS + rng.integers(0, DAY_MS, days.shape)
    # Who signs up after the drawn day, or never agreed, has nothing to withdraw.
    leaves = customers.granted & (withdrawn_ms > signed_up_ms[:, None] + DAY_MS)
    leaves &= withdrawn_ms < config.n_days * DAY_MS
    return np.where(leaves, withdrawn_ms, NEVER_MS)


def answer_banner(
    config: DemoShopConfig,
    customers: Customers,
    events: Events,
    withdrawn_ms: Array,
    rng: np.random.Generator,
) -> Array:
    """Return what each event's line says of analytics: UNANSWERED, GRANTED or REFUSED."""
    granted = customers.granted[:, ANALYTICS]
    leaves = withdrawn_ms[:, ANALYTICS] < NEVER_MS
    overlooks = granted & ~leaves & (rng.random(len(customers)) >= config.banner_answer_rate)
    answers = np.select(
        [overlooks, leaves, granted], [UNANSWERED, _GRANTED_AT_FIRST, GRANTED], REFUSED
    )
    answers = np.concatenate([answers, np.full(N_BOTS, UNANSWERED)]).astype(np.uint8)
    found = answers[events.customers]
    rows = np.flatnonzero(found == _GRANTED_AT_FIRST)
    until_ms = withdrawn_ms[events.customers[rows], ANALYTICS]
    found[rows] = np.where(events.occurred_ms[rows] < until_ms, GRANTED, REFUSED)
    return found


def consents_frame(
    config: DemoShopConfig, customers: Customers, accounts: Accounts, withdrawn_ms: Array
) -> pl.DataFrame:
    """Return `crm/consents.csv`: one row a decision, ordered by user_id, purpose and time."""
    parts = []
    for number, purpose in enumerate(PURPOSES):
        left_ms = withdrawn_ms[accounts.customers, number]
        # Who has withdrawn does not agree when registering again.
        granted = customers.granted[accounts.customers, number] & (left_ms > accounts.opened_ms)
        leaves = granted & (left_ms < NEVER_MS)
        source = "unsubscribe_link" if purpose == "marketing" else "preference_centre"
        ids, n_leaving = np.array(accounts.user_ids), int(leaves.sum())
        parts += [
            _decisions(config, ids, purpose, granted, "signup_form", accounts.opened_ms),
            _decisions(
                config, ids[leaves], purpose, np.zeros(n_leaving, dtype=bool), source,
                left_ms[leaves],
            ),
        ]  # fmt: skip
    return pl.concat(parts).sort("user_id", "purpose", "recorded_at")


def _decisions(
    config: DemoShopConfig, ids: Array, purpose: str, granted: Array, source: str, at_ms: Array
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": pl.Series(ids.tolist(), dtype=pl.String),
            "purpose": pl.Series([purpose] * len(ids), dtype=pl.String),
            "state": pl.Series(np.where(granted, "granted", "withdrawn").tolist(), dtype=pl.String),
            "source": pl.Series([source] * len(ids), dtype=pl.String),
            "recorded_at": timestamps(config, at_ms),
        }
    )
