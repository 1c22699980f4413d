"""k-medians and spherical k-means: brute force, SciPy's distances, NumPy's medians."""

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist as scipy_cdist

from fastcluster_ext import kmeans, nearest

DTYPES = [np.uint8, np.uint16, np.float32, np.float64]
METRICS = ["manhattan", "cosine"]


def points_of(n, p, dtype, seed=0):
    values = np.random.default_rng(seed).gamma(2.0, 20.0, (n, p)) + 1
    return values.astype(dtype)


def assert_same_bits(one, other):
    for name in ("labels", "centers", "inertia", "cluster_inertia", "total_inertia", "sizes", "n_iter"):
        assert np.asarray(getattr(one, name)).tobytes() == np.asarray(getattr(other, name)).tobytes(), name


def assert_consistent(X, result, metric, weights=None):
    np.testing.assert_array_equal(result.labels, nearest(X, result.centers, metric)[0])
    name = {"manhattan": "cityblock"}.get(metric, metric)
    costs = scipy_cdist(np.asarray(X, dtype=float), result.centers, name).min(axis=1)
    weights = np.ones(len(X)) if weights is None else weights
    # Cosine distances of nearly equal directions have few digits.
    assert result.inertia == pytest.approx((costs * weights).sum(), rel=1e-9, abs=1e-13 * weights.sum())
    assert (result.cluster_weights > 0).all()
    np.testing.assert_array_equal(result.sizes, np.bincount(result.labels, minlength=len(result.centers)))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_medians_are_exact(dtype, weighted):
    for n in (1, 2, 3, 10, 11, 500):
        X = points_of(n, 3, dtype, seed=n)
        weights = np.random.default_rng(n).integers(0, 4, n) + (np.arange(n) == 0) if weighted else None
        center = kmeans(X, 1, metric="manhattan", sample_weight=weights).centers[0]
        repeated = X if weights is None else np.repeat(X, weights, axis=0)
        np.testing.assert_array_equal(center, np.median(repeated.astype(float), axis=0))


@pytest.mark.kernel
@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 5)), min_size=1, max_size=30))
def test_weighted_median_of_ties(pairs):
    values, weights = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    center = kmeans(values[:, np.newaxis], 1, metric="manhattan", sample_weight=weights).centers[0, 0]
    assert center == np.median(np.repeat(values, weights.astype(int)))


@pytest.mark.kernel
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_plain_algorithm(metric, dtype, weighted):
    X = points_of(3000, 4, dtype)
    weights = np.random.default_rng(1).integers(1, 5, len(X)).astype(float) if weighted else None
    centers, labels = reference.lloyd_of_metric(X, X[:6], metric, weights)
    result = kmeans(X, 6, init=X[:6], metric=metric, sample_weight=weights, tol=0, n_threads=2)
    np.testing.assert_allclose(result.centers, centers, rtol=1e-9)
    assert (result.labels != labels).mean() < 1e-3  # ties, which rounding decides
    assert_consistent(X, result, metric, weights)
    assert_same_bits(result, kmeans(X, 6, init=X[:6], metric=metric, sample_weight=weights, tol=0, n_threads=1))


