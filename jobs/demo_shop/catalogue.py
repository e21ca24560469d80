"""The shop's items: families of complements, price tiers, launches and sell-outs.

An item is one *type* (espresso machine, filters, ...) of one *family* (a brand's line), and a
family holds one item of each type of its category. That is the item-item structure which a
recommender can find: who buys into a family comes back for the rest of it and for its refills.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from jobs.demo_shop.config import DemoShopConfig

Array: TypeAlias = npt.NDArray[Any]

N_TYPES = 5  # items of a family
N_BRANDS = 6  # of a category
N_TIERS = 3  # budget, mid, luxury
TIER_PRICE_FACTORS = (0.5, 1.0, 3.6)
TIER_WORDS = ("Everyday", "Well-made", "Hand-finished")
ALWAYS = 1_000_000  # a day after any period


class Kind(NamedTuple):
    """One type of item in a category: title, price against the category's, refill or not."""

    title: str
    price_factor: float
    is_consumable: bool


class Category(NamedTuple):
    """A category: price of its main item in EUR, six brands (two a tier), five kinds."""

    name: str
    price: float
    brands: tuple[str, ...]
    kinds: tuple[Kind, ...]


def _category(name: str, price: float, brands: str, kinds: str) -> Category:
    """Parse `title=factor` entries; a trailing `*` marks a consumable."""
    parsed = []
    for entry in kinds.split(","):
        title, factor = entry.strip().rsplit("=", 1)
        parsed.append(Kind(title, float(factor.rstrip("*")), factor.endswith("*")))
    return Category(name, price, tuple(brands.split()), tuple(parsed))


