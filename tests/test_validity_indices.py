"""Validity indices against scikit-learn, R's examples, brute force and hand-made values."""

import json
from pathlib import Path

import numpy as np
import pytest
from reference import seeded_medoid_problem
from scipy.spatial.distance import cdist as scipy_cdist
from sklearn import metrics
from sklearn.cluster import KMeans

from fastcluster_ext import (
    adjusted_rand_score,
    calinski_harabasz_score,
    choose_k,
    cluster_spread,
    contingency,
    davies_bouldin_score,
    gap_statistic,
    medoid_silhouette_score,
    rand_score,
    silhouette_samples,
    silhouette_score,
    simplified_silhouette_samples,
)


def labelled(n=500, p=3, k=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    return rng.normal(size=(k, p))[labels] * 3 + rng.normal(size=(n, p)), labels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cityblock", "chebyshev", "cosine", "precomputed"])
def test_silhouette_is_that_of_scikit_learn(dtype, metric):
    X, labels = labelled()
    X = (X * 10 + 100).astype(dtype)
    data = scipy_cdist(X.astype(float), X.astype(float)) if metric == "precomputed" else X
    expected = metrics.silhouette_samples(
        data if metric == "precomputed" else X.astype(np.float64), labels, metric=metric
    )
    for n_threads in (1, 2, 3):
        found = silhouette_samples(data, labels, metric=metric, n_threads=n_threads)
        np.testing.assert_allclose(found, expected, atol=1e-10)
    assert silhouette_score(data, labels, metric=metric) == pytest.approx(expected.mean(), abs=1e-10)


@pytest.mark.parametrize("n", [3, 31, 32, 33, 64, 200])
def test_silhouette_of_every_size_with_singletons_and_names(n):
    X, _ = labelled(n)
    labels = np.array(["a", "b"])[np.arange(n) % 2]
    labels[0] = "c" if n > 3 else labels[0]
    np.testing.assert_allclose(silhouette_samples(X, labels), metrics.silhouette_samples(X, labels), atol=1e-12)


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 5, 8, 9])
def test_silhouette_of_several_blocks(blocks):
    X, labels = labelled(256 * blocks - 100, k=3)
    expected = metrics.silhouette_samples(X, labels)
    found = [silhouette_samples(X, labels, n_threads=n_threads) for n_threads in (1, 2, 4)]
    np.testing.assert_allclose(found[0], expected, atol=1e-12)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    spread = cluster_spread(X, labels)
    distances = scipy_cdist(X, X)
    same = labels[:, np.newaxis] == labels
    np.testing.assert_allclose(spread.diameter, [distances[same & (labels == j)].max() for j in range(3)])
    np.testing.assert_allclose(spread.separation, [distances[~same & (labels == j)].min() for j in range(3)])


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cityblock", "precomputed"])
def test_weighted_silhouette_is_that_of_repeated_rows(metric):
    X, labels = labelled(150)
    weights = np.random.default_rng(1).integers(1, 4, len(X))
    rows = np.repeat(np.arange(len(X)), weights)
    expected = metrics.silhouette_samples(
        X[rows],
        labels[rows],
        metric="cityblock" if metric == "cityblock" else ("sqeuclidean" if metric == "sqeuclidean" else "euclidean"),
    )
    data = scipy_cdist(X, X) if metric == "precomputed" else X
    found = silhouette_samples(data, labels, metric=metric, sample_weight=weights)
    np.testing.assert_allclose(found[rows], expected, atol=1e-10)
    score = silhouette_score(data, labels, metric=metric, sample_weight=weights)
    assert score == pytest.approx(expected.mean(), abs=1e-10)


def test_squared_euclidean_far_from_the_origin():
    X, labels = labelled()
    expected = metrics.silhouette_samples(X, labels, metric="sqeuclidean")
    np.testing.assert_allclose(silhouette_samples(X + 1e6, labels, metric="sqeuclidean"), expected, atol=1e-7)


