"""What the shop calls its customers: names, e-mail addresses, telephone numbers, all invented."""

from dataclasses import dataclass

import numpy as np

from jobs.demo_shop.catalogue import Array
from jobs.demo_shop.config import DemoShopConfig
from jobs.demo_shop.customers import REGIONS, Customers
from jobs.demo_shop.households import Households

# Invented, so that no row can be taken for a person.
FIRST_NAMES = (
    "Aldra", "Brivo", "Celmo", "Dorvi", "Elbra", "Fennor", "Gildo", "Hevra", "Ilmar", "Jorvi",
    "Kelba", "Lumro", "Mirda", "Nolvo", "Orbela", "Pelko", "Quilma", "Runvo", "Selbra", "Tarnio",
)  # fmt: skip
SURNAMES = ("Mondfeld", "Silberbach", "Rotweiler", "Grunental", "Nordhain", "Ostberg", "Quellmann")
GENDERS = ("f", "m", "x", None)
# Of companies; known for what they are by what stands before the @.
OFFICES = ("info", "office", "buchhaltung")
# The call centre's agent: an address like any other, so that only what it does gives it away.
AGENT_EMAIL = "sanvo.lindmark@example.com"
# How a postal code of the country is written: digits for #, letters for @.
POSTAL_CODES = {"NL": "#### @@", "PL": "##-###", "AT": "####", "CH": "####"}
# Numbers that ring nowhere: kept free for films by the German and the French regulator
# (Bundesnetzagentur, notice 148/2021; ARCEP). Country, area, first digits, count of further digits.
PHONE_BLOCKS = (
    ("49", "30", "23125", 3), ("49", "69", "90009", 3), ("49", "40", "66969", 3),
    ("49", "221", "4710", 3), ("49", "89", "99998", 3), ("49", "171", "39200", 2),
    ("49", "176", "040690", 2), ("33", "1", "9900", 4), ("33", "2", "6191", 4),
    ("33", "3", "5301", 4), ("33", "4", "6571", 4), ("33", "5", "3649", 4), ("33", "6", "3998", 4),
)  # fmt: skip
_BLOCK_SIZES = [10**digits for *_, digits in PHONE_BLOCKS]
_N_GERMAN = sum(s for s, (c, *_) in zip(_BLOCK_SIZES, PHONE_BLOCKS, strict=True) if c == "49")
# The same number as people write it; the last two without a country, as one does at home.
PHONE_WAYS = (
    "+{country} {area} {first}{further}",
    "+{country}{area}{first}{further}",
    "00{country} {area} {first} {further}",
    "00{country}{area}{first}{further}",
    "+{country} {area}/{first}{further}",
    "+{country} (0){area} {first}-{further}",
    "0{area}/{first}{further}",
    "0{area} {first} {further}",
)
_N_INTERNATIONAL = 6


@dataclass(frozen=True, eq=False)
class People:
    """What stands for each customer in the CRM and at the checkout; all of length n_customers."""

    first_names: list[str]
    last_names: list[str]
    listed_emails: list[str]  # as the CRM has them, and the newsletter's links
    typed_emails: list[str]  # as they are typed at the checkout
    phones: Array  # number of the telephone, -1 without
    postal_codes: list[str]
    birth_years: Array  # 0 where the CRM does not know it
    genders: list[str | None]


