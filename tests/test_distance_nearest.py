"""nearest against brute force in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from fastcluster_ext import nearest
from fastcluster_ext._metrics import METRICS

NAMES = [metric.name for metric in METRICS]


def brute_force(points, centers, metric):
    distances = cdist(points.astype(float), centers.astype(float), metric)
    labels = distances.argmin(axis=1)
    return labels, distances[np.arange(len(points)), labels]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint16])
@pytest.mark.parametrize("metric", NAMES)
@pytest.mark.parametrize(("n", "k", "p"), [(1, 1, 2), (700, 40, 3), (130, 300, 150)])
def test_brute_force_finds_the_same(metric, n, k, p, dtype, n_threads):
    rng = np.random.default_rng(0)
    points, centers = ((rng.random((rows, p)) * 1000 + 1).astype(dtype) for rows in (n, k))
    if metric == "jaccard":
        points, centers = (points > 500).astype(dtype), (centers > 500).astype(dtype)
    labels, distances = nearest(points, centers, metric, n_threads=n_threads)
    wanted_labels, wanted = brute_force(points, centers, metric)
    assert labels.dtype == np.int32
    assert distances.dtype == (np.float32 if dtype == np.float32 else np.float64)
    accuracy = {"rtol": 1e-7 if dtype == np.float32 else 1e-12, "atol": 1e-14}
    assert_allclose(distances, wanted, **accuracy)
    if metric in ("hamming", "jaccard"):  # counts: ties are real, and go to the lowest index
        assert_array_equal(labels, wanted_labels)
    else:
        own = cdist(points.astype(float), centers.astype(float), metric)[np.arange(n), labels]
        assert_allclose(own, wanted, rtol=1e-13, atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["euclidean", "sqeuclidean", "cityblock", "chebyshev", "hamming"]))
def test_ties_go_to_the_lowest_index(data, metric):
    p = data.draw(st.integers(1, 5))
    coordinates = st.integers(0, 3)
    points = data.draw(hnp.arrays(np.uint8, st.tuples(st.integers(1, 200), st.just(p)), elements=coordinates))
    centers = data.draw(hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.just(p)), elements=coordinates))
    labels, distances = nearest(points, centers, metric)
    wanted_labels, wanted = brute_force(points, centers, metric)
    assert_array_equal(labels, wanted_labels)
    assert_allclose(distances, wanted, rtol=1e-15)


def test_many_centers_and_an_offset():
    rng = np.random.default_rng(0)
    points = rng.integers(0, 1000, size=(500, 4)) + 1e6
    centers = rng.integers(0, 1000, size=(3000, 4)) + 1e6
    for metric in ("euclidean", "cityblock"):
        labels, distances = nearest(points, centers, metric)
        wanted_labels, wanted = brute_force(points, centers, metric)
        assert_array_equal(labels, wanted_labels)
        assert_allclose(distances, wanted, rtol=1e-15)


def test_a_minkowski_exponent():
    rng = np.random.default_rng(0)
    points, centers = rng.normal(size=(50, 3)), rng.normal(size=(9, 3))
    labels, distances = nearest(points, centers, "minkowski", p=3)
    wanted = cdist(points, centers, "minkowski", p=3)
    assert_array_equal(labels, wanted.argmin(axis=1))
    assert_allclose(distances, wanted.min(axis=1), rtol=1e-12)


def test_undefined_distances_are_refused():
    with pytest.raises(ValueError, match="row 1 of X has no finite correlation distance"):
        nearest([[1.0, 2.0], [3.0, 3.0]], [[1.0, 2.0]], "correlation")
    # One center that is no direction does not hide another that is.
    labels, distances = nearest([[1.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]], "cosine")
    assert (labels[0], distances[0]) == (1, 0.0)


@pytest.mark.parametrize(
    ("points", "centers", "message"),
    [
        ([[np.nan]], [[1.0]], "X holds nan at row 0, column 0"),
        ([[1.0]], [[2.0], [np.inf]], "centers holds inf at row 1, column 0"),
        (np.zeros((0, 2)), [[1.0, 1.0]], "X is empty"),
        ([[1.0, 1.0]], np.zeros((0, 2)), "centers is empty"),
        ([[1.0, 1.0]], [[1.0]], "same number of columns"),
        ([1.0], [[1.0]], "X must be two-dimensional"),
    ],
)
def test_bad_input(points, centers, message):
    with pytest.raises(ValueError, match=message):
        nearest(points, centers)
