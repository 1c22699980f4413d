"""KMedoids as scikit-learn wants estimators, and as the kmedoids package has it."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastcluster_ext import cdist, kmedoids
from fastcluster_ext.estimators import KMedoids


class Dissimilar(KMedoids):
    """The default KMedoids, given what it takes where scikit-learn gives points."""

    def fit(self, X, y=None, sample_weight=None):
        dissimilarities = cdist(X, X, "cityblock")
        dissimilarities.flags.writeable = False
        return super().fit(dissimilarities, y, sample_weight)


@parametrize_with_checks(
    [
        KMedoids(),
        KMedoids(3, metric="manhattan", random_state=0),
        KMedoids(3, metric="manhattan", method="pam", init="build"),
    ]
)
def test_scikit_learns_checks(estimator, check):
    # Of all checks, this one does not ask for the tag `pairwise`: it fits 50 points with two coordinates, some of them
    # negative, which "precomputed" has to refuse (test_precomputed_refuses_points). So it gets their dissimilarities.
    if check.func.__name__ == "check_clustering" and estimator.metric == "precomputed":
        estimator = Dissimilar(**estimator.get_params())
    check(estimator)


def test_precomputed_refuses_points():
    with pytest.raises(ValueError, match=r"square matrix of dissimilarities, got shape \(50, 2\); for points"):
        KMedoids().fit(np.ones((50, 2)))
    with pytest.raises(ValueError, match="Negative values"):
        KMedoids().fit(-np.eye(9))


def test_is_kmedoids():
    X = np.random.default_rng(0).normal(size=(1200, 3))
    distances = cdist(X, X, "cityblock")
    points = KMedoids(4, metric="manhattan", random_state=1).fit(X)
    matrix = KMedoids(4, random_state=1).fit(distances)
    result = kmedoids(X, 4, init="random", random_state=1)
    for model in (points, matrix):
        np.testing.assert_array_equal(
            np.sort(model.labels_), np.sort(model.predict(X if model is points else distances))
        )
        assert model.inertia_ == pytest.approx(distances[:, model.medoid_indices_].min(axis=1).sum())
    np.testing.assert_array_equal(points.medoid_indices_, result.medoids)
    np.testing.assert_array_equal(points.predict(X), points.labels_)
    np.testing.assert_array_equal(points.cluster_centers_, X[result.medoids])
    assert matrix.cluster_centers_ is None
    assert points.transform(X).shape == (1200, 4)


def test_parameters_and_attributes_are_those_of_the_kmedoids_package():
    fixture = json.loads((Path(__file__).parent / "data" / "kmedoids_package.json").read_text())
    ours = KMedoids(3, metric="euclidean", random_state=0)
    assert (fixture["parameters"] | {"metric": "euclidean"}).items() <= ours.get_params().items()
    assert KMedoids(3).metric == fixture["parameters"]["metric"]
    ours.fit(np.random.default_rng(0).normal(size=(50, 2)))
    assert set(fixture["attributes"]) <= set(vars(ours))
