from collections.abc import Mapping

import polars as pl
import pytest

from jobs.clusters.vectors import (
    Prior,
    compute_traits,
    fit_scaling,
    measure_priors,
    scale_traits,
)

BASE = {
    "days_since_first_seen": 70,
    "days_since_last_seen": 0,
    "count_orders": 0,
    "average_order_value": None,
    "discount_share": None,
    "refund_rate": None,
    "luxury_share_90d": 0.5,
    "budget_share_90d": 0.5,
    "count_sessions_30d": 5,
    "count_sessions_365d": 10,
    "count_orders_365d": 0,
    "count_product_views_90d": 100,
    "count_product_views_365d": 100,
    "count_list_views_365d": 50,
    "count_add_to_carts_365d": 10,
    "count_wishlists_365d": 0,
}
BUYER = BASE | {
    "count_orders": 4,
    "count_orders_365d": 4,
    "average_order_value": 50.0,
    "discount_share": 0.5,
    "refund_rate": 0.0,
}
RATES = (
    "average_order_value",
    "discount_share",
    "refund_rate",
    "luxury_share_90d",
    "budget_share_90d",
)


def build(*rows: Mapping[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema_overrides=dict.fromkeys(RATES, pl.Float64))


def buyer(count_orders: int, discount_share: float) -> Mapping[str, object]:
    return BUYER | {"count_orders": count_orders, "discount_share": discount_share}


def test_measure_priors_weighs_rates_by_orders() -> None:
    priors = measure_priors(build(BASE, BUYER, buyer(1, 0.0)))

    assert priors["discount_share"].mean == pytest.approx(0.4)  # (4 x 0.5 + 1 x 0) / 5
    assert priors["carts_per_view"].mean == pytest.approx(0.1)


def test_measure_priors_parts_chance_from_what_is_the_customers_own() -> None:
    # Squares of the deviations from 0.5: 0.04 of four orders, 0.07 of one. The line through them is 0.03 + 0.04 / orders.
    far = 0.07**0.5
    rows = [buyer(4, 0.3), buyer(4, 0.7), buyer(1, 0.5 - far), buyer(1, 0.5 + far)]

    prior = measure_priors(build(*rows))["discount_share"]

    assert prior.strength == pytest.approx(0.04 / 0.03)


def test_measure_priors_where_only_small_numbers_differ_finds_chance() -> None:
    rows = [buyer(100, 0.5), buyer(100, 0.5), buyer(1, 0.0), buyer(1, 1.0)]

    prior = measure_priors(build(*rows))["discount_share"]

    assert prior.reliability == 0


def test_compute_traits_draws_a_rate_of_few_orders_to_the_mean() -> None:
    priors = measure_priors(build(BASE)) | {
        "discount_share": Prior(mean=0.1, strength=2.0, reliability=0.5)
    }

    traits = compute_traits(build(buyer(1, 1.0)), priors)

    assert traits["discount_share"][0] == pytest.approx((1 + 2 * 0.1) / 3)


def test_compute_traits_without_orders_takes_the_mean_of_all_orders() -> None:
    priors = measure_priors(build(BASE, BUYER, buyer(1, 0.0)))

    traits = compute_traits(build(BASE), priors)

    assert traits["discount_share"][0] == pytest.approx(0.4)


def test_compute_traits_measures_silence_in_the_own_pace() -> None:
    weekly = BASE | {"days_since_last_seen": 21, "count_sessions_365d": 10}
    rare = BASE | {"days_since_last_seen": 21, "count_sessions_365d": 1}
    priors = measure_priors(build(weekly, rare))

    silence = compute_traits(build(weekly, rare), priors)["silence"]

    # 49 days from first to last visit and a fortnight are nine weeks; three weeks of silence.
    assert silence.exp().to_list() == pytest.approx([1 + 3 * 11 / 9, 1 + 3 * 2 / 9])


def test_scale_traits_without_views_or_dates_is_finite() -> None:
    unseen = BASE | {
        "days_since_first_seen": None,
        "days_since_last_seen": None,
        "luxury_share_90d": None,
        "budget_share_90d": None,
        "count_sessions_30d": 0,
        "count_sessions_365d": 0,
        "count_product_views_90d": 0,
        "count_product_views_365d": 0,
    }
    features = build(BASE, BUYER | {"days_since_last_seen": 7}, unseen)
    traits = compute_traits(features, priors := measure_priors(features))

    vectors = scale_traits(traits, scaling := fit_scaling(traits, priors))

    assert vectors[2, scaling.names.index("days_since_last_seen")] == pytest.approx(0)
    assert abs(vectors).max() <= 2


def test_fit_scaling_leaves_out_what_is_equal_for_all_and_shares_weights() -> None:
    features = build(BASE, BUYER)
    traits = compute_traits(features, priors := measure_priors(features))

    scaling = fit_scaling(traits, priors)

    # Both buying traits vary and share their dimension's weight; all else is equal.
    assert scaling.names == ("orders", "orders_per_session")
    reliability = priors["orders_per_session"].reliability
    assert scaling.weights == pytest.approx((0.5**0.5, (reliability / 2) ** 0.5))


def test_fit_scaling_leaves_out_what_is_chance() -> None:
    features = build(buyer(100, 0.5), buyer(100, 0.5), buyer(1, 0.0), buyer(1, 1.0))
    traits = compute_traits(features, priors := measure_priors(features))

    assert "discount_share" not in fit_scaling(traits, priors).names
