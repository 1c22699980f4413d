"""KMedoids as scikit-learn wants estimators, and as the kmedoids package has it."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastcluster_ext import cdist, kmedoids
from fastcluster_ext.estimators import KMedoids


def not_dissimilarities(estimator):
    """What hands points to estimators of any kind."""
    return (
        {"check_clustering": "it gives points, whatever the tags say, and 'precomputed' takes dissimilarities"}
        if estimator.metric == "precomputed"
        else {}
    )


@parametrize_with_checks(
    [
        KMedoids(3, metric="manhattan", random_state=0),
        KMedoids(3, metric="manhattan", method="pam", init="build"),
        KMedoids(3, random_state=0),
    ],
    expected_failed_checks=not_dissimilarities,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


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
