"""How recommendations are computed."""

from pydantic import BaseModel, Field

# How much an event says about interest in an item: the further towards paying, the more.
_EVENT_WEIGHTS = (
    ("product_view", 1.0),
    ("recommendation_click", 1.0),
    ("add_to_wishlist", 2.0),
    ("add_to_cart", 3.0),
    ("purchase", 4.0),
)


class RecommendationConfig(BaseModel, frozen=True, extra="forbid"):
    """Settings of the recommender.

    The filter's numbers were chosen on validation cuts of a shop with archetypes and of public logs; the test cuts that
    results are quoted for took no part.
    """

    n_recommendations: int = Field(default=10, ge=1, le=100)  # what one e-mail can show, twice
    n_similar_items: int = Field(default=10, ge=1, le=100)  # for "goes with" lists on a page
    expiry_days: int = Field(default=7, ge=1)  # a weekly mail must not carry last month's list
    horizon_days: int = Field(default=30, ge=1)  # of the test: a month of purchases
    lookback_days: int = Field(default=365, ge=1)  # a year holds every season once
    event_weights: tuple[tuple[str, float], ...] = _EVENT_WEIGHTS
    max_history: int = Field(default=100, ge=1)  # latest items a customer; bounds time and memory
    interest_half_life_days: float = Field(default=30.0, gt=0)  # of a customer's own interest
    popularity_half_life_days: float = Field(default=30.0, gt=0)  # of what sells now
    # Item graph D^-source (X' Du^-user X) D^-target, each entry ^sharpness (Turbo-CF, Park et al. 2024).
    user_exponent: float = Field(default=0.5, ge=0)  # a customer of many items says less about each
    source_exponent: float = Field(default=0.75, ge=0)  # popular items say less about taste
    target_exponent: float = Field(default=0.3, ge=0)  # popular items stay a little ahead
    sharpness: float = Field(default=1.5, gt=0)  # above 1 strong links count over many weak ones
    own_item_weight: float = Field(default=3.0, ge=0)  # of items in the customer's own history
    min_shared_customers: int = Field(default=2, ge=1)  # of published pairs: one is a coincidence
    max_neighbours: int = Field(default=200, ge=1)  # links kept an item
    # Share of an item's buyers who bought it on another day again, above which it may be recommended to its buyers.
    min_repurchase_rate: float = Field(default=0.1, gt=0)
    repurchase_prior_buyers: float = Field(default=10.0, ge=0)  # drawn to the category's rate
    recommend_seen: bool = True  # what was looked at and not bought is the likeliest next purchase
    max_cells: int = Field(default=2_000_000, ge=1)  # customers x items at a time: 16 MB an array
    min_test_customers: int = Field(default=30, ge=1)  # a rate of fewer is chance
    min_interactions: int = Field(default=200, ge=1)  # below it item pairs are coincidences
