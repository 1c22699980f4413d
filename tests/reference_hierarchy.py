"""Slow and obvious: what a linkage promises, checked on the square matrix, merge by merge."""

import itertools

import numpy as np
from scipy.spatial.distance import squareform


def merged_distances(method, to_a, to_b, between, size_a, size_b, sizes):
    """Distances of the union of a and b to all others, by the textbook's formula."""
    size = size_a + size_b
    if method == "single":
        return np.minimum(to_a, to_b)
    if method == "complete":
        return np.maximum(to_a, to_b)
    if method == "average":
        return (size_a * to_a + size_b * to_b) / size
    if method == "weighted":
        return (to_a + to_b) / 2
    if method == "ward":
        squares = ((size_a + sizes) * to_a**2 + (size_b + sizes) * to_b**2 - sizes * between**2) / (size + sizes)
    elif method == "centroid":
        squares = (size_a * to_a**2 + size_b * to_b**2) / size - size_a * size_b * between**2 / size**2
    else:
        squares = (to_a**2 + to_b**2) / 2 - between**2 / 4
    return np.sqrt(np.maximum(squares, 0))


def replay(condensed, Z, method, weights=None, rtol=1e-12, atol=0.0):
    """Assert that each merge of Z is a minimum of the matrix at its time, at the height that Z says.

    Any choice among equals is accepted. Heights of sorted methods may be out of step by rounding alone.
    """
    matrix = squareform(np.asarray(condensed, dtype=float))
    n = len(matrix)
    sizes = np.ones(n) if weights is None else np.array(weights, dtype=float)
    if method == "ward":
        matrix *= np.sqrt(2 * sizes[:, None] * sizes / (sizes[:, None] + sizes))
    np.fill_diagonal(matrix, np.inf)
    row_of = {i: i for i in range(n)}
    counts = np.ones(n)
    assert Z.shape == (n - 1, 4)
    for step, (a, b, height, count) in enumerate(Z):
        assert a < b
        a, b = row_of.pop(int(a)), row_of.pop(int(b))
        between = matrix[a, b]
        assert between <= matrix.min() * (1 + rtol) + atol, (step, between, matrix.min())
        np.testing.assert_allclose(height, between, rtol=max(rtol, 1e-10), atol=atol)
        others = np.fromiter(row_of.values(), dtype=int)
        merged = merged_distances(
            method, matrix[a, others], matrix[b, others], between, sizes[a], sizes[b], sizes[others]
        )
        matrix[b, others] = matrix[others, b] = merged
        matrix[a] = matrix[:, a] = np.inf
        sizes[b] += sizes[a]
        counts[b] += counts[a]
        assert count == counts[b]
        row_of[n + step] = b


def shortest_leaf_order(Z, matrix):
    """The least sum of distances of neighboring leaves over all 2^(n - 1) orders of a tree."""
    n = len(Z) + 1
    orders = [[(i,)] for i in range(n)]
    for a, b in Z[:, :2].astype(int):
        both = [x + y for x in orders[a] for y in orders[b]]
        orders.append(both + [y + x for x in orders[a] for y in orders[b]])
    return min(sum(matrix[i, j] for i, j in itertools.pairwise(order)) for order in orders[-1])
