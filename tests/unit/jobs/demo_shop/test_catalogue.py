import numpy as np
import pytest

from jobs.demo_shop import DemoShopConfig
from jobs.demo_shop.catalogue import ALWAYS, Catalogue, build_catalogue, draw_table, items_frame


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return build_catalogue(DemoShopConfig(n_items=63), np.random.default_rng(1))


def test_draw_table_weights_give_their_shares() -> None:
    assert draw_table(np.array([1.0, 0.0, 3.0]), 8).tolist() == [0, 0, 2, 2, 2, 2, 2, 2]


def test_complements_item_leads_within_its_family(catalogue: Catalogue) -> None:
    # 63 items: the last family has three, so item 62 has nothing to lead to but itself.
    assert catalogue.complements[[0, 1, 4, 60, 61, 62]].tolist() == [1, 2, 0, 61, 62, 62]


def test_available_item_before_launch_is_replaced(catalogue: Catalogue) -> None:
    catalogue.first_days[7], catalogue.end_days[7] = 10, 20
    shown = catalogue.available(np.array([7, 7, 7, 7]), np.array([9, 10, 19, 20]))
    assert shown.tolist() == [5, 7, 7, 5]


def test_available_substitutes_are_always_sold(catalogue: Catalogue) -> None:
    assert (catalogue.first_days[catalogue.substitutes] == -1).all()
    assert (catalogue.end_days[catalogue.substitutes] == ALWAYS).all()


def test_items_frame_columns_and_order() -> None:
    config = DemoShopConfig()
    items = items_frame(config, build_catalogue(config, np.random.default_rng(1)))
    assert items.columns == [
        "item_id", "title", "description", "category", "brand", "price", "currency", "is_in_stock",
        "available_from", "available_until",
    ]  # fmt: skip
    assert items["item_id"].to_list()[:2] == ["i-0001", "i-0002"]
    assert items["item_id"].n_unique() == items["title"].n_unique() == 600
    assert items["category"].n_unique() == 12
    assert 0.01 < (~items["is_in_stock"]).mean() < 0.10
    assert 0.03 < (items["available_from"] >= config.first_day).mean() < 0.12
