"""How strongly an item leads to others: a normalised co-occurrence graph, without training.

S = (D^-s (X' Du^-u X) D^-t)^p, with D and Du the numbers of customers an item and of items a customer, and ^p entry by
entry; the strongest links of each item are kept. See Park et al., "Turbo-CF" (SIGIR 2024) for the family.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from jobs.recommendations.config import RecommendationConfig

_DIGITS = 9
_DENSE_ROWS = 1_000  # rows that are looked at as a dense block


def build_similarity(
    touched: sparse.csr_array, config: RecommendationConfig
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Links from each item (row) to others (column), and the number of customers behind each.

    Args:
        touched: customers x items, 1 where there was an interaction.
        config: exponents, `max_neighbours` and `max_cells`, the size of the blocks worked on.

    Returns:
        Similarity and customer counts, both items x items, at most `max_neighbours` a row, no diagonal.
    """
    n_items = touched.shape[1]
    per_item = np.bincount(touched.indices, minlength=n_items).astype(np.float64)
    per_customer = np.diff(touched.indptr).astype(np.float64)
    customer_weights = np.maximum(per_customer, 1) ** -config.user_exponent
    weighted = (sparse.diags_array(customer_weights) @ touched).tocsr()
    by_item = touched.T.tocsr()
    source = np.maximum(per_item, 1) ** -config.source_exponent
    target = np.maximum(per_item, 1) ** -config.target_exponent
    block = max(1, config.max_cells // max(n_items, 1))
    links, counts = [], []
    for start in range(0, n_items, block):
        rows = by_item[start : start + block]
        together = (rows @ weighted).tocoo()
        is_other = together.row + start != together.col
        row, column = together.row[is_other], together.col[is_other]
        strengths = together.data[is_other] * source[row + start] * target[column]
        # Rounded before the choice: equal links must stay equal, whatever the order of summing.
        strengths = (strengths**config.sharpness).round(_DIGITS)
        found = sparse.csr_array((strengths, (row, column)), shape=together.shape)
        kept = keep_largest(found, config.max_neighbours)
        links.append(kept)
        pattern = kept.copy()
        pattern.data = np.ones(kept.nnz)
        counts.append((rows @ touched).multiply(pattern).tocsr())
    shape = (n_items, n_items)
    if not links:
        return sparse.csr_array(shape), sparse.csr_array(shape)
    return sparse.vstack(links, format="csr"), sparse.vstack(counts, format="csr")


def keep_largest(values: sparse.csr_array, count: int) -> sparse.csr_array:
    """The largest positive entries of each row, at most `count`; the first column wins a tie."""
    kept = values.copy()
    for start in range(0, values.shape[0], _DENSE_ROWS):
        piece = slice(start, start + _DENSE_ROWS)
        # Most rows of a sparse graph hold fewer entries than allowed, and need no look.
        full = np.flatnonzero(np.diff(values.indptr)[piece] > count) + start
        if len(full) == 0:
            continue
        dense = values[full].toarray()
        is_kept = np.zeros(dense.shape, dtype=np.bool_)
        np.put_along_axis(is_kept, find_largest(dense, count), values=True, axis=1)
        row_of_entry = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
        place = np.full(values.shape[0], -1)
        place[full] = np.arange(len(full))
        entries = np.flatnonzero(place[row_of_entry] >= 0)
        is_lost = ~is_kept[place[row_of_entry[entries]], values.indices[entries]]
        kept.data[entries[is_lost]] = 0
    kept.eliminate_zeros()
    kept.sort_indices()
    return kept


def find_largest(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """Columns of the largest entries of each row, largest first; the first column wins a tie.

    Returns:
        Shape (n_rows, min(count, n_columns)).
    """
    n_rows, n_columns = values.shape
    count = min(count, n_columns)
    if count == n_columns:
        return np.argsort(-values, axis=1, kind="stable")
    # Partition alone would settle ties at the border as it likes; so ties are resolved by counting.
    border = -np.partition(-values, count - 1, axis=1)[:, count - 1 : count]
    above = values > border
    missing = count - above.sum(axis=1, keepdims=True)
    level = values == border
    chosen = above | (level & (np.cumsum(level, axis=1, dtype=np.int32) <= missing))
    columns = np.nonzero(chosen)[1].reshape(n_rows, count)
    order = np.argsort(-np.take_along_axis(values, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)
