import math

import polars as pl
import pytest

from jobs.clusters.vectors import compute_traits, fit_scaling, measure_priors, scale_traits

BASE = {
    "days_since_first_seen": 70,
    "days_since_last_seen": 0,
    "count_orders": 0,
    "average_order_value": None,
    "discount_share": None,
    "refund_rate": None,
    "viewed_price_percentile_90d": 0.5,
    "count_sessions_365d": 10,
    "count_orders_365d": 0,
    "count_product_views_365d": 100,
    "count_add_to_carts_365d": 10,
    "count_wishlists_365d": 0,
    "count_email_opens_365d": 0,
}
BUYER = BASE | {
    "count_orders": 4,
    "count_orders_365d": 4,
    "average_order_value": 50.0,
    "discount_share": 0.5,
    "refund_rate": 0.0,
}


def build(*rows: dict[str, object]) -> pl.DataFrame:
    rates = ("average_order_value", "discount_share", "refund_rate")
    return pl.DataFrame(list(rows), schema_overrides=dict.fromkeys(rates, pl.Float64))


def test_measure_priors_weighs_rates_by_orders() -> None:
    one_order = BUYER | {"count_orders": 1, "discount_share": 0.0}

    priors = measure_priors(build(BASE, BUYER, one_order))

    assert priors["discount_share"] == pytest.approx(0.4)  # (4 x 0.5 + 1 x 0) / 5
    assert priors["carts_per_view"] == pytest.approx(0.1)


def test_compute_traits_draws_a_rate_of_few_orders_to_the_mean() -> None:
    priors = measure_priors(build(BASE)) | {"discount_share": 0.1}
    one_order = BUYER | {"count_orders": 1, "discount_share": 1.0}

    traits = compute_traits(build(one_order), priors)

    assert traits["discount_share"][0] == pytest.approx(math.sqrt((1 + 2 * 0.1) / 3))


def test_compute_traits_without_orders_leaves_order_traits_empty() -> None:
    traits = compute_traits(build(BASE), measure_priors(build(BASE)))

    row = traits.select("orders", "average_order_value", "discount_share", "refund_rate").row(0)

    assert row == (0.0, None, None, None)


def test_scale_traits_without_orders_is_neutral_in_order_value() -> None:
    features = build(BASE, BUYER, BUYER | {"average_order_value": 5000.0})
    traits = compute_traits(features, priors := measure_priors(features))
    scaling = fit_scaling(traits, priors)

    vectors = scale_traits(traits, scaling)

    assert vectors[0, scaling.names.index("average_order_value")] == pytest.approx(0, abs=1e-9)


def test_fit_scaling_leaves_out_what_is_equal_for_all_and_shares_weights() -> None:
    features = build(BASE, BUYER)
    traits = compute_traits(features, priors := measure_priors(features))

    scaling = fit_scaling(traits, priors)

    # Both buying traits vary and share their dimension's weight; all else is equal.
    assert scaling.names == ("orders", "orders_per_session")
    assert scaling.weights == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