@pytest.mark.parametrize("labels", [[0] * 6, range(6), [0, 1]])
def test_silhouette_of_impossible_labels(labels):
    with pytest.raises(ValueError, match="labels"):
        silhouette_samples(np.arange(12.0).reshape(6, 2), list(labels))


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda d: d[:3], "square"), (lambda d: -d, ">= 0"), (np.triu, "not symmetric"), (lambda d: d * np.nan, "nan")],
)
def test_silhouette_of_bad_matrices(change, message):
    distances = scipy_cdist(np.arange(12.0).reshape(6, 2), np.arange(12.0).reshape(6, 2))
    with pytest.raises(ValueError, match=message):
        silhouette_samples(change(distances), [0, 0, 0, 1, 1, 1], metric="precomputed")


def test_simplified_and_medoid_silhouette():
    X, labels = labelled()
    centers = np.array([X[labels == j].mean(axis=0) for j in range(5)])
    distances = scipy_cdist(X, centers)
    rows = np.arange(len(X))
    own = distances[rows, labels]
    distances[rows, labels] = np.inf
    other = distances.min(axis=1)
    expected = (other - own) / np.maximum(own, other)
    np.testing.assert_allclose(simplified_silhouette_samples(X, centers, labels), expected, atol=1e-12)


def test_medoid_silhouette_is_that_of_the_kmedoids_package():
    fixture = json.loads((Path(__file__).parent / "data" / "kmedoids_package.json").read_text())
    X, medoids = seeded_medoid_problem(0)
    assert medoid_silhouette_score(X, medoids) == pytest.approx(fixture["medoid_silhouette"], rel=1e-12)


def test_spread_by_brute_force():
    X, labels = labelled(200)
    distances = scipy_cdist(X, X)
    same = labels[:, None] == labels
    spread = cluster_spread(X, labels)
    for j in range(5):
        assert spread.diameter[j] == pytest.approx(distances[labels == j][:, labels == j].max())
        assert spread.separation[j] == pytest.approx(np.where(same, np.inf, distances)[labels == j].min())


@pytest.mark.parametrize("seed", range(5))
def test_rand_indices_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, 300), rng.integers(0, 7, 300)
    assert rand_score(a, b) == pytest.approx(metrics.rand_score(a, b), abs=1e-15)
    assert adjusted_rand_score(a, b) == pytest.approx(metrics.adjusted_rand_score(a, b), abs=1e-15)
    np.testing.assert_array_equal(contingency(a, b), metrics.cluster.contingency_matrix(a, b))
    assert contingency(a, b).dtype == np.int64
    assert contingency(a, b, sample_weight=np.ones(300)).dtype == np.float64
    weights = rng.integers(1, 4, 300)
    rows = np.repeat(np.arange(300), weights)
    weighted = adjusted_rand_score(a, b, sample_weight=weights)
    assert weighted == pytest.approx(adjusted_rand_score(a[rows], b[rows]), abs=1e-12)


def test_rand_indices_of_scikit_learns_tests():
    assert rand_score([0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 2, 2]) == pytest.approx(2 / 3)
    assert adjusted_rand_score([0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 2, 2]) == pytest.approx(0.24242, abs=1e-5)
    assert rand_score([0, 0, 1, 1], [1, 1, 0, 0]) == adjusted_rand_score([0, 0, 1, 1], [1, 1, 0, 0]) == 1.0
    assert adjusted_rand_score([0], [5]) == adjusted_rand_score([0, 1, 2], [2, 1, 0]) == 1.0


