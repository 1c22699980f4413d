"""KMeans as scikit-learn wants it, and as `kmeans` computes."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import threadpoolctl
from processes import run_python
from sklearn.base import clone
from sklearn.cluster import KMeans as ScikitLearnKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastcluster_ext
from fastcluster_ext import kmeans, nearest
from fastcluster_ext.estimators import KMeans

blobs = np.random.default_rng(1).normal(size=(600, 3)) + np.repeat(np.eye(3) * 9, 200, axis=0)


# Some checks have fewer distinct points than clusters, or one cluster; the warnings of that are tested below.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:algorithm='elkan'")
@parametrize_with_checks(
    [
        KMeans(),
        KMeans(n_clusters=2),
        KMeans(n_clusters=3, init="random", n_init=3),
        KMeans(n_clusters=2, algorithm="elkan", tol=0, max_iter=5),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_constructor_is_scikit_learns():
    assert KMeans().get_params() == ScikitLearnKMeans().get_params()
    assert fastcluster_ext.KMeans is KMeans


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("n", [300, 3000])
def test_equals_kmeans(n, dtype):
    points = np.random.default_rng(n).integers(0, 50, size=(n, 3)).astype(dtype)
    weights = np.random.default_rng(2).integers(0, 3, size=n)
    start = points[:5]
    model = KMeans(5, init=start).fit(points, sample_weight=weights)
    result = kmeans(points, 5, init=start, sample_weight=weights)
    np.testing.assert_allclose(model.cluster_centers_, result.centers, rtol=1e-6 if dtype == np.float32 else 1e-12)
    assert model.cluster_centers_.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(model.labels_, model.predict(points))
    np.testing.assert_array_equal(model.labels_, nearest(points, model.cluster_centers_)[0])
    assert model.inertia_ == pytest.approx(result.inertia, rel=1e-6)
    assert model.score(points, sample_weight=weights) == pytest.approx(-model.inertia_, rel=1e-12)
    assert model.n_iter_ == result.n_iter


@pytest.mark.parametrize("tol", [0, 1e-3])
def test_equals_scikit_learn_from_given_centers(tol):
    theirs = ScikitLearnKMeans(3, init=blobs[:3], tol=tol).fit(blobs)
    ours = KMeans(3, init=blobs[:3], tol=tol).fit(blobs)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_)
    np.testing.assert_allclose(ours.transform(blobs), theirs.transform(blobs))
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.inertia_ == pytest.approx(theirs.inertia_)


def test_data_in_float32_far_from_the_origin():
    points = (blobs + 1e6).astype(np.float32)
    model = KMeans(3, random_state=0).fit(points)
    np.testing.assert_array_equal(model.labels_, model.predict(points))
    assert np.bincount(model.labels_).tolist() == [200, 200, 200]


def test_weights_are_repetitions_whatever_the_order():
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, size=len(blobs))
    repeated = np.repeat(blobs, weights, axis=0)[:900]
    weights[np.cumsum(weights) > 900] = 0
    for init in ("k-means++", "random"):
        model = KMeans(6, init=init, random_state=3)
        weighted = clone(model).fit(blobs, sample_weight=weights)
        shuffled = clone(model).fit(rng.permutation(repeated[: weights.sum()]))
        np.testing.assert_allclose(weighted.cluster_centers_, shuffled.cluster_centers_)


def test_points_of_no_weight_are_never_centers():
    weights = np.tile([0.0, 1.0], 300)
    for init in ("k-means++", "random"):
        for points in (blobs, np.repeat(blobs, 4, axis=0)):
            sample_weight = np.resize(np.repeat(weights, len(points) // 600), len(points))
            model = KMeans(20, init=init, n_init=1, random_state=0, max_iter=1).fit(points, sample_weight=sample_weight)
            assert set(model.labels_[sample_weight > 0]) == set(range(20))


def test_callable_init():
    seen = []

    def start(X, n_clusters, random_state):
        seen.append((X, n_clusters))
        return X[random_state.choice(len(X), n_clusters, replace=False)]

    model = KMeans(3, init=start, random_state=0).fit(blobs)
    assert len(seen) == 10
    assert all(np.array_equal(X, blobs) and n_clusters == 3 for X, n_clusters in seen)
    best = min(kmeans(blobs, 3, random_state=i).inertia for i in range(10))
    assert model.inertia_ == pytest.approx(best)
    with pytest.raises(ValueError, match="shape of the initial centers"):
        KMeans(3, init=lambda X, k, random_state: X[:2]).fit(blobs)


@pytest.mark.parametrize("n", [4, 4000])
def test_fewer_distinct_points_than_clusters(n):
    points = np.resize([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], (n, 2))
    with pytest.warns(
        ConvergenceWarning, match=r"Number of distinct clusters \(3\) found smaller than n_clusters \(4\)"
    ):
        model = KMeans(4, random_state=0).fit(points)
    assert set(model.labels_) == {0, 1, 2}
    assert model.inertia_ == 0
    np.testing.assert_array_equal(model.predict(points), model.labels_)


def test_frames_and_output(iris):
    names = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    frame = pd.DataFrame(iris, columns=names)
    model = KMeans(3, random_state=0, n_init=10).set_output(transform="pandas").fit(frame)
    assert model.feature_names_in_.tolist() == names
    assert model.inertia_ == pytest.approx(78.85144142614601)
    out = model.transform(frame)
    assert out.columns.tolist() == model.get_feature_names_out().tolist() == ["kmeans0", "kmeans1", "kmeans2"]
    np.testing.assert_array_equal(out.to_numpy().argmin(axis=1), model.predict(frame))
    fresh = clone(model).fit_transform(frame)
    assert isinstance(fresh, pd.DataFrame)
    np.testing.assert_array_equal(model.fit_predict(frame), model.labels_)


def test_pickle_and_joblib():
    model = KMeans(3, random_state=0).fit(blobs)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(blobs), model.labels_)
    tasks = (joblib.delayed(clone(model).fit)(blobs) for _ in range(2))
    for other in joblib.Parallel(n_jobs=2, backend="threading")(tasks):
        np.testing.assert_array_equal(other.cluster_centers_, model.cluster_centers_)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_same_bits_for_any_number_of_threads(dtype):
    # Many chunks for every thread: scikit-learn's own test of this has one.
    points = np.random.default_rng(5).integers(0, 256, size=(400_000, 4)).astype(dtype)
    fits = []
    for threads in (1, 2, 5):
        with threadpoolctl.threadpool_limits(threads, user_api="openmp"):
            model = KMeans(12, random_state=4, max_iter=8).fit(points)
        fits.append((model.labels_.tobytes(), model.cluster_centers_.tobytes(), model.inertia_, model.n_iter_))
    assert fits[0] == fits[1] == fits[2]


def test_pixels_are_predicted_as_any_points(photo):
    pixels = photo[::20, ::20].reshape(-1, 3)
    model = KMeans(16, random_state=0).fit(pixels)
    labels = model.predict(pixels)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_array_equal(labels, model.predict(pixels.astype(float)))


def test_verbose_shows_every_run(capsys):
    KMeans(3, init="random", n_init=2, tol=0, verbose=1, random_state=0).fit(blobs)
    shown = capsys.readouterr().out
    assert shown.count("Initialization complete") == 2
    assert shown.count("strict convergence") == 2
    inertia = float(shown.split("Iteration 0, inertia ")[1].split()[0].rstrip("."))
    assert inertia > 600
    KMeans(3, tol=0.5, verbose=1, random_state=0).fit(blobs.astype(np.float32))
    assert "within tolerance" in capsys.readouterr().out


def test_warnings():
    with pytest.warns(RuntimeWarning, match="performing only one init in KMeans instead of n_init=4"):
        KMeans(3, init=blobs[:3], n_init=4).fit(blobs)
    with pytest.warns(RuntimeWarning, match="doesn't make sense for a single cluster"):
        KMeans(1, algorithm="elkan").fit(blobs)


def test_errors():
    with pytest.raises(ValueError, match="n_samples=600 should be >= n_clusters=601"):
        KMeans(601).fit(blobs)
    with pytest.raises(ValueError, match="algorithm"):
        KMeans(algorithm="full").fit(blobs)
    with pytest.raises(ValueError, match="must not be negative"):
        KMeans(2).fit(blobs, sample_weight=-np.ones(600))
    with pytest.raises(ValueError, match=r"\(3, 2\) does not match the number of features of the data 3"):
        KMeans(3, init=blobs[:3, :2]).fit(blobs)
    with pytest.raises(ValueError, match="NaN"):
        KMeans(2).fit(np.where(blobs > 9, np.nan, blobs))
    with pytest.raises(TypeError, match="Sparse data"):
        KMeans(2).fit(scipy.sparse.csr_matrix(blobs))


def test_scikit_learn_is_imported_with_the_class_only():
    code = "import sys, fastcluster_ext; print('sklearn' in sys.modules); print(fastcluster_ext.KMeans().n_clusters)"
    assert run_python(code).stdout.split() == ["False", "8"]
    code = (
        "import sys; sys.modules['sklearn'] = None; import fastcluster_ext\n"
        "try: fastcluster_ext.KMeans\n"
        "except ImportError as error: print(error)"
    )
    assert run_python(code).stdout.strip() == "KMeans needs scikit-learn: pip install 'fastcluster_ext[sklearn]'"
    with pytest.raises(AttributeError, match="KMeens"):
        _ = fastcluster_ext.KMeens