def build_people(
    config: DemoShopConfig,
    customers: Customers,
    households: Households,
    holders: Array,
    rng: np.random.Generator,
) -> People:
    """Name everybody; `holders` have an account, and with it perhaps a telephone number."""
    n = len(customers)
    ones, others = households.pairs.T
    first = rng.integers(0, len(FIRST_NAMES), n)
    last = rng.integers(0, len(SURNAMES), n)
    codes = rng.integers(0, 10**9, n)
    # Who live together have the name and the address in common, but never the first name.
    steps = rng.integers(1, len(FIRST_NAMES), len(ones))
    first[others] = (first[ones] + steps) % len(FIRST_NAMES)
    last[others], codes[others] = last[ones], codes[ones]
    birth_years = rng.normal(1985, 13, n).clip(1938, 2007).astype(int)
    same_age = birth_years[others] == birth_years[ones]
    birth_years[others[same_age]] -= 3
    birth_years[rng.random(n) >= 0.9] = 0
    first_names, last_names = [FIRST_NAMES[i] for i in first], [SURNAMES[i] for i in last]
    typed = _write_emails(first_names, last_names, households, rng)
    shouts = rng.random(n) < 0.03  # typed with a capital: a normaliser has something to do
    return People(
        first_names=first_names,
        last_names=last_names,
        listed_emails=[
            text[0].upper() + text[1:] if shout else text
            for text, shout in zip(typed, shouts, strict=True)
        ],
        typed_emails=typed,
        phones=_draw_phones(config, n, households, holders, rng),
        postal_codes=[
            _write_postal_code(REGIONS[region][0], code)
            for region, code in zip(customers.regions.tolist(), codes.tolist(), strict=True)
        ],
        birth_years=birth_years,
        genders=[GENDERS[g] for g in rng.choice(4, n, p=[0.46, 0.40, 0.02, 0.12])],
    )


def _write_emails(
    first_names: list[str],
    last_names: list[str],
    households: Households,
    rng: np.random.Generator,
) -> list[str]:
    domains = rng.integers(0, 2, len(first_names))
    emails = [
        f"{first}.{last}{number}@example.{('com', 'org')[domain]}".lower()
        for number, (first, last, domain) in enumerate(
            zip(first_names, last_names, domains, strict=True), start=1
        )
    ]
    for one, other in households.couples.tolist():
        emails[other] = emails[one]
    for number, colleagues in enumerate(households.companies.tolist(), start=1):
        office, name = OFFICES[number % len(OFFICES)], last_names[colleagues[0]].lower()
        for colleague in colleagues:
            emails[colleague] = f"{office}@{name}-{number}.example"
    return emails


def _write_postal_code(country: str, code: int) -> str:
    written = ""
    for place in POSTAL_CODES.get(country, "#####"):
        code, digit = divmod(code, 10)
        written += {"#": str(digit), "@": "ABCDEGHJKL"[digit]}.get(place, place)
    return written


def _draw_phones(
    config: DemoShopConfig,
    n_customers: int,
    households: Households,
    holders: Array,
    rng: np.random.Generator,
) -> Array:
    """Give numbers to some of the account holders, each its own but for those who share one."""
    phones = np.full(n_customers, -1)
    has_phone = rng.random(len(holders)) < config.phone_rate
    ones, others = households.phone_sharers.T
    owners = np.setdiff1d(np.union1d(holders[has_phone], ones), others)
    # The shop's own country first. A shop of more people than all the numbers leaves some without.
    n_numbers = _N_GERMAN if len(owners) <= _N_GERMAN else sum(_BLOCK_SIZES)
    numbers = rng.permutation(n_numbers)[: len(owners)]
    phones[owners[: len(numbers)]] = numbers
    phones[others] = phones[ones]
    return phones


def write_phones(phones: Array, rng: np.random.Generator) -> list[str | None]:
    """Write each number in one of the ways in which people do; None for -1."""
    ends = np.cumsum(_BLOCK_SIZES)
    blocks = np.searchsorted(ends, phones, side="right")
    ways = rng.integers(0, len(PHONE_WAYS), len(phones))
    texts: list[str | None] = []
    for phone, block, way in zip(phones.tolist(), blocks.tolist(), ways.tolist(), strict=True):
        country, area, first, n_digits = PHONE_BLOCKS[block]
        # Without its country a foreign number would be another one.
        pattern = PHONE_WAYS[way if country == "49" else way % _N_INTERNATIONAL]
        further = f"{phone - (ends[block] - _BLOCK_SIZES[block]):0{n_digits}d}"
        text = pattern.format(country=country, area=area, first=first, further=further)
        texts.append(text if phone >= 0 else None)
    return texts
