import polars as pl
import pytest

from jobs.clusters.names import name_clusters


def test_name_clusters_says_what_sets_each_apart_and_is_unique() -> None:
    centres = pl.DataFrame(
        {
            "buyer_share": [0.9, 0.05, 0.9, 0.9],
            "order_ratio": [1.5, 0.0, 1.0, 1.0],
            "days_since_last_seen": [0.0, -0.1, 1.5, 1.5],
            "orders": [1.0, -1.0, 0.0, 0.0],
            "average_order_value": [1.2, 0.0, -0.9, -0.9],
            "sessions_per_week": [0.1, 0.7, -0.7, -0.7],
        }
    )

    named = name_clusters(centres)

    assert named["cluster_name"].to_list() == [
        "Frequent buyers, high order value",
        "Browsers without orders, frequent visits",
        "Lapsed buyers, low order value",
        "Lapsed buyers, low order value, rare visits",
    ]


def test_name_clusters_with_equal_centres_numbers_them() -> None:
    centres = pl.DataFrame(
        {"buyer_share": [0.9] * 3, "order_ratio": [1.0] * 3, "orders": [0.0] * 3}
    )

    names = name_clusters(centres)["cluster_name"].to_list()

    assert names == ["Buyers", "Buyers (2)", "Buyers (3)"]


def test_name_clusters_describes_the_largest_differences() -> None:
    centres = pl.DataFrame(
        {"buyer_share": [0.25], "order_ratio": [1.0], "orders": [-0.5], "refund_rate": [1.25]}
    )

    description = name_clusters(centres)["description"][0]

    assert description == (
        "25% have ordered; against the average customer: refund_rate +1.2 sd, orders -0.5 sd"
    )


@pytest.mark.parametrize(
    ("buyer_share", "order_ratio", "days_since_last_seen", "name"),
    [
        (1.0, 1.0, 0.0, "Buyers"),  # of one order each, where hardly anybody orders
        (0.9, 1.3, 0.0, "Frequent buyers"),
        (0.9, 0.7, 0.0, "Occasional buyers"),
        (0.4, 2.0, 0.0, "Visitors who rarely order"),
        (0.4, 2.0, 1.0, "Lapsed visitors"),
        (0.1, 2.0, 1.0, "Lapsed browsers"),
    ],
)
def test_name_clusters_calls_no_cluster_what_most_of_it_are_not(
    buyer_share: float, order_ratio: float, days_since_last_seen: float, name: str
) -> None:
    centres = pl.DataFrame(
        {
            "buyer_share": [buyer_share],
            "order_ratio": [order_ratio],
            "days_since_last_seen": [days_since_last_seen],
            "orders": [2.0],
        }
    )

    assert name_clusters(centres)["cluster_name"][0].split(",")[0] == name
