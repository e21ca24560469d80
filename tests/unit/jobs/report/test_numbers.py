from datetime import date

import pytest

from jobs.report import numbers


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1234567, "1,234,567"), (-3, "−3"), (None, "–"), (float("nan"), "–"), (True, "–")],
)
def test_count_of_any_value_is_grouped_or_a_dash(value, expected):
    assert numbers.count(value) == expected


def test_count_of_noisy_sums_of_the_same_values_is_equal():
    # 0.1 + 0.2 + ... in another order ends some bits away from the half.
    assert numbers.count(1234.4999999999) == numbers.count(1234.5000000001)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(999.999, "1,000.00\u00a0EUR"), (12.5, "12.50\u00a0EUR"), (123456.7, "123,457\u00a0EUR")],
)
def test_money_above_a_thousand_has_no_cents(value, expected):
    assert numbers.money(value, "EUR") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.1234, "12.3%"), (0.0, "0.0%"), (0.0001, "<0.1%"), (1, "100.0%"), (None, "–")],
)
def test_percent_of_a_tiny_share_never_reads_as_zero(value, expected):
    assert numbers.percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.05, "+5.0%"), (-0.05, "−5.0%"), (0.0, "+0.0%"), (None, "–")]
)
def test_change_has_a_sign(value, expected):
    assert numbers.change(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.5, "+0.5"), (-0.5, "−0.5"), (-0.001, "0.0"), (0.001, "0.0")]
)
def test_signed_decimal_that_rounds_to_zero_has_no_sign(value, expected):
    assert numbers.signed_decimal(value, 1) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(1500, "1.5k"), (2000000, "2M"), (0.25, "0.25"), (0, "0")]
)
def test_compact_is_short(value, expected):
    assert numbers.compact(value) == expected


def test_day_and_month_are_words_of_no_locale():
    assert (numbers.day(date(2026, 3, 7)), numbers.month(date(2026, 3, 7))) == (
        "7 Mar 2026",
        "Mar 2026",
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("add_to_cart", "Add to cart"), ("roc_auc", "ROC AUC"), ("", "–"), (None, "–")],
)
def test_phrase_reads_like_words(name, expected):
    assert numbers.phrase(name) == expected
