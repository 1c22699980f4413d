"""Single linkage of a matrix: there is one tree only, for pairs are ordered by distance, then by observations."""

import mmap
import sys

import numpy as np
import pytest
from reference_hierarchy import single_by_edges

from fastcluster_ext import linkage
from fastcluster_ext.compat import fastcluster


def random_distances(n, levels, seed=0):
    generator = np.random.default_rng((seed, n, levels or 0))
    count = n * (n - 1) // 2
    return generator.random(count) if levels is None else generator.integers(0, levels, count).astype(float)


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("levels", [1, 2, 5, 1000, None])
@pytest.mark.parametrize("n", [2, 3, 6, 33, 150])
def test_merges_by_the_lowest_observations(n, levels, dtype):
    for seed in range(3):
        distances = random_distances(n, levels, seed).astype(dtype)
        expected = single_by_edges(distances, n)
        for overwritten in (False, True):
            found = linkage(distances, n_threads=2, preserve_input=not overwritten)
            np.testing.assert_array_equal(found, expected)


def one_large_component(n):
    """Observation 0 is near to most others; the rest are in pairs, at distances of few levels from all else."""
    generator = np.random.default_rng(n)
    distances = 5.0 + generator.integers(0, 3, (n, n))
    near = generator.permutation(np.arange(1, n))[: n - 101]
    distances[0, near] = distances[near, 0] = generator.integers(1, 4, len(near))
    others = np.setdiff1d(np.arange(1, n), near)
    distances[others[::2], others[1::2]] = 1
    return distances[np.triu_indices(n, 1)]


def several_rounds(n):
    """Pairs of pairs of pairs: every round of Boruvka's algorithm halves the components, no more."""
    order = np.random.default_rng(n).permutation(n)
    levels = np.frexp(np.bitwise_xor.outer(order, order))[1]
    return (levels + 0.5 * np.random.default_rng(n + 1).random((n, n)))[np.triu_indices(n, 1)]


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", [one_large_component, several_rounds])
def test_components_of_any_size(make, dtype):
    n = 601
    distances = make(n).astype(dtype)
    expected = single_by_edges(distances, n)
    for n_threads in (1, 2, 3):
        np.testing.assert_array_equal(linkage(distances, n_threads=n_threads), expected)


@pytest.mark.kernel
@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
@pytest.mark.parametrize("n", [3, 40, 150])
def test_infinite_distances(n, share):
    distances = random_distances(n, 50)
    distances[np.random.default_rng(n).random(len(distances)) < share] = np.inf
    np.testing.assert_array_equal(fastcluster.linkage(distances, "single"), single_by_edges(distances, n))


@pytest.mark.kernel
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_found_wherever_it_is(value):
    n = 600
    for row, column in ((0, 1), (0, n - 1), (299, 300), (n - 2, n - 1)):
        distances = random_distances(n, None)
        distances[row * (2 * n - row - 3) // 2 - 1 + column] = value
        with pytest.raises(ValueError, match=f"rows {row} and {column} is"):
            linkage(distances)


MAP_NORESERVE = 0x4000  # as Python 3.13 names it


# Elsewhere, 8.6 GB would have to be there; Linux promises them, and gives pages as they are written.
@pytest.mark.skipif(sys.platform != "linux", reason="needs MAP_NORESERVE: more memory than there is")
def test_more_distances_than_31_bits_count():
    """2 151 647 200 distances, more than 65 536 observations: all 0, and never written, but for a few lesser ones."""
    n = 65_600
    count = n * (n - 1) // 2
    assert count > 2**31
    memory = mmap.mmap(-1, 4 * count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
    distances = np.frombuffer(memory, np.float32)
    pairs = [(n - 2, n - 1), (65_535, 65_536), (0, n - 1), (46_340, 46_341), (21_000, 65_550), (65_537, 65_599)]
    for height, (i, j) in zip(range(-len(pairs), 0), pairs, strict=True):
        distances[i * (2 * n - i - 3) // 2 - 1 + j] = height
    tree = linkage(distances)
    np.testing.assert_array_equal(tree[: len(pairs), 2], range(-len(pairs), 0))
    # The first cluster, number n, is what 0 and then 65 537 join.
    merges = [(n - 2, n - 1), (65_535, 65_536), (0, n), (46_340, 46_341), (21_000, 65_550), (65_537, n + 2)]
    np.testing.assert_array_equal(tree[: len(pairs), :2], merges)
    assert (tree[len(pairs) :, 2] == 0).all()
    assert tree[-1, 3] == n
