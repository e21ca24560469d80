import polars as pl

from jobs.clusters.names import name_clusters


def test_name_clusters_says_what_sets_each_apart_and_is_unique() -> None:
    centres = pl.DataFrame(
        {
            "buyer_share": [0.9, 0.05, 0.9, 0.9],
            "days_since_last_seen": [0.0, -0.1, 1.5, 1.5],
            "orders": [1.0, -1.0, 0.0, 0.0],
            "average_order_value": [1.2, 0.0, -0.9, -0.9],
            "sessions_per_week": [0.1, 0.6, -0.5, -0.5],
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
    centres = pl.DataFrame({"buyer_share": [0.9] * 3, "orders": [0.0] * 3})

    names = name_clusters(centres)["cluster_name"].to_list()

    assert names == ["Occasional buyers", "Occasional buyers (2)", "Occasional buyers (3)"]


def test_name_clusters_describes_the_largest_differences() -> None:
    centres = pl.DataFrame({"buyer_share": [0.25], "orders": [-0.5], "refund_rate": [1.25]})

    description = name_clusters(centres)["description"][0]

    assert description == (
        "25% have ordered; against the average customer: refund_rate +1.2 sd, orders -0.5 sd"
    )
