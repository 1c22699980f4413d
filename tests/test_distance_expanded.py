"""City-block and Euclidean distances of many columns: in expanded form where that is proven good, and else directly."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import distance as scipy_distance

from fastcluster_ext import cdist, kmedoids, linkage, nearest, pdist, silhouette_score

BOUND = 5e-13  # relative; metrics.h
METRICS = ("cityblock", "sqeuclidean", "euclidean")
# Around the fewest and the most columns of the expanded form, and where blocks of features end.
COLUMNS = (31, 32, 33, 64, 65, 128, 129, 256, 257, 700)
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


def share(p):
    """Return what a distance must be of the sums that cancel to be trusted: t of metrics.h."""
    return (min(p, 64) + (p - 1) // 64 + 6) / 2**12


DATA = {
    "normal": normal,
    "positive": lambda n, p: np.exp(normal(n, p)),
    # Means of |x - y| and of its square beside those of |x| and x^2.
    "at the edge of trust in maxima": lambda n, p: normal(n, p) + 0.564 / share(p),
    "at the edge of trust in products": lambda n, p: normal(n, p) + np.sqrt(1 / share(p) - 1),
    "offset of 1e6": lambda n, p: normal(n, p) + 1e6,
    "offset of 1e15": lambda n, p: normal(n, p) + 1e15,
    "offsets of columns": lambda n, p: normal(n, p) + 1e3 * np.arange(p),
    "offsets of some rows": lambda n, p: normal(n, p) + np.where(np.arange(n) % 3, 0, 1e3)[:, np.newaxis],
    "near and far": near_and_far,
    "all magnitudes": lambda n, p: normal(n, p) * 10.0 ** np.random.default_rng(0).integers(-9, 9, (n, p)),
    "sparse": lambda n, p: normal(n, p) * (np.random.default_rng(0).random((n, p)) < 0.05),
    "1e29": lambda n, p: normal(n, p) * 1e29,
    "1e-130 to 1e-140": lambda n, p: normal(n, p) * 10.0 ** np.random.default_rng(0).integers(-140, -130, (n, 1)),
}
# Whose squares are subnormal, or overflow: these are city-block's alone.
EXTREMES = {
    "subnormal": lambda n, p: np.round(normal(n, p) * 100) * 5e-324,
    "nearly subnormal": lambda n, p: normal(n, p) * 1e-307,
    "1e305": lambda n, p: np.clip(normal(n, p), -3, 3) * 1e303,
}
CASES = [(metric, kind, make) for metric in METRICS for kind, make in DATA.items()]
CASES += [("cityblock", kind, make) for kind, make in EXTREMES.items()]

of_every_kind = pytest.mark.parametrize(
    ("metric", "make"),
    [pytest.param(metric, make, id=f"{metric}-{kind}") for metric, kind, make in CASES],
)
of_every_metric = pytest.mark.parametrize("metric", METRICS)


def exact_pairs(values, metric):
    """Return the distances in long double, whose 11 more bits leave no error that counts."""
    assert np.finfo(np.longdouble).eps < 2e-19
    wide = values.astype(np.longdouble)
    sums = []
    for i in range(len(wide) - 1):
        difference = wide[i + 1 :] - wide[i]
        sums.append((np.abs(difference) if metric == "cityblock" else difference**2).sum(axis=1))
    found = np.concatenate(sums)
    return (np.sqrt(found) if metric == "euclidean" else found).astype(np.float64)


@pytest.mark.parametrize("p", COLUMNS)
@of_every_kind
def test_the_bound_is_kept(metric, make, p):
    values = make(41, p)
    assert_allclose(pdist(values, metric), exact_pairs(values, metric), rtol=BOUND, atol=0)


@pytest.mark.parametrize("p", MANY_COLUMNS)
@pytest.mark.parametrize("kind", ["positive", "near and far", "offset of 1e6"])
@of_every_metric
def test_the_bound_is_kept_with_many_columns(metric, kind, p):
    values = DATA[kind](6, p)
    assert_allclose(pdist(values, metric), exact_pairs(values, metric), rtol=BOUND, atol=0)


@pytest.mark.parametrize("p", [33, 64, 128, 257])
@of_every_kind
def test_a_distance_depends_on_its_two_points_only(metric, make, p):
    values = make(300, p)
    draw = np.random.default_rng(0)
    matrix = cdist(values, values, metric, n_threads=1)
    assert_array_equal(matrix, matrix.T)
    assert_array_equal(np.diagonal(matrix), 0)
    assert_array_equal(pdist(values, metric, n_threads=3), matrix[np.triu_indices(300, 1)])
    for i, j in draw.integers(0, 300, (60, 2)):
        assert cdist(values[i : i + 1], values[j : j + 1], metric)[0, 0] == matrix[i, j]
    for i in draw.integers(0, 300, 5):
        assert_array_equal(cdist(values[i : i + 1], values, metric)[0], matrix[i])
    order = draw.permutation(300)
    assert_array_equal(cdist(values[order], values[order[:70]], metric), matrix[np.ix_(order, order[:70])])


@pytest.mark.parametrize("p", [64, 257])
@of_every_kind
def test_equal_rows_are_at_zero_from_each_other_and_alike_from_others(metric, make, p):
    values = np.tile(make(20, p), (5, 1))
    matrix = cdist(values, values, metric)
    assert_array_equal(matrix, np.tile(matrix[:20, :20], (5, 5)))
    assert_array_equal(np.diagonal(matrix, 40), 0)


@pytest.mark.parametrize("p", [32, 128, 300])
@of_every_metric
def test_zeros_of_either_sign(metric, p):
    values = np.zeros((40, p))
    values[::2] = -0.0
    values[::3, 5] = 1.5
    found = cdist(values, values, metric)
    assert_array_equal(
        found,
        (2.25 if metric == "sqeuclidean" else 1.5)
        * np.abs(np.subtract.outer(values[:, 5] > 0, values[:, 5] > 0, dtype=float)),
    )
    assert not np.signbit(found).any()


@pytest.mark.parametrize("p", [32, 100, 300])
@of_every_metric
def test_integers_are_exact(metric, p):
    values = np.random.default_rng(0).integers(0, 256, (150, p)).astype(np.uint8)
    values[50:] = values[:100] ^ (np.random.default_rng(1).random((100, p)) < 0.01)
    wanted = scipy_distance.pdist(values.astype(float), metric)
    assert_array_equal(pdist(values, metric), wanted)
    assert_array_equal(pdist(values + 2.0**40, metric), wanted)


@pytest.mark.parametrize("p", [32, 100, 300])
@of_every_metric
def test_nan_infinity_and_overflow_are_scipys(metric, p):
    values = normal(80, p)
    values[3, 7], values[11, p - 1] = np.nan, np.nan
    values[5, 0] = values[17, 0] = values[18, p - 1] = np.inf
    values[6, 0] = -np.inf
    # Sums of |x| or of x^2 overflow; distances to others do, and between rows 44 to 47 do not.
    huge = 1e308 if metric == "cityblock" else 1e154
    values[40:44] *= huge / 10
    values[44:48] = huge
    values[45, 3] = 0.9 * huge
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = scipy_distance.cdist(values, values, metric)
    gap = huge - 0.9 * huge
    assert wanted[44, 45] == (gap * gap if metric == "sqeuclidean" else gap)
    assert np.isinf(wanted[40, 44:]).any()
    for found in (cdist(values, values, metric), cdist(values[::-1], values, metric)[::-1]):
        assert_allclose(found, wanted, rtol=1e-12, atol=0)


def test_squares_that_underflow_are_left_out_of_no_larger_distance():
    values = np.zeros((40, 64))
    values[1::2] = 1e-170 * normal(20, 64)  # the squares are 0
    values[2::4, 0] = 1e-3
    assert_allclose(cdist(values, values), scipy_distance.cdist(values, values), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "kind", ["normal", "at the edge of trust in maxima", "at the edge of trust in products", "near and far"]
)
@pytest.mark.parametrize("metric", ["cityblock", "euclidean"])
def test_all_who_take_distances_take_the_same(metric, kind):
    values = DATA[kind](200, 64)
    distances = cdist(values, values, metric)
    condensed = distances[np.triu_indices(200, 1)]
    labels, least = nearest(values, values[:50] + 0.01, metric)
    to_centers = cdist(values, values[:50] + 0.01, metric)
    assert_array_equal(labels, to_centers.argmin(axis=1))
    if metric == "cityblock":
        assert_array_equal(least, to_centers.min(axis=1))
    else:
        assert_allclose(least, to_centers.min(axis=1), rtol=BOUND, atol=0)
    assert_array_equal(linkage(values, "average", metric), linkage(condensed, "average"))
    own, given = (
        kmedoids(data, 5, metric=name, random_state=0) for data, name in ((values, metric), (distances, "precomputed"))
    )
    assert_array_equal(own.medoids, given.medoids)
    assert_array_equal(own.labels, given.labels)
    assert own.loss == given.loss
    assert silhouette_score(values, own.labels, metric=metric) == pytest.approx(
        silhouette_score(distances, own.labels, metric="precomputed"), rel=1e-13
    )
