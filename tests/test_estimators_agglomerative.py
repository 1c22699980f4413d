import itertools

import numpy as np
import pytest
from sklearn import cluster as sklearn_cluster
from sklearn.metrics import pairwise_distances
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastcluster_ext.estimators import AgglomerativeClustering

points = np.random.default_rng(3).normal(size=(90, 3))


@parametrize_with_checks([AgglomerativeClustering()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


METRICS = ("euclidean", "l1", "manhattan", "cosine", "precomputed")
# Ward's method is for Euclidean distances.
WAYS = [("ward", "euclidean"), *itertools.product(("complete", "average", "single"), METRICS)]


@pytest.mark.parametrize(("linkage", "metric"), WAYS)
@pytest.mark.parametrize("n_clusters", [1, 2, 7, 90])
def test_equals_scikit_learn(n_clusters, metric, linkage):
    data = pairwise_distances(points) if metric == "precomputed" else points
    options = {"n_clusters": n_clusters, "linkage": linkage, "metric": metric, "compute_distances": True}
    ours = AgglomerativeClustering(**options).fit(data)
    theirs = sklearn_cluster.AgglomerativeClustering(**options).fit(data)
    np.testing.assert_array_equal(np.sort(ours.children_), np.sort(theirs.children_))
    np.testing.assert_allclose(ours.distances_, theirs.distances_, rtol=1e-9)
    for name in ("n_clusters_", "n_leaves_", "n_connected_components_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    if linkage == "single":  # scikit-learn orders the two children of a merge otherwise there
        first = {label: np.flatnonzero(theirs.labels_ == label)[0] for label in theirs.labels_}
        assert all(ours.labels_[i] == ours.labels_[first[theirs.labels_[i]]] for i in range(len(data)))
        assert len(set(ours.labels_)) == len(set(theirs.labels_))
    else:
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)


def test_threshold():
    for threshold in (0.5, 1.0, 100.0):
        options = {"n_clusters": None, "distance_threshold": threshold, "linkage": "average"}
        ours = AgglomerativeClustering(**options).fit(points)
        theirs = sklearn_cluster.AgglomerativeClustering(**options).fit(points)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)
        assert ours.n_clusters_ == theirs.n_clusters_


def test_callable_metric():
    ours = AgglomerativeClustering(metric=pairwise_distances, linkage="complete").fit(points)
    np.testing.assert_array_equal(ours.labels_, AgglomerativeClustering(linkage="complete").fit(points).labels_)


def test_errors():
    with pytest.raises(NotImplementedError, match="connectivity"):
        AgglomerativeClustering(connectivity=np.eye(90)).fit(points)
    with pytest.raises(ValueError, match="Exactly one"):
        AgglomerativeClustering(distance_threshold=1.0).fit(points)
    with pytest.raises(ValueError, match="compute_full_tree"):
        AgglomerativeClustering(n_clusters=None, distance_threshold=1.0, compute_full_tree=False).fit(points)
    with pytest.raises(ValueError, match="Ward"):
        AgglomerativeClustering(metric="cosine").fit(points)
    with pytest.raises(ValueError, match="more clusters than samples"):
        AgglomerativeClustering(n_clusters=91).fit(points)
    with pytest.raises(ValueError, match="square"):
        AgglomerativeClustering(metric="precomputed", linkage="average").fit(points)
    with pytest.raises(ValueError, match="zero vectors"):
        AgglomerativeClustering(metric="cosine", linkage="average").fit([[0.0, 0.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="metric"):
        AgglomerativeClustering(metric="warp", linkage="average").fit(points)
