"""Slow and obvious: what a linkage promises, checked on the square matrix, merge by merge."""

import itertools
from fractions import Fraction

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


def merge_in_order(pairs, heights, n):
    """Z from an observation of both clusters of every merge, in this order."""
    cluster_of, counts, Z = list(range(n)), dict.fromkeys(range(n), 1), []
    for step, ((i, j), height) in enumerate(zip(pairs, heights, strict=True)):
        a, b = sorted((cluster_of[i], cluster_of[j]))
        counts[n + step] = counts[a] + counts[b]
        Z.append((a, b, height, counts[n + step]))
        cluster_of = [n + step if cluster in (a, b) else cluster for cluster in cluster_of]
    return np.array(Z, dtype=float)


def single_by_edges(condensed, n):
    """Kruskal's algorithm: all pairs by distance, then by the lower observation, then by the other."""
    pairs = list(itertools.combinations(range(n), 2))
    component, taken = list(range(n)), []
    for edge in np.argsort(condensed, kind="stable"):
        i, j = pairs[edge]
        if component[i] != component[j]:
            taken.append(edge)
            component = [component[i] if label == component[j] else label for label in component]
    return merge_in_order([pairs[edge] for edge in taken], [condensed[edge] for edge in taken], n)


def complete_in_rounds(condensed):
    """All that are each other's nearest (the lowest of equally near) merge at once, into the higher of the two."""
    matrix = squareform(condensed)
    n = len(matrix)
    np.fill_diagonal(matrix, np.inf)
    alive, merges = np.arange(n), []
    rounds = 0
    while len(alive) > 1:
        nearest = dict(zip(alive, alive[np.argmin(matrix[np.ix_(alive, alive)], axis=1)], strict=True))
        pairs = [(a, b) for a, b in nearest.items() if a < b and nearest[b] == a]
        for a, b in pairs:
            merges.append((matrix[a, b], rounds, a, b))
        for a, b in pairs:
            matrix[b] = matrix[:, b] = np.maximum(matrix[a], matrix[b])
            matrix[b, b] = np.inf
        alive = np.setdiff1d(alive, [a for a, _ in pairs])
        rounds += 1
    merges.sort()
    return merge_in_order([merge[2:] for merge in merges], [merge[0] for merge in merges], n)


def median_closest_first(points):
    """Of the closest pairs the lowest merges first, into the higher of the two; in fractions."""
    centers = {i: [Fraction(value) for value in point] for i, point in enumerate(points.tolist())}
    pairs, heights = [], []
    while len(centers) > 1:
        squared, a, b = min(
            (sum((x - y) ** 2 for x, y in zip(centers[a], centers[b], strict=True)), a, b)
            for a, b in itertools.combinations(sorted(centers), 2)
        )
        centers[b] = [(x + y) / 2 for x, y in zip(centers.pop(a), centers[b], strict=True)]
        pairs.append((a, b))
        heights.append(float(squared) ** 0.5)
    return merge_in_order(pairs, heights, len(points))
