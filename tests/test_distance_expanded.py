"""City-block distances of many columns: from sums of maxima where those are proven good, and else directly."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import distance as scipy_distance

from fastcluster_ext import cdist, kmedoids, linkage, nearest, pdist, silhouette_score

BOUND = 5e-13  # relative; metrics.h
# Around the fewest and the most columns of maxima, and where blocks of features end.
COLUMNS = (31, 32, 33, 64, 128, 129, 256, 257, 700)
MANY_COLUMNS = (16_384, 16_385)


def normal(n, p):
    return np.random.default_rng(p).normal(size=(n, p))


def near_and_far(n, p):
    """Return rows half of which are nearly equal to one of the others, so that only some of any few are proven good."""
    draw = np.random.default_rng(p)
    values = draw.normal(size=(n, p))
    values[::2] = values[1 : 2 * len(values[::2]) : 2][draw.integers(0, n // 2, len(values[::2]))]
    values[::2, :3] += draw.normal(size=values[::2, :3].shape) * 10.0 ** draw.integers(-12, 1, (len(values[::2]), 1))
    return values


DATA = {
    "normal": normal,
    "positive": lambda n, p: np.exp(normal(n, p)),
    "at the edge of trust": lambda n, p: normal(n, p) + 0.564 * 2**12 / (min(p, 128) + p // 128 + 3),
    "offset of 1e6": lambda n, p: normal(n, p) + 1e6,
    "offset of 1e15": lambda n, p: normal(n, p) + 1e15,
    "offsets of columns": lambda n, p: normal(n, p) + 1e3 * np.arange(p),
    "offsets of some rows": lambda n, p: normal(n, p) + np.where(np.arange(n) % 3, 0, 1e3)[:, np.newaxis],
    "near and far": near_and_far,
    "all magnitudes": lambda n, p: normal(n, p) * 10.0 ** np.random.default_rng(0).integers(-9, 9, (n, p)),
    "sparse": lambda n, p: normal(n, p) * (np.random.default_rng(0).random((n, p)) < 0.05),
    "subnormal": lambda n, p: np.round(normal(n, p) * 100) * 5e-324,
    "nearly subnormal": lambda n, p: normal(n, p) * 1e-307,
    "1e29": lambda n, p: normal(n, p) * 1e29,
    "1e305": lambda n, p: np.clip(normal(n, p), -3, 3) * 1e303,
}


def exact(x, y):
    """Return the rounded sum of |x - y|: each difference is the sum of two numbers without any error."""
    difference = x - y
    taken = difference - x
    rest = (x - (difference - taken)) - (y + taken)
    return math.fsum(np.concatenate([np.abs(difference), np.where(difference < 0, -rest, rest)]))


def exact_pairs(values):
    return np.array([exact(values[i], values[j]) for i in range(len(values)) for j in range(i + 1, len(values))])


@pytest.mark.parametrize("p", COLUMNS)
@pytest.mark.parametrize("kind", DATA)
def test_the_bound_is_kept(kind, p):
    values = DATA[kind](41, p)
    assert_allclose(pdist(values, "cityblock"), exact_pairs(values), rtol=BOUND, atol=0)


@pytest.mark.parametrize("p", MANY_COLUMNS)
@pytest.mark.parametrize("kind", ["positive", "near and far", "offset of 1e6"])
def test_the_bound_is_kept_with_many_columns(kind, p):
    values = DATA[kind](6, p)
    assert_allclose(pdist(values, "cityblock"), exact_pairs(values), rtol=BOUND, atol=0)


@pytest.mark.parametrize("p", [33, 64, 128, 257])
@pytest.mark.parametrize("kind", DATA)
def test_a_distance_depends_on_its_two_points_only(kind, p):
    values = DATA[kind](300, p)
    draw = np.random.default_rng(0)
    matrix = cdist(values, values, "cityblock", n_threads=1)
    assert_array_equal(matrix, matrix.T)
    assert_array_equal(np.diagonal(matrix), 0)
    assert_array_equal(pdist(values, "cityblock", n_threads=3), matrix[np.triu_indices(300, 1)])
    for i, j in draw.integers(0, 300, (60, 2)):
        assert cdist(values[i : i + 1], values[j : j + 1], "cityblock")[0, 0] == matrix[i, j]
    for i in draw.integers(0, 300, 5):
        assert_array_equal(cdist(values[i : i + 1], values, "cityblock")[0], matrix[i])
    order = draw.permutation(300)
    assert_array_equal(cdist(values[order], values[order[:70]], "cityblock"), matrix[np.ix_(order, order[:70])])


@pytest.mark.parametrize("p", [64, 257])
@pytest.mark.parametrize("kind", DATA)
def test_equal_rows_are_at_zero_from_each_other_and_alike_from_others(kind, p):
    values = np.tile(DATA[kind](20, p), (5, 1))
    matrix = cdist(values, values, "cityblock")
    assert_array_equal(matrix, np.tile(matrix[:20, :20], (5, 5)))
    assert_array_equal(np.diagonal(matrix, 40), 0)


@pytest.mark.parametrize("p", [32, 128, 300])
def test_zeros_of_either_sign(p):
    values = np.zeros((40, p))
    values[::2] = -0.0
    values[::3, 5] = 1.5
    found = cdist(values, values, "cityblock")
    assert_array_equal(found, 1.5 * np.abs(np.subtract.outer(values[:, 5] > 0, values[:, 5] > 0, dtype=float)))
    assert not np.signbit(found).any()


@pytest.mark.parametrize("p", [32, 100, 300])
def test_integers_are_exact(p):
    values = np.random.default_rng(0).integers(0, 256, (150, p)).astype(np.uint8)
    values[50:] = values[:100] ^ (np.random.default_rng(1).random((100, p)) < 0.01)
    wanted = scipy_distance.pdist(values.astype(float), "cityblock")
    assert_array_equal(pdist(values, "cityblock"), wanted)
    assert_array_equal(pdist(values + 2.0**40, "cityblock"), wanted)


@pytest.mark.parametrize("p", [32, 100, 300])
def test_nan_infinity_and_overflow_are_scipys(p):
    values = normal(80, p)
    values[3, 7], values[11, p - 1] = np.nan, np.nan
    values[5, 0] = values[17, 0] = values[18, p - 1] = np.inf
    values[6, 0] = -np.inf
    values[40:44] *= 1e307  # sums overflow, and some distances
    values[44:48] = 1e308  # sums overflow, distances do not
    values[45, 3] = 9e307
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = scipy_distance.cdist(values, values, "cityblock")
    assert np.isinf(wanted[40, 0:80]).any() or np.isinf(wanted).any()
    assert wanted[44, 45] == 1e308 - 9e307
    for found in (cdist(values, values, "cityblock"), cdist(values[::-1], values, "cityblock")[::-1]):
        assert_allclose(found, wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["normal", "at the edge of trust", "near and far"])
def test_all_who_take_distances_take_the_same(kind):
    values = DATA[kind](200, 64)
    distances = cdist(values, values, "cityblock")
    condensed = distances[np.triu_indices(200, 1)]
    labels, least = nearest(values, values[:50] + 0.01, "cityblock")
    to_centers = cdist(values, values[:50] + 0.01, "cityblock")
    assert_array_equal(labels, to_centers.argmin(axis=1))
    assert_array_equal(least, to_centers.min(axis=1))
    assert_array_equal(linkage(values, "average", "cityblock"), linkage(condensed, "average"))
    own, given = (
        kmedoids(data, 5, metric=metric, random_state=0)
        for data, metric in ((values, "manhattan"), (distances, "precomputed"))
    )
    assert_array_equal(own.medoids, given.medoids)
    assert_array_equal(own.labels, given.labels)
    assert own.loss == given.loss
    assert silhouette_score(values, own.labels, metric="cityblock") == pytest.approx(
        silhouette_score(distances, own.labels, metric="precomputed"), rel=1e-13
    )