def test_rand_indices_of_a_thousand_million_points():
    table = np.array([[400_000_000, 100_000_000], [100_000_000, 400_000_000]])
    n, together = 10**9, sum(c * (c - 1) // 2 for c in (4 * 10**8, 10**8, 10**8, 4 * 10**8))
    side, every = 2 * (5 * 10**8 * (5 * 10**8 - 1) // 2), n * (n - 1) // 2
    assert rand_score(table=table) == float((every + 2 * together - 2 * side) / every)
    expected = (together - side * side / every) / (side - side * side / every)
    assert adjusted_rand_score(table=table) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(TypeError, match="table"):
        rand_score([0], [0], table=table)
    with pytest.raises(ValueError, match="shape"):
        rand_score([0, 1], [0])


def test_rand_indices_count_whole_points():
    weights = 1e300 * np.arange(1, 5)  # whole, as large floats are
    assert rand_score([0, 0, 1, 2], [0, 0, 1, 1], sample_weight=weights) == pytest.approx(1 - 2 * 12 / 100)
    for score in (rand_score, adjusted_rand_score):
        with pytest.raises(ValueError, match="sample_weight, must hold whole numbers"):
            score([0, 0, 1], [0, 1, 1], sample_weight=[1, 0.5, 1])
        for bad in (0.5, np.nan, np.inf, -1.0):
            with pytest.raises(ValueError, match="table"):
                score(table=[[1.0, bad], [2.0, 1.0]])


def test_clusters_without_weight_are_as_good_as_absent():
    X = np.random.default_rng(0).normal(size=(30, 2))
    labels, weights = np.arange(30) % 3, np.where(np.arange(30) % 3 == 2, 0, 1)
    kept = weights > 0
    for score in (calinski_harabasz_score, davies_bouldin_score, silhouette_score):
        assert score(X, labels, sample_weight=weights) == pytest.approx(score(X[kept], labels[kept]), rel=1e-12)
        with pytest.raises(ValueError, match="labels must hold from 2"):
            score(X, np.minimum(labels, 1), sample_weight=(labels == 0).astype(float))
        with pytest.raises(TypeError, match="labels must be of one kind"):
            score(X, np.array(["a", 1] * 15, dtype=object))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_variance_ratio_and_davies_bouldin(dtype):
    X, labels = labelled()
    X = (X * 10 + 100).astype(dtype)
    wide = X.astype(np.float64)
    assert calinski_harabasz_score(X, labels) == pytest.approx(metrics.calinski_harabasz_score(wide, labels), rel=1e-10)
    assert davies_bouldin_score(X, labels) == pytest.approx(metrics.davies_bouldin_score(wide, labels), rel=1e-10)
    weights = np.random.default_rng(0).integers(1, 4, len(X))
    rows = np.repeat(np.arange(len(X)), weights)
    for ours, theirs in (
        (calinski_harabasz_score, metrics.calinski_harabasz_score),
        (davies_bouldin_score, metrics.davies_bouldin_score),
    ):
        assert ours(X, labels, sample_weight=weights) == pytest.approx(theirs(wide[rows], labels[rows]), rel=1e-10)
        with pytest.raises(ValueError, match="labels"):
            ours(X, np.zeros(len(X)))


def test_scikit_learns_own_values():
    X = [[0, 0], [1, 1]] * 5 + [[3, 3], [4, 4]] * 5 + [[0, 4], [1, 3]] * 5 + [[3, 1], [4, 0]] * 5
    labels = [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10
    assert calinski_harabasz_score(X, labels) == pytest.approx(45 * (40 - 4) / (5 * (4 - 1)))
    assert davies_bouldin_score(X, labels) == pytest.approx(2 * np.sqrt(0.5) / 3)
    assert calinski_harabasz_score([[-1, -1], [1, 1]] * 10, [0] * 10 + [1] * 10) == 0.0
    assert davies_bouldin_score([[-1, -1], [1, 1]] * 10, [0] * 10 + [1] * 10) == pytest.approx(0.0)


def test_three_clusters_are_found():
    rng = np.random.default_rng(4)
    X = np.array([[0, 0], [10, 0], [4, 9]])[np.arange(120) % 3] + rng.normal(size=(120, 2))
    chosen = choose_k(X, range(1, 6), n_references=3, random_state=0)
    assert chosen.suggested["silhouette"] == chosen.suggested["calinski_harabasz"] == 3, chosen
    assert chosen.k == 3
    assert "elbow" in repr(chosen)
    gap = gap_statistic(X, [1, 2, 3, 4], n_references=4, n_init=2, random_state=0)
    assert gap.k == 3
    same = gap_statistic(X, [1, 2, 3, 4], n_references=4, n_init=2, random_state=0, n_threads=1)
    np.testing.assert_array_equal(gap.gap, same.gap)
    with pytest.raises(ValueError, match="ascending"):
        choose_k(X, [3, 2])
    with pytest.raises(TypeError, match="ks must be numbers of clusters"):
        choose_k(X, 6)
    assert chosen.explained[0] == 0


def weighted_blobs():
    rng = np.random.default_rng(6)
    X = np.array([[0, 0], [10, 0], [4, 9]])[np.arange(60) % 3] + rng.normal(size=(60, 2))
    return X, rng.integers(1, 5, 60)


def test_choose_k_names_all_that_are_suggested_most(iris):
    chosen = choose_k(iris, range(2, 7), n_references=5, random_state=0)
    chosen.suggested.clear()
    chosen.suggested.update(gap=6, elbow=3, silhouette=2, calinski_harabasz=3, davies_bouldin=2)
    assert (chosen.k, str(chosen).rpartition("; ")[2]) == (2, "most: 2")
    chosen.suggested["gap"] = 3
    assert (chosen.k, str(chosen).rpartition("; ")[2]) == (2, "most: 2 or 3")


def test_choose_k_takes_weights_as_repeated_rows():
    X, weights = weighted_blobs()
    weighted = choose_k(X, range(1, 5), n_init=20, sample_weight=weights, random_state=0)
    repeated = choose_k(np.repeat(X, weights, axis=0), range(1, 5), n_init=20, random_state=1)
    for name in ("inertia", "explained", "silhouette", "calinski_harabasz", "davies_bouldin"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-10, atol=1e-12)
    for name in ("silhouette", "calinski_harabasz", "davies_bouldin", "elbow", "gap"):
        assert weighted.suggested[name] == repeated.suggested[name] == 3


def test_gap_of_weights_is_of_references_with_these_weights():
    X, weights = weighted_blobs()
    ks, n_references = (1, 2, 3), 8
    gap = gap_statistic(X, ks, n_references=n_references, n_init=10, sample_weight=weights, random_state=0)
    draws = np.random.default_rng(1)

    def log_inertias(points):
        return [np.log(KMeans(k, n_init=10, random_state=0).fit(points, sample_weight=weights).inertia_) for k in ks]

    references = [log_inertias(draws.uniform(X.min(axis=0), X.max(axis=0), X.shape)) for _ in range(40)]
    # The same up to chance: other references.
    deviation = np.std(references, axis=0) * np.sqrt(1 / 40 + 1 / n_references)
    assert (np.abs(np.mean(references, axis=0) - log_inertias(X) - gap.gap) < 3 * deviation).all()


def test_points_without_weight_change_nothing_and_a_common_factor_not_the_gap():
    X, weights = weighted_blobs()
    far = np.concatenate([X[:30], np.full((5, 2), 1e3), X[30:]])
    padded = np.concatenate([weights[:30], np.zeros(5), weights[30:]])
    arguments = {"n_references": 3, "random_state": 0}
    plain = choose_k(X, range(1, 5), sample_weight=weights, **arguments)
    with_others = choose_k(far, range(1, 5), sample_weight=padded, **arguments)
    scaled = choose_k(X, range(1, 5), sample_weight=8.0 * weights, **arguments)
    for name in ("inertia", "silhouette", "calinski_harabasz", "davies_bouldin", "gap", "gap_error"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(with_others, name))
    for name in ("davies_bouldin", "gap", "gap_error"):
        np.testing.assert_allclose(getattr(scaled, name), getattr(plain, name), rtol=1e-10)
    assert with_others.suggested == plain.suggested
    with pytest.raises(ValueError, match="ks must be from 1 to 60"):
        gap_statistic(far, [61], sample_weight=padded)
