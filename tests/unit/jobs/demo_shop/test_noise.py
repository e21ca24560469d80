import numpy as np

from jobs.demo_shop import DemoShopConfig
from jobs.demo_shop.customers import DAY_MS
from jobs.demo_shop.noise import arrange_lines, make_bots


def test_arrange_lines_last_day_is_split_at_noon() -> None:
    config = DemoShopConfig(n_days=28, duplicate_rate=0)
    noon = 27 * DAY_MS + DAY_MS // 2
    received = np.array([noon, noon - 1, 5, DAY_MS - 1, DAY_MS])
    lines = arrange_lines(config, received, 5, np.random.default_rng(1))
    assert lines.rows.tolist() == [2, 3, 4, 1, 0]
    assert lines.files.tolist() == [0, 0, 1, 27, 28]


def test_arrange_lines_duplicate_stands_beside_or_opens_the_next_file() -> None:
    config = DemoShopConfig(n_days=28, duplicate_rate=0.2)
    received = np.sort(np.random.default_rng(2).integers(0, 3 * DAY_MS, 500))
    lines = arrange_lines(config, received, 500, np.random.default_rng(3))
    rows, counts = np.unique(lines.rows, return_counts=True)
    assert len(rows) == 500
    assert counts.max() == 2
    moved = lines.files != received[lines.rows] // DAY_MS
    assert 5 <= moved.sum() <= 50
    starts = np.searchsorted(lines.files, [1, 2, 3])
    assert moved[starts].all()


def test_make_bots_scraper_is_faster_than_people() -> None:
    config = DemoShopConfig(n_customers=100, bot_rate=0.1)
    bots = make_bots(config, 9_000, np.random.default_rng(1))
    assert len(bots.steps) == 1_000
    scraper = np.sort(bots.occurred_ms[bots.customers == 106])
    assert len(scraper) == 300
    assert np.median(np.diff(scraper)) < 1_000