# Brands alternate budget, mid, luxury. All names are invented.
CATEGORIES = (
    _category("shoes", 85, "stepo norda velmonte trotta lindgang auroro",
              "Runner=1, Trail Boot=1.4, Everyday Sneaker=0.8, Care Spray=0.12*, Insoles=0.2"),
    _category("coffee", 160, "kavo bremola torrenta kopik mokandi altavara",
              "Espresso Machine=1, Beans 1 kg=0.1*, Filters=0.04*, Grinder=0.4, Cup Set=0.15"),
    _category("books", 24, "lesewerk papyra codexia blattgold seitenweise incunara",
              "Volume One=1, Volume Two=1.05, Volume Three=1.1, Volume Four=1.1, Companion=1.4"),
    _category("skincare", 40, "purea dermolin celestra klaro balsama noctelle",
              "Day Cream=1*, Cleanser=0.6*, Serum=1.5*, Sun Lotion=0.7*, Travel Set=1.2"),
    _category("kitchen", 70, "pannio kochgut ferrante topfix cucinola maestrade",
              "Frying Pan=1, Chef Knife=0.9, Stock Pot=1.2, Baking Paper=0.1*, Chopping Board=0.5"),
    _category("outdoor", 110, "wandera firnfeld altissimo zelto bergruh polarion",
              "Tent=1.6, Sleeping Bag=1, Backpack=0.9, Gas Cartridge=0.08*, Camp Stove=0.5"),
    _category("toys", 38, "klotzo holzwelt fabulara spielix brumma minuetta",
              "Starter Set=1, Expansion Set=0.9, Figure Pack=0.5, Puzzle=0.6, Storage Box=0.7"),
    _category("electronics", 130, "voltix sonaro luminaire stromo pixela audivox",
              "Headphones=1, Speaker=0.9, Charger=0.2, Battery Pack=0.1*, Smart Lamp=0.4"),
    _category("pets", 36, "pfoto tiernah nobelfell schnurr wuffel regalis",
              "Dry Food 3 kg=0.8*, Treats=0.2*, Basket=1.4, Lead=0.6, Toy Mouse=0.25"),
    _category("garden", 48, "gruno beetwerk florentia wuchs hortena jardelle",
              "Pruning Shears=1, Watering Can=0.6, Potting Soil=0.3*, Plant Food=0.2*, Pot=0.5"),
    _category("fashion", 60, "stoffo linnea sartoria garno webstuhl elegantia",
              "Jumper=1, Shirt=0.7, Jacket=1.9, Socks Pack=0.25*, Scarf=0.5"),
    _category("fitness", 55, "fitto kraftvoll olympara beweg schwungrad titanelle",
              "Dumbbells=1, Yoga Mat=0.6, Protein Powder=0.6*, Resistance Bands=0.4, Bottle=0.3"),
)  # fmt: skip
N_CATEGORIES = len(CATEGORIES)
LINES = ("Alba", "Birke", "Corvo", "Delta", "Esker", "Fjell", "Giro", "Halo", "Isar", "Juno")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Items as arrays by internal item number; every lookup table draws with one random integer."""

    item_ids: list[str]
    titles: list[str]
    categories: Array  # category number, shape (n_items,)
    brands: list[str]
    prices: Array  # EUR
    tiers: Array  # 0 budget, 1 mid, 2 luxury
    is_consumable: Array
    complements: Array  # the item that a buyer of this one tends to want next
    substitutes: Array  # an always available item that is shown instead of a missing one
    first_days: Array  # day number from which it is sold; -1 before the logs
    end_days: Array  # day number from which it is not; ALWAYS if it stays
    is_discontinued: Array  # gone for good, rather than sold out
    families: Array  # shape (N_CATEGORIES, N_TIERS, 256): families of that tier by popularity
    popular: Array  # shape (N_TIERS, 4096): any item, by popularity for that tier's buyer
    types: Array  # shape (N_CATEGORIES, 64): the type within a family, by demand

    def available(self, items: Array, days: Array) -> Array:
        """Replace items that are not sold on those days by their substitutes."""
        is_sold = (self.first_days[items] <= days) & (days < self.end_days[items])
        return np.where(is_sold, items, self.substitutes[items])


def draw_table(weights: Array, size: int) -> Array:
    """Return `size` indices in proportion to `weights`, for drawing by one random integer."""
    edges = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(edges, (np.arange(size) + 0.5) / size), len(weights) - 1)


def build_catalogue(config: DemoShopConfig, rng: np.random.Generator) -> Catalogue:
    """Make `config.n_items` items; popularity of families and items is zipf-like."""
    items = np.arange(config.n_items)
    family, kind = items // N_TYPES, items % N_TYPES
    category = family % N_CATEGORIES
    brand = (family // N_CATEGORIES) % N_BRANDS
    tier = brand % N_TIERS
    n_families = int(family[-1]) + 1
    family_weight = 1.0 / (1.0 + rng.permutation(n_families)) ** 0.75
    kind_weights = rng.dirichlet(np.full(N_TYPES, 4.0), N_CATEGORIES)
    weight = family_weight[family] * kind_weights[category, kind]

    base = np.array([[c.price * k.price_factor for k in c.kinds] for c in CATEGORIES])
    price = base[category, kind] * np.take(TIER_PRICE_FACTORS, tier)
    price = np.maximum(np.floor(price * rng.lognormal(0, 0.12, config.n_items)), 1) + 0.9
    consumable = np.array([[k.is_consumable for k in c.kinds] for c in CATEGORIES])
    first_days, end_days, substitutes = _availability(config, family, rng)
    following = family * N_TYPES + (kind + 1) % N_TYPES
    numbers = rng.permutation(config.n_items) + 1
    width = max(4, len(str(config.n_items)))
    return Catalogue(
        item_ids=[f"i-{number:0{width}d}" for number in numbers],
        titles=[_title(int(item)) for item in items],
        categories=category,
        brands=[CATEGORIES[c].brands[b] for c, b in zip(category, brand, strict=True)],
        prices=price.round(2),
        tiers=tier,
        is_consumable=consumable[category, kind],
        complements=np.where(following < config.n_items, following, items),
        substitutes=substitutes,
        first_days=first_days,
        end_days=end_days,
        is_discontinued=rng.random(config.n_items) < 0.4,
        families=_family_table(family_weight),
        popular=np.stack(
            [draw_table(weight * np.where(tier == t, 1.0, 0.2), 4096) for t in range(N_TIERS)]
        ),
        types=np.stack([draw_table(row, 64) for row in kind_weights]),
    )


def _title(item: int) -> str:
    family, kind = divmod(item, N_TYPES)
    generation, category = divmod(family, N_CATEGORIES)
    line = LINES[generation % len(LINES)]
    suffix = "" if generation < len(LINES) else f" {generation // len(LINES) + 1}"
    _, _, brands, kinds = CATEGORIES[category]
    return f"{brands[generation % N_BRANDS].capitalize()} {line}{suffix} {kinds[kind].title}"


def _availability(
    config: DemoShopConfig, family: Array, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Launch 8 % of the items during the logs and end 5 % of them; the first of a family stays."""
    n_items = config.n_items
    draw = rng.random(n_items)
    draw[np.arange(n_items) % N_TYPES == 0] = 1.0
    days = rng.integers(config.n_days // 7, config.n_days - config.n_days // 10, n_items)
    first_days = np.where(draw < 0.08, days, -1)
    end_days = np.where((draw >= 0.08) & (draw < 0.13), days, ALWAYS)
    return first_days, end_days, family * N_TYPES


def _family_table(family_weight: Array) -> Array:
    families = np.arange(len(family_weight))
    category = families % N_CATEGORIES
    tier = (families // N_CATEGORIES) % N_BRANDS % N_TIERS
    table = np.empty((N_CATEGORIES, N_TIERS, 256), dtype=np.int64)
    for c in range(N_CATEGORIES):
        for t in range(N_TIERS):
            # Not zero for other tiers: a small catalogue has categories without a luxury brand.
            fit = np.where(tier == t, 1.0, 0.03) * (category == c)
            table[c, t] = draw_table(family_weight * fit, 256)
    return table


def items_frame(config: DemoShopConfig, catalogue: Catalogue) -> pl.DataFrame:
    """Return `catalogue/items.csv`: one row an item, ordered by item_id."""
    first_day = config.first_day
    return pl.DataFrame(
        {
            "item_id": catalogue.item_ids,
            "title": catalogue.titles,
            "description": [
                f"{TIER_WORDS[tier]} {title.split(' ', 2)[2].lower()} from {brand.capitalize()}, "
                f"for people who like their {CATEGORIES[category].name} simple and lasting."
                for title, tier, brand, category in zip(
                    catalogue.titles,
                    catalogue.tiers,
                    catalogue.brands,
                    catalogue.categories,
                    strict=True,
                )
            ],
            "category": [CATEGORIES[c].name for c in catalogue.categories],
            "brand": catalogue.brands,
            "price": catalogue.prices,
            "currency": "EUR",
            "is_in_stock": catalogue.end_days >= config.n_days,
            "available_from": [
                # Day -1 stands for "long before the logs".
                first_day + timedelta(days=int(d) if d >= 0 else -400)
                for d in catalogue.first_days
            ],
            "available_until": [
                first_day + timedelta(days=int(d)) if d < ALWAYS and gone else None
                for d, gone in zip(catalogue.end_days, catalogue.is_discontinued, strict=True)
            ],
        }
    ).sort("item_id")
