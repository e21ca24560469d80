"""What the demo shop is asked for, and what it says that it made."""

import hashlib
from datetime import date, timedelta

from pydantic import BaseModel, Field

# Part of the digest: raise it whenever the same config would give other files, or a stale shop
# on somebody's disk would be taken for the current one.
GENERATOR_VERSION = 2


class DemoShopConfig(BaseModel, frozen=True, extra="forbid"):
    """Size, period and dirt of the demo shop, and what makes it hard to tell who is who there.

    Equal configs give byte-identical files. Rates of people are of all customers unless they say
    otherwise.
    """

    # Enough customers for six clusters of a few hundred; about 430,000 events, written in a second.
    n_customers: int = Field(default=3_000, ge=30)
    # Ten families of five items in each of twelve categories; fewer than 60 leaves a category bare.
    n_items: int = Field(default=600, ge=60)
    # Seven months: half a year of features and 30 days of labels fit inside the logs.
    n_days: int = Field(default=210, ge=28)
    # The logs end where this day ends, at 2026-07-01T00:00Z.
    last_day: date = date(2026, 6, 30)
    # Any number does; this one is the day after the logs.
    seed: int = Field(default=20260701, ge=0)
    # Recommendations and predictions are judged on the purchases of the following 30 days.
    truth_days: int = Field(default=30, ge=1)
    # At-least-once delivery of an ordinary collector: about one line in a hundred comes twice.
    duplicate_rate: float = Field(default=0.01, ge=0, le=0.2)
    # Rare enough to be overlooked, frequent enough that each kind occurs in a small run.
    broken_rate: float = Field(default=0.003, ge=0, le=0.2)
    # What is left of crawlers after a CDN has taken most of them away.
    bot_rate: float = Field(default=0.01, ge=0, le=0.2)
    # Phones that were offline: received hours to two days after the event.
    late_rate: float = Field(default=0.005, ge=0, le=0.2)
    # Of the accounts: a forgotten password, and people register again. Few shops know how many;
    # this many make forty in the default shop, enough to see whether they are found.
    second_account_rate: float = Field(default=0.015, ge=0, le=0.2)
    # Who shares an e-mail address with a partner: mostly older couples, whose two accounts are two
    # people's all the same.
    couple_rate: float = Field(default=0.01, ge=0, le=0.2)
    # Who shares a telephone number with a housemate: those who gave the one on the wall.
    shared_phone_rate: float = Field(default=0.02, ge=0, le=0.2)
    # Who signs in now and then on another one's device: the tablet on the sofa.
    shared_device_rate: float = Field(default=0.03, ge=0, le=0.2)
    # Who signs in on a terminal of one of the shop's branches: about three terminals by default.
    kiosk_rate: float = Field(default=0.05, ge=0, le=0.4)
    # Who gave the address of a company (info@...): rare in a shop for people at home.
    company_address_rate: float = Field(default=0.003, ge=0, le=0.2)
    # Of the orders: those that an agent types, with an address of the agent's own. Dozens of
    # customers by default, so that joining them all would be seen.
    call_centre_rate: float = Field(default=0.005, ge=0, le=0.2)
    # Of the accounts: the field is not compulsory.
    phone_rate: float = Field(default=0.6, ge=0, le=1)
    # Who refuses analytics at the first question; with those who withdraw later, 3 to 4 %.
    analytics_refusal_rate: float = Field(default=0.03, ge=0, le=0.5)
    # Of those who would agree: who clicks the banner instead of looking past it.
    banner_answer_rate: float = Field(default=0.9, ge=0, le=1)

    @property
    def first_day(self) -> date:
        """Day of the first log file."""
        return self.last_day - timedelta(days=self.n_days - 1)

    def digest(self) -> str:
        """Return a hash that changes with any field and with the generator itself."""
        text = f"{GENERATOR_VERSION}:{self.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()


class DemoShopSummary(BaseModel, frozen=True, extra="forbid"):
    """Counts of what was written; `truth/counts.json` holds the same numbers."""

    count_files: int
    count_lines: int  # every line of every log file, broken, empty and duplicate ones included
    count_events: int  # distinct valid events, bots included
    count_duplicates: int  # lines that repeat a valid line byte for byte
    count_broken: dict[str, int]  # lines by kind of damage
    count_bot_events: int
    count_late_events: int  # received two hours or more after they happened
    count_orders: int
    count_order_lines: int
    count_refunds: int
    count_customers: int  # people behind the logs or in the CRM
    count_profiles: int
    count_consents: int
    count_items: int
    count_next_purchases: int