@pytest.mark.parametrize("metric", METRICS)
def test_weights_are_repeated_rows(metric):
    X = points_of(400, 3, np.float64)
    weights = np.random.default_rng(1).integers(0, 4, len(X))
    one = kmeans(X, 5, init=X[:5], metric=metric, sample_weight=weights)
    other = kmeans(np.repeat(X, weights, axis=0), 5, init=X[:5], metric=metric)
    np.testing.assert_allclose(one.centers, other.centers, rtol=1e-12)
    assert one.inertia == pytest.approx(other.inertia, rel=1e-9)
    assert one.total_inertia == pytest.approx(other.total_inertia, rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_pixels_are_grouped(metric):
    generator = np.random.default_rng(3)
    X = generator.integers(1, 9, (20_000, 3)).astype(np.uint8)
    init = np.unique(X, axis=0)[::90][:5]
    grouped, by_row = (kmeans(values, 5, init=init, metric=metric) for values in (X, X.astype(float)))
    np.testing.assert_array_equal(grouped.labels, by_row.labels)
    np.testing.assert_allclose(grouped.centers, by_row.centers, rtol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_empty_clusters_history_and_callback(metric):
    X = points_of(500, 2, np.float64)
    init = np.concatenate([X[:2], np.repeat(X[:1], 3, axis=0)])
    seen = []
    result = kmeans(X, 5, init=init, metric=metric, history=True, callback=seen.append)
    assert_consistent(X, result, metric)
    assert len(result.history) == len(seen) == result.n_iter
    inertias = [step.inertia for step in result.history]
    assert inertias == sorted(inertias, reverse=True)
    for step in result.history:
        np.testing.assert_array_equal(step.labels, nearest(X, step.centers, metric)[0])
    assert kmeans(X, 5, init=init, metric=metric, callback=lambda step: True).n_iter == 1


@pytest.mark.parametrize("init", ["k-means++", "random", "random-partition"])
@pytest.mark.parametrize("metric", ["euclidean", *METRICS])
def test_ways_to_begin(metric, init):
    X = points_of(2000, 3, np.float64)
    result = kmeans(X, 8, init=init, metric=metric, random_state=0)
    assert_same_bits(result, kmeans(X, 8, init=init, metric=metric, random_state=0))
    assert result.inertia < 0.8 * result.total_inertia
    assert 0 < result.explained < 1


def test_names_of_others():
    X = np.random.default_rng(0).normal(size=(60, 4))
    medians = kmeans(X, 3, metric="cityblock", algorithm="Lloyd", init=X[:3])
    np.testing.assert_array_equal(medians.labels, kmeans(X, 3, metric="manhattan", init=X[:3]).labels)
    found = kmeans(X, 3, algorithm="Hartigan-Wong", init=X[:3])
    np.testing.assert_array_equal(found.labels, kmeans(X, 3, algorithm="hartigan-wong", init=X[:3]).labels)


def test_cosine_does_not_see_the_scale_of_weights():
    X = np.random.default_rng(0).normal(size=(60, 4))
    expected = kmeans(X, 3, metric="cosine", init=X[:3])
    for scale in (1e-200, 1e200):
        result = kmeans(X, 3, metric="cosine", init=X[:3], sample_weight=np.full(60, scale))
        np.testing.assert_array_equal(result.labels, expected.labels)
        assert result.inertia == pytest.approx(scale * expected.inertia, rel=1e-12)
    with pytest.raises(ValueError, match="rescale"):
        kmeans(X * 1e-170, 3, metric="cosine", init=X[:3])


def test_cosine_does_not_see_lengths():
    X = points_of(1000, 5, np.float64)
    lengths = 10.0 ** np.random.default_rng(0).integers(-3, 4, (1000, 1))
    one, other = (kmeans(values, 6, random_state=1, metric="cosine") for values in (X, X * lengths))
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(np.linalg.norm(one.centers, axis=1), 1, rtol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_random_partition_has_no_empty_cluster(weighted):
    X = points_of(12, 2, np.float64)
    weights = np.array([0.0, 2.0] * 6) if weighted else None
    for seed in range(20):
        k = 6 if weighted else 12
        history = kmeans(X, k, init="random-partition", random_state=seed, sample_weight=weights, history=True).history
        assert np.isfinite(history[0].centers).all()


def test_bad_arguments():
    X = points_of(20, 2, np.float64)
    with pytest.raises(ValueError, match="metric must be one of 'euclidean', 'manhattan', 'cosine', got 'chebyshev'"):
        kmeans(X, 2, metric="chebyshev")
    with pytest.raises(ValueError, match="algorithm must be 'auto' or 'lloyd' with metric='cosine', got 'hartigan'"):
        kmeans(X, 2, metric="cosine", algorithm="hartigan")
    with pytest.raises(ValueError, match="init holds only zeros at row 1"):
        kmeans(X, 2, metric="cosine", init=[[1, 1], [0, 0]])
    X[7] = 0
    with pytest.raises(ValueError, match="X holds only zeros at row 7"):
        kmeans(X, 2, metric="cosine")


def test_printed_in_the_words_of_the_metric():
    X = np.array([[0, 1], [255, 250], [250, 251]], dtype=np.uint8)
    lines = repr(kmeans(X, 2, metric="manhattan", init=X[:2])).splitlines()
    assert lines[2] == "Cluster medians:"
    assert lines[-5:-2] == [
        "Within cluster sum of absolute differences by cluster:",
        "[0. 6.]",
        " (between / total =  98.8 %)",
    ]
    lines = repr(kmeans(X, 2, metric="cosine", init=X[:2])).splitlines()
    assert lines[2] == "Cluster directions:"
    assert lines[-5] == "Within cluster sum of 1 - cos by cluster:"


@pytest.mark.parametrize("metric", ["euclidean", *METRICS])
def test_steps_can_be_followed_on_paper(metric):
    X = points_of(64, 2, np.float64)
    result = kmeans(X, 3, metric=metric, random_state=0, history=True)
    assert result.metric == metric
    for step in result.history:
        distances = step.distances(X)
        np.testing.assert_array_equal(distances.argmin(axis=1), step.labels)
        name = {"manhattan": "cityblock"}.get(metric, metric)
        np.testing.assert_allclose(distances, scipy_cdist(X, step.centers, name), rtol=1e-12, atol=1e-14)
        costs = distances.min(axis=1) ** (2 if metric == "euclidean" else 1)
        assert step.inertia == pytest.approx(costs.sum(), rel=1e-12)
