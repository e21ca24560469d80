import polars as pl
import pytest

from jobs.journeys import JourneyConfig, mine
from jobs.journeys.patterns import find_patterns
from jobs.lake import TABLES
from tests.unit.jobs.journeys.journey_events import REQUEST, add_events, open_lake

CONFIG = JourneyConfig(min_sessions=1, min_support=0.1)


def test_find_patterns_gives_support_confidence_and_lift() -> None:
    sequences = pl.DataFrame(
        {"sequence": [["view", "cart", "buy"], ["view", "cart"], ["view"]], "n_sessions": [2, 3, 5]}
    )

    found = find_patterns(sequences, CONFIG)

    assert found.rows() == [
        (["view"], "cart", 1, 5, 0.5, 0.5, 1.0),
        (["cart"], "buy", 1, 2, 0.2, 0.4, 2.0),
        (["view"], "buy", 1, 2, 0.2, 0.2, 1.0),
        (["view", "cart"], "buy", 2, 2, 0.2, 0.4, 2.0),
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CONFIG.model_copy(update={"max_length": 2}), 3),
        (CONFIG.model_copy(update={"max_patterns": 1}), 1),
        (CONFIG.model_copy(update={"min_support": 0.21}), 1),
        (CONFIG.model_copy(update={"min_sessions": 11}), 0),
    ],
)
def test_find_patterns_keeps_its_bounds(config: JourneyConfig, expected: int) -> None:
    sequences = pl.DataFrame(
        {"sequence": [["view", "cart", "buy"], ["view", "cart"], ["view"]], "n_sessions": [2, 3, 5]}
    )

    assert find_patterns(sequences, config).height == expected


def test_mine_collapses_repeated_steps_and_ignores_other_events() -> None:
    con = open_lake()
    add_events(
        con,
        [
            ("a", "s1", "product_view", "2026-06-30 10:00"),
            ("a", "s1", "product_view", "2026-06-30 10:01"),
            ("a", "s1", "login", "2026-06-30 10:02"),
            ("a", "s1", "purchase", "2026-06-30 10:03"),
            ("b", "s2", "product_view", "2026-07-02 10:00"),  # after as_of
            ("b", "s3", "product_view", "2025-07-02 10:00"),  # before the lookback
        ],
    )

    frames = mine(con, REQUEST, "r1", CONFIG)

    patterns = frames["ml.journey_patterns"]
    assert patterns.select("steps", "next_step", "n_sessions").rows() == [
        (["product_view"], "purchase", 1)
    ]
    assert frames["ml.model_runs"]["n_train"].to_list() == [1]
    assert set(patterns.columns) == set(TABLES["ml.journey_patterns"].columns) - {"as_of_date", "run_id"}  # fmt: skip


def test_mine_without_sessions_reports_not_enough_data() -> None:
    frames = mine(open_lake(), REQUEST, "r1", JourneyConfig())

    assert frames["ml.journey_patterns"].is_empty()
    assert frames["ml.model_runs"].select("status", "message").row(0) == (
        "not_enough_data",
        "0 sessions, at least 20 needed",
    )
