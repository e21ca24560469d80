"""The consent policy: the purposes that people are asked about, how long their yes holds, and what their silence means.

`config/consent.yml` is the shipped one; `personalake validate --config FILE` checks it with the run configuration that names it.
Its JSON Schema is `config/schemas/consent.schema.json` (generated from here). docs/consent.md tells the rules.
"""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.languages import get_official_languages
from pydantic import (
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from jobs.errors import ConfigError, describe_faults
from jobs.run_config import RunConfig
from jobs.settings import PROJECT_ROOT

ALL = "all"  # how a source tells of every purpose at once
State = Literal["denied", "granted"]
PurposeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
# Groups of countries by the name that a policy may use for them.
COUNTRY_GROUPS = {
    # The 27 of the EU with those of their territories that have codes of their own, Iceland, Liechtenstein and Norway.
    "EEA": (
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
        "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "AX", "GF", "GP", "MF", "MQ", "RE", "YT", "IS", "LI", "NO",
    )
}  # fmt: skip
# What sources write beside the names that the Unicode CLDR has.
_OTHER_NAMES = {
    "CZ": ("Czech Republic",),
    "GB": ("England", "Great Britain", "Northern Ireland", "Scotland", "Wales"),
    "IE": ("Eire", "Republic of Ireland"),
    "NL": ("Holland", "The Netherlands"),
    "SK": ("Slovak Republic",),
}


def word_key(word: str) -> str:
    """A word for a purpose without case and separators: `Ads-Storage` is `ads_storage`. jobs.sources.statement does the same in SQL."""
    return "".join(letter for letter in word.lower() if letter.isalnum())


@cache
def country_spellings(code: str) -> tuple[str, ...]:
    """How sources write a country, in upper case: codes of ISO 3166, its English name, and its names in its own languages.

    Args:
        code: of two letters (ISO 3166-1).
    """
    codes = {alias for alias, found in get_global("territory_aliases").items() if found == [code]}
    names = {*_OTHER_NAMES.get(code, ()), Locale("en").territories[code]}
    for language in get_official_languages(code, de_facto=True):
        try:
            names.add(Locale.parse(language).territories.get(code, code))
        except UnknownLocaleError:
            continue  # a language that has no names of countries
    return tuple(sorted({name.upper() for name in {code, *codes, *names}}))


@dataclass(frozen=True)
class Silence:
    """What it means for a purpose that somebody has said nothing: `state`, and the opposite in `exceptions`.

    Attributes:
        state: where the country is not known, and in every country but these.
        exceptions: how sources write the countries where silence means the opposite, in upper case.
    """

    state: State
    exceptions: tuple[str, ...] = ()


class Purpose(BaseModel, frozen=True, extra="forbid"):
    """What people are asked about."""

    means: tuple[
        str, ...
    ] = ()  # what sources call it beside its name; case and separators do not count
    grant_expires_after_days: int | None = Field(default=None, ge=1)  # then it is silence again


class Region(BaseModel, frozen=True, extra="forbid"):
    """Countries in which silence means the same."""

    countries: tuple[str, ...] = Field(min_length=1)  # ISO 3166-1 codes of two letters, or EEA
    silence: dict[
        str, State
    ]  # by purpose; `all` are those not named, which are denied unless it says otherwise

    @field_validator("countries", mode="before")
    @classmethod
    def _read_norway(cls, value: Any) -> Any:
        # YAML takes NO for the word no.
        return (
            ["NO" if code is False else code for code in value]
            if isinstance(value, list)
            else value
        )

    @field_validator("countries")
    @classmethod
    def _check_countries(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        territories = map(str, Locale("en").territories)
        known = {code for code in territories if len(code) == 2 and code.isalpha()}
        if unknown := sorted(set(value) - known - set(COUNTRY_GROUPS)):
            raise ValueError(
                f"unknown countries {unknown}; write codes of two letters such as DE, or EEA"
            )
        return value

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of its countries, groups taken apart."""
        return tuple(code for name in self.countries for code in COUNTRY_GROUPS.get(name, (name,)))


class ConsentPolicy(BaseModel, frozen=True, extra="forbid"):
    """Which purposes there are, and what is done where nobody has decided."""

    purposes: dict[PurposeName, Purpose] = Field(min_length=1)
    behaviour: str = "analytics"  # without it, what somebody does on the site is not used
    regions: tuple[Region, ...] = ()
    elsewhere: dict[
        str, State
    ] = {}  # silence in other countries, and where the country is not known

    @model_validator(mode="after")
    def _check_together(self) -> "ConsentPolicy":
        known = {*self.purposes, ALL}
        if ALL in self.purposes:
            raise ValueError(f"a purpose cannot be called {ALL}: that is every purpose")
        if self.behaviour not in self.purposes:
            raise ValueError(f"behaviour: {self.behaviour!r} is none of the purposes")
        named = {name for silence in self._silences() for name in silence}
        if unknown := sorted(named - known):
            raise ValueError(f"silence of unknown purposes {unknown}; known: {sorted(known)}")
        said = [
            (word_key(word), name)
            for name, purpose in self.purposes.items()
            for word in purpose.means
        ]
        said += [(word_key(name), name) for name in known]
        owners = Counter(key for key, _ in set(said))
        if shared := sorted(key for key, count in owners.items() if count > 1):
            raise ValueError(f"the words {shared} mean two purposes; leave them with one")
        if not all(key for key, _ in said):
            raise ValueError("a word in `means` has neither letters nor digits")
        codes = Counter(code for region in self.regions for code in region.codes)
        if repeated := sorted(code for code, count in codes.items() if count > 1):
            raise ValueError(f"the countries {repeated} are in two regions; leave them in one")
        return self

    def _silences(self) -> list[dict[str, State]]:
        return [*(region.silence for region in self.regions), self.elsewhere]

    @property
    def words(self) -> dict[str, str]:
        """Word (without case and separators) -> purpose that it means; `all` among them."""
        words = {
            word_key(word): name
            for name, purpose in self.purposes.items()
            for word in (name, *purpose.means)
        }
        return words | {ALL: ALL}

    def words_for(self, purpose: str) -> list[str]:
        """The words (without case and separators) with which a source decides on a purpose."""
        return sorted(word for word, meant in self.words.items() if meant in {purpose, ALL})

    @property
    def expiry_days(self) -> dict[str, int]:
        """Purpose -> days after which a grant is silence again; purposes whose grants do not expire are left out."""
        return {
            name: purpose.grant_expires_after_days
            for name, purpose in self.purposes.items()
            if purpose.grant_expires_after_days is not None
        }

    def silence(self, purpose: str) -> Silence:
        """What silence about a purpose means, by country."""

        def read(silence: dict[str, State]) -> State:
            return silence.get(purpose, silence.get(ALL, "denied"))

        state = read(self.elsewhere)
        others = [
            code
            for region in self.regions
            if read(region.silence) != state
            for code in region.codes
        ]
        return Silence(
            state, tuple(sorted({name for code in others for name in country_spellings(code)}))
        )


def load_policy(path: Path) -> ConsentPolicy:
    """Read and check a consent policy.

    Raises:
        ConfigError: the file is missing, not YAML in UTF-8, or no policy.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(
            f"reading the consent policy {path}: {err.strerror}; check `consent: policy:` in the run configuration"
        ) from err
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"reading the consent policy {path}: not valid YAML in UTF-8") from err
    if not isinstance(content, dict):
        raise ConfigError(
            f"reading the consent policy {path}: expected settings by name (purposes:, regions:, ...)"
        )
    try:
        return ConsentPolicy.model_validate(content)
    except ValidationError as err:
        raise ConfigError(f"reading the consent policy {path}: {describe_faults(err)}") from err


def load_run_policy(config: RunConfig, config_path: Path) -> ConsentPolicy:
    """Read the policy that a run configuration names: beside it, or in the project.

    Raises:
        ConfigError: the policy is wrong, or the configuration names a purpose that it does not know.
    """
    beside = config_path.parent / config.consent.policy
    path = beside if beside.is_file() else PROJECT_ROOT / config.consent.policy
    policy = load_policy(path)
    named: dict[str, tuple[str, ...]] = {"consent: purpose": (config.consent.purpose,)}
    named |= {f"source {source.name}: consented": source.consented for source in config.sources}
    for where, purposes in named.items():
        if unknown := sorted(set(purposes) - set(policy.purposes)):
            raise ConfigError(
                f"reading {config_path}: {where}: {', '.join(unknown)} is no purpose of {path}, which has "
                f"{', '.join(policy.purposes)}; write one of these, or add it there"
            )
    return policy


def export_silence(config: RunConfig, policy: ConsentPolicy) -> Silence:
    """What the silence of a customer means for exports: the run configuration's word, else the policy's."""
    if config.consent.default is not None:
        return Silence(config.consent.default)
    return policy.silence(config.consent.purpose)


def consent_schema() -> str:
    """The JSON Schema of consent policies, as `config/schemas/consent.schema.json` holds it."""
    return json.dumps(ConsentPolicy.model_json_schema(), indent=2, sort_keys=True) + "\n"
