import pytest

from jobs.consent import (
    COUNTRY_GROUPS,
    Silence,
    country_spellings,
    export_silence,
    load_policy,
    load_run_policy,
    word_key,
)
from jobs.errors import ConfigError
from jobs.run_config import load_run_config
from jobs.settings import PROJECT_ROOT

SHIPPED = PROJECT_ROOT / "config" / "consent.yml"
POLICY = """
purposes:
  analytics: {means: [statistics, Ads-Storage 2], grant_expires_after_days: 390}
  marketing: {}
regions:
  - {countries: [DE, NO], silence: {all: denied}}
  - {countries: [US], silence: {marketing: granted}}
elsewhere: {analytics: granted}
"""


def _load(folder, text):
    path = folder / "consent.yml"
    path.write_text(text)
    return load_policy(path)


def _run_config(folder, text=""):
    path = folder / "run.yml"
    path.write_text(
        "name: shop\nsources:\n  - {name: web, format: rees46, path: x}\n" + text, encoding="utf-8"
    )
    return load_run_config(path), path


def test_load_policy_says_what_words_mean_and_grants_last(tmp_path):
    policy = _load(tmp_path, POLICY)

    assert policy.words == {
        "analytics": "analytics",
        "statistics": "analytics",
        "adsstorage2": "analytics",
        "marketing": "marketing",
        "all": "all",
    }
    assert policy.words_for("analytics") == ["adsstorage2", "all", "analytics", "statistics"]
    assert policy.expiry_days == {"analytics": 390}
    assert policy.behaviour == "analytics"


def test_silence_is_what_the_region_says_and_denied_where_it_says_nothing(tmp_path):
    policy = _load(tmp_path, POLICY)
    spelled = {code: country_spellings(code) for code in ("DE", "NO", "US")}

    # In the United States the policy names marketing only, so analytics is denied there.
    assert policy.silence("analytics") == Silence(
        "granted", tuple(sorted({*spelled["DE"], *spelled["NO"], *spelled["US"]}))
    )
    assert policy.silence("marketing") == Silence("denied", spelled["US"])


def test_country_spellings_are_codes_and_names():
    assert country_spellings("AT") == ("040", "AT", "AUSTRIA", "AUT", "ÖSTERREICH")
    assert {"CZECHIA", "CZECH REPUBLIC", "CZE"} <= set(country_spellings("CZ"))
    assert {"UK", "UNITED KINGDOM", "GREAT BRITAIN"} <= set(country_spellings("GB"))


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("Ads-Storage", "adsstorage"),
        (" E-Mail.Marketing ", "emailmarketing"),
        ("Müsli 2", "müsli2"),
    ],
)
def test_word_key_leaves_out_case_and_separators(word, key):
    assert word_key(word) == key


def test_shipped_policy_denies_silence_in_europe_and_grants_analytics_elsewhere():
    policy = load_policy(SHIPPED)
    in_europe = {*COUNTRY_GROUPS["EEA"], "GB", "CH"}

    assert policy.silence("analytics").state == "granted"
    assert in_europe < set(policy.silence("analytics").exceptions)
    assert not {"US", "JP"} & set(policy.silence("analytics").exceptions)
    others = set(policy.purposes) - {"analytics"}
    assert {policy.silence(purpose) for purpose in others} == {Silence("denied")}
    assert policy.expiry_days == {}


@pytest.mark.parametrize(
    ("word", "purpose"),
    [
        ("analytics_storage", "analytics"),  # Google's consent mode
        ("ads_storage", "ads"),  # GA4's export
        ("ad_user_data", "ads"),
        ("Advertising", "ads"),  # Segment
        ("C0002", "analytics"),  # OneTrust
        ("statistics", "analytics"),  # Cookiebot
        ("Accepts Marketing", "marketing"),  # Shopify
        ("sms", "sms"),
        ("all", "all"),  # Snowplow
    ],
)
def test_shipped_policy_knows_the_words_of_the_formats(word, purpose):
    assert load_policy(SHIPPED).words[word_key(word)] == purpose


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected settings by name"),
        ("purposes: [a", "not valid YAML in UTF-8"),
        ("behaviour: analytics", "purposes: Field required"),
        (POLICY + "colour: blue", "colour: Extra inputs"),
        (POLICY.replace("[DE, NO]", "[DE, Norway]"), r"unknown countries \['Norway'\]"),
        (POLICY.replace("[US]", "[US, DE]"), r"countries \['DE'\] are in two regions"),
        (POLICY.replace("[US]", "[EEA]"), r"countries \['DE', 'NO'\] are in two regions"),
        (POLICY.replace("marketing: granted", "adverts: granted"), r"unknown purposes \['adverts'\]"),
        (POLICY.replace("marketing: granted", "marketing: maybe"), "regions.1.silence.marketing"),
        (POLICY.replace("marketing: {}", "marketing: {means: [Statistics]}"), "mean two purposes"),
        (POLICY.replace("marketing: {}", "marketing: {means: ['-']}"), "neither letters nor digits"),
        (POLICY.replace("marketing: {}", "all: {}"), "cannot be called all"),
        (POLICY.replace("marketing: {}", "Marketing: {}"), "should match pattern"),
        (POLICY.replace("390", "0"), "grant_expires_after_days"),
        (POLICY + "behaviour: views", "'views' is none of the purposes"),
    ],
)  # fmt: skip
def test_load_policy_wrong_file_says_where_in_one_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        _load(tmp_path, text)

    assert "consent.yml: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_policy_missing_file_names_the_setting(tmp_path):
    with pytest.raises(ConfigError, match=r"none.yml: No such file .* `consent: policy:`"):
        load_policy(tmp_path / "none.yml")


def test_load_run_policy_is_that_beside_the_configuration_or_the_shipped_one(tmp_path):
    (tmp_path / "ours.yml").write_text(POLICY)

    assert "sms" in load_run_policy(*_run_config(tmp_path)).purposes
    ours = load_run_policy(*_run_config(tmp_path, "consent: {policy: ours.yml}"))
    assert set(ours.purposes) == {"analytics", "marketing"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("consent: {purpose: newsletters}", "consent: purpose: newsletters"),
        ("  - {name: app, format: rees46, path: x, consented: [views]}", "source app: consented: views"),
    ],
)  # fmt: skip
def test_load_run_policy_unknown_purpose_names_the_setting(tmp_path, text, where):
    with pytest.raises(ConfigError, match=f"run.yml: {where} is no purpose of .*consent.yml"):
        load_run_policy(*_run_config(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "silence"),
    [
        ("", Silence("denied")),
        ("consent: {default: granted}", Silence("granted")),
        ("consent: {purpose: analytics, default: denied}", Silence("denied")),
    ],
)
def test_export_silence_is_the_runs_word_or_the_policys(tmp_path, text, silence):
    config, path = _run_config(tmp_path, text)

    assert export_silence(config, load_run_policy(config, path)) == silence


@pytest.mark.parametrize(
    "path",
    [PROJECT_ROOT / "config" / "demo.yml", *sorted(PROJECT_ROOT.glob("config/examples/*.yml"))],
    ids=lambda path: path.name,
)
def test_shipped_configurations_fit_the_shipped_policy(path):
    policy = load_run_policy(load_run_config(path), path)

    assert policy == load_policy(SHIPPED)
