import numpy as np
import pytest
from scipy import sparse

from jobs.recommendations import RecommendationConfig
from jobs.recommendations.item_similarity import build_similarity, find_largest, keep_largest

PLAIN = RecommendationConfig(
    user_exponent=0, source_exponent=0, target_exponent=0, sharpness=1, max_neighbours=3
)
# Customers x items; items 0 and 1 share two customers, 0 and 2 one.
TOUCHED = sparse.csr_array(np.array([[1.0, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]))


def test_build_similarity_without_exponents_counts_shared_customers() -> None:
    similarity, shared = build_similarity(TOUCHED, PLAIN)

    expected = [[0, 2, 1, 0], [2, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert similarity.toarray().tolist() == expected
    assert shared.toarray().tolist() == expected


def test_build_similarity_normalises_and_sharpens() -> None:
    config = PLAIN.model_copy(
        update={"user_exponent": 1, "source_exponent": 1, "target_exponent": 0.5, "sharpness": 2}
    )

    similarity, _ = build_similarity(TOUCHED, config)

    # From 0 to 2: one customer of three items; two customers know 0 and one knows 2.
    assert similarity.toarray()[0, 2] == pytest.approx((1 / 3 / 2 / 1) ** 2)
    assert similarity.toarray()[2, 0] == pytest.approx((1 / 3 / 1 / 2**0.5) ** 2)


@pytest.mark.parametrize("max_cells", [1_000, 8, 4])
def test_build_similarity_in_any_block_size_is_equal(max_cells: int) -> None:
    config = PLAIN.model_copy(update={"max_neighbours": 1, "max_cells": max_cells})

    similarity, shared = build_similarity(TOUCHED, config)

    assert similarity.toarray().tolist() == [[0, 2, 0, 0], [2, 0, 0, 0], [1, 0, 0, 0], [0] * 4]
    assert shared.toarray().tolist() == similarity.toarray().tolist()


def test_find_largest_takes_the_first_column_in_a_tie() -> None:
    values = np.array([[1.0, 3, 1, 1], [0, 0, 0, 0], [1, 2, 3, 4]])

    assert find_largest(values, 2).tolist() == [[1, 0], [0, 1], [3, 2]]


def test_find_largest_asked_for_more_than_there_is_returns_all() -> None:
    assert find_largest(np.array([[1.0, 2]]), 5).tolist() == [[1, 0]]


def test_keep_largest_drops_the_rest_of_each_row() -> None:
    values = sparse.csr_array(np.array([[5.0, 1, 4, 0], [0, 2, 0, 0]]))

    assert keep_largest(values, 2).toarray().tolist() == [[5, 0, 4, 0], [0, 2, 0, 0]]
