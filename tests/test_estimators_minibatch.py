"""MiniBatchKMeans as scikit-learn wants it."""

import pickle

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans as ScikitLearnMiniBatchKMeans
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastcluster_ext
from fastcluster_ext import kmeans
from fastcluster_ext.estimators import MiniBatchKMeans

blobs = np.random.default_rng(1).normal(size=(4000, 3)) + np.repeat(np.eye(4, 3) * 12, 1000, axis=0)


@parametrize_with_checks(
    [
        MiniBatchKMeans(),
        MiniBatchKMeans(n_clusters=2, batch_size=10, max_iter=5, n_init=2),
        MiniBatchKMeans(n_clusters=3, init="random", tol=1e-3, max_no_improvement=None, reassignment_ratio=0.2),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_constructor_is_scikit_learns():
    assert MiniBatchKMeans().get_params() == ScikitLearnMiniBatchKMeans().get_params()
    assert fastcluster_ext.MiniBatchKMeans is MiniBatchKMeans


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("n", [600, 4000])
def test_is_near_the_exact_result(n, dtype):
    points = (blobs[:: 4000 // n] + 8).clip(0).astype(dtype)
    model = MiniBatchKMeans(4, random_state=0).fit(points)
    assert model.cluster_centers_.dtype == (np.float32 if dtype == np.float32 else np.float64)
    exact = kmeans(points, 4, random_state=0, n_init=5).inertia
    assert exact * (1 - 1e-6) <= model.inertia_ < 1.1 * exact
    np.testing.assert_array_equal(model.labels_, model.predict(points))
    assert model.score(points) == pytest.approx(-model.inertia_)


def test_weights():
    weights = np.repeat([0.0, 2.0, 0.0, 5.0], 1000)
    for points, sample_weight in ((blobs, weights), (blobs[::5], weights[::5])):
        model = MiniBatchKMeans(2, random_state=0, n_init=3).fit(points, sample_weight=sample_weight)
        means = [points[sample_weight == weight].mean(axis=0) for weight in (2, 5)]
        order = model.predict(means)
        np.testing.assert_allclose(model.cluster_centers_[order], means, atol=0.3)


def test_partial_fit_follows_a_stream():
    model = MiniBatchKMeans(4, random_state=0)
    shuffled = np.random.default_rng(0).permutation(blobs)
    for start in range(0, 4000, 500):
        model.partial_fit(shuffled[start : start + 500])
        assert model.labels_.shape == (500,)
    assert model.n_steps_ == 8
    assert sorted(np.bincount(model.predict(blobs)).tolist()) == pytest.approx([1000] * 4, abs=20)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        again.partial_fit(blobs[:10]).cluster_centers_, model.partial_fit(blobs[:10]).cluster_centers_
    )
    fitted = MiniBatchKMeans(4, random_state=0).fit(blobs)
    steps = fitted.n_steps_
    assert fitted.partial_fit(blobs[:100]).n_steps_ == steps + 1


def test_without_labels_the_inertia_is_estimated():
    model = MiniBatchKMeans(4, random_state=0, compute_labels=False).fit(blobs)
    assert not hasattr(model, "labels_")
    assert model.inertia_ == pytest.approx(-model.score(blobs), rel=0.3)


def test_fewer_distinct_points_than_clusters():
    points = np.resize([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], (3000, 2))
    model = MiniBatchKMeans(5, random_state=0).fit(points)
    assert model.inertia_ == pytest.approx(0, abs=1e-20)


def test_callable_init_is_called_for_every_start():
    calls = []

    def start(X, n_clusters, random_state):
        calls.append(len(X))
        return X[random_state.choice(len(X), n_clusters, replace=False)]

    MiniBatchKMeans(4, init=start, random_state=0).fit(blobs)
    assert calls == [4000] * 3


def test_frames(iris):
    frame = pd.DataFrame(iris, columns=list("abcd"))
    model = MiniBatchKMeans(3, random_state=0).set_output(transform="pandas").fit(frame)
    assert model.transform(frame).columns.tolist() == [f"minibatchkmeans{i}" for i in range(3)]
    np.testing.assert_array_equal(clone(model).fit(frame).labels_, model.labels_)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_same_bits_for_any_number_of_threads(dtype):
    points = np.random.default_rng(5).integers(0, 256, size=(300_000, 4)).astype(dtype)
    fits = []
    for threads in (1, 2, 5):
        with threadpoolctl.threadpool_limits(threads, user_api="openmp"):
            model = MiniBatchKMeans(12, batch_size=60_000, random_state=4, max_iter=2).fit(points)
        fits.append((model.labels_.tobytes(), model.cluster_centers_.tobytes(), model.inertia_, model.n_steps_))
    assert fits[0] == fits[1] == fits[2]


def test_verbose(capsys):
    MiniBatchKMeans(4, init="random", batch_size=50, random_state=0, verbose=1).fit(blobs[::10])
    shown = capsys.readouterr().out
    assert shown.count("Inertia for init") == 3
    assert "Minibatch step 2/" in shown
    assert "Converged (lack of improvement in inertia)" in shown


def test_errors_and_warnings():
    with pytest.raises(ValueError, match="n_samples=3 should be >= n_clusters=8"):
        MiniBatchKMeans().fit(blobs[:3])
    with pytest.raises(ValueError, match="n_samples=3 should be >= n_clusters=8"):
        MiniBatchKMeans().partial_fit(blobs[:3])
    with pytest.warns(RuntimeWarning, match="init_size=3 should be larger than n_clusters=4"):
        MiniBatchKMeans(4, init_size=3).fit(blobs)
    with pytest.raises(ValueError, match="batch_size"):
        MiniBatchKMeans(batch_size=0).fit(blobs)
