"""Greedy k-means++ over points ordered by a k-d tree: the draws of the plain algorithm over the same order."""

import numpy as np
import pytest
import reference

from fastcluster_ext import _kernels, kmeans_plusplus
from fastcluster_ext._kmeans import seeding

MANY = seeding._ORDER_LEAST_POINTS


def points_of(n, p, dtype, clusters=7):
    generator = np.random.default_rng(n + p)
    X = generator.normal(size=(clusters, p))[generator.integers(clusters, size=n)] + 0.3 * generator.normal(size=(n, p))
    return X.astype(dtype) if np.dtype(dtype).kind == "f" else np.clip(60 * X + 120, 0, 255).astype(dtype)


def ordered(X, weights):
    """Points, weights and numbers in the tree's order; leaves and boxes."""
    search = _kernels.load("lloyd").BoxSearch(X, weights, seeding._ORDER_NUMBERED, 2)
    rows, weights, numbers, chunks, boxes = search.layout()
    np.testing.assert_array_equal(np.sort(numbers), np.arange(len(X)))
    np.testing.assert_array_equal(rows, X[numbers])
    return rows, weights, numbers, chunks, boxes


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("p", [1, 3, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_leaving_out_what_is_far_changes_no_draw(dtype, p, weighted):
    X = points_of(20_011, p, dtype)
    weights = np.random.default_rng(p).integers(0, 4, len(X)).astype(float) if weighted else None
    rows, own, _, chunks, boxes = ordered(X, weights)
    k = 60 if p > 1 else 20
    drawn = np.random.default_rng(3).random((k, 6))
    plain, pruned = (seeding._draw(rows, own, drawn, chunks, b, 2) for b in (None, boxes))
    np.testing.assert_array_equal(plain[1], pruned[1])
    np.testing.assert_array_equal(plain[0], pruned[0])
    if np.dtype(dtype).kind == "u":  # sums of integers are exact in any order
        assert pruned[1].tolist() == reference.greedy_kmeans_plusplus(rows, drawn, own)


@pytest.mark.kernel
@pytest.mark.parametrize("spread", [0.0, 1e-3, 1e6])
def test_leaving_out_what_is_far_changes_no_draw_of_unusual_data(spread):
    generator = np.random.default_rng(5)
    X = generator.integers(0, 6, (30_000, 3)) + 1e6 + spread * generator.standard_cauchy((30_000, 3))
    rows, _, _, chunks, boxes = ordered(X, None)
    drawn = generator.random((50, 5))
    plain, pruned = (seeding._draw(rows, None, drawn, chunks, b, 2)[1] for b in (None, boxes))
    np.testing.assert_array_equal(plain, pruned)


@pytest.mark.kernel
@pytest.mark.parametrize("weighted", [False, True])
def test_seeds_of_many_points_do_not_depend_on_threads_or_layout(weighted):
    X = points_of(MANY + 7, 3, np.float32)
    weights = np.random.default_rng(1).random(len(X)) if weighted else None
    centers, indices = kmeans_plusplus(X, 40, sample_weight=weights, random_state=1, n_threads=1)
    np.testing.assert_array_equal(centers, X[indices])
    assert len(set(indices.tolist())) == 40
    wide = np.zeros((len(X), 6), dtype=">f4")
    wide[:, ::2] = X
    for points, n_threads in ((X, 3), (np.asfortranarray(X), 2), (wide[:, ::2], 2)):
        again = kmeans_plusplus(points, 40, sample_weight=weights, random_state=1, n_threads=n_threads)
        np.testing.assert_array_equal(again[1], indices)


def test_seeds_of_many_points_are_as_good_as_of_few():
    X = points_of(MANY, 2, np.float64, clusters=25)
    many, few = (
        [reference.inertia(X[::50], kmeans_plusplus(points, 25, random_state=seed)[0]) for seed in range(20)]
        for points in (X, X[: MANY - 1])
    )
    error = np.hypot(np.std(many), np.std(few)) / np.sqrt(20)
    assert abs(np.mean(many) - np.mean(few)) < 4 * error


def test_many_points_of_few_values():
    X = np.repeat(np.eye(3), MANY // 3 + 1, axis=0)
    assert len(set(kmeans_plusplus(X, 3, n_local_trials=30, random_state=0)[1] // (MANY // 3 + 1))) == 3
    with pytest.raises(ValueError, match="distinct"):
        kmeans_plusplus(X, 4, n_local_trials=30, random_state=0)
