"""What a shop may say of its customers' identities: the brakes, known shared addresses, and where the truth is known."""

from pathlib import Path

from pydantic import BaseModel, Field

from jobs.identity.graph import BrakeConfig


class IdentityConfig(BaseModel, frozen=True, extra="forbid"):
    """How identifiers become persons."""

    brakes: BrakeConfig = BrakeConfig()
    # Addresses, numbers and devices of a kiosk, a call centre, an office, as the logs write them: they join nobody.
    shared: tuple[str, ...] = ()
    # Of links found by likeness (splink and such): what is less probable joins nobody.
    match_threshold: float = Field(default=0.95, ge=0, le=1)
    # Nobody signs in on two devices in two countries within this time; but an address may be looked up wrongly once.
    two_places_hours: float = Field(default=2, gt=0)
    two_places_times: int = Field(default=2, ge=1)
    # A CSV file of identifiers whose person is known: kind, identifier, person. The links are judged by it.
    truth: Path | None = None
