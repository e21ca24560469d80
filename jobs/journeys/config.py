"""What counts as a journey, and how much of it is looked at."""

from pydantic import BaseModel, Field


class JourneyConfig(BaseModel, frozen=True, extra="forbid"):
    """Bounds of sequence mining, and of the stage of a customer."""

    lookback_days: int = Field(default=90, ge=1)  # a season: older visits met another shop
    # What a visitor does on purpose. Logins, impressions and refunds would only dilute the journeys.
    steps: tuple[str, ...] = (
        "page_view",
        "list_view",
        "search",
        "product_view",
        "add_to_wishlist",
        "add_to_cart",
        "remove_from_cart",
        "begin_checkout",
        "purchase",
        "review",
        "recommendation_click",
        "email_click",
    )
    max_session_steps: int = Field(default=30, ge=2)  # the first 30 hold nearly every funnel
    max_length: int = Field(default=5, ge=2)  # steps and the next one; longer ones repeat shorter
    min_support: float = Field(default=0.01, gt=0, le=1)  # one session in a hundred is worth a look
    min_sessions: int = Field(default=20, ge=1)  # a share of fewer sessions is chance
    max_patterns: int = Field(default=500, ge=1)  # more than an analyst reads
    stage_days: int = Field(default=30, ge=1)  # an older intention has passed
