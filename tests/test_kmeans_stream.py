"""KMeansStream: chunks of points, each used once."""

import pickle

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from processes import run_python

from fastcluster_ext import KMeansStream, nearest

DTYPES = [np.uint8, np.uint16, np.float32, np.float64]


def points_of(n, p, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 200, size=(n, p)).astype(dtype)


def followed_by_hand(chunks, centers):
    """Each center as the weighted mean of all that was assigned to it, in plain NumPy."""
    centers, totals = np.array(centers, dtype=float), np.zeros(len(centers))
    for points, weights in chunks:
        labels = reference.nearest(points, centers)
        for j in range(len(centers)):
            own = labels == j
            if weights[own].sum() > 0:
                total = totals[j] + weights[own].sum()
                centers[j] = (totals[j] * centers[j] + (weights[own, np.newaxis] * points[own]).sum(axis=0)) / total
                totals[j] = total
    return centers, totals


@pytest.mark.kernel
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("p", "k"), [(1, 3), (2, 2), (3, 16), (4, 5), (7, 70), (40, 8)])
def test_every_center_is_the_mean_of_what_was_assigned_to_it(p, k, dtype, weighted):
    points = points_of(5000, p, dtype)
    weights = np.random.default_rng(1).integers(0, 4, size=5000).astype(float) if weighted else np.ones(5000)
    start = np.unique(points, axis=0)[:k].astype(float)
    stream = KMeansStream(len(start), init=start, reassignment_ratio=0)
    cuts = [slice(0, 10), slice(10, 11), slice(11, 2500), slice(2500, 5000)]
    weights[[0, 10]] = 1
    for cut in cuts:
        stream.partial_fit(points[cut], weights[cut] if weighted else None)
    centers, totals = followed_by_hand([(points[cut].astype(float), weights[cut]) for cut in cuts], start)
    np.testing.assert_allclose(stream.centers, centers, rtol=1e-10)
    np.testing.assert_array_equal(stream.cluster_weights, totals)
    assert (stream.n_steps, stream.n_points) == (4, 5000)
    np.testing.assert_array_equal(stream.predict(points), nearest(points, stream.centers)[0])


@pytest.mark.kernel
@settings(max_examples=60, deadline=None)
@given(
    points=arrays(
        np.float64, st.tuples(st.integers(1, 600), st.integers(1, 6)), elements=st.integers(-3, 3).map(float)
    ),
    k=st.integers(1, 9),
    seed=st.integers(0, 9),
)
def test_any_shape_and_any_ties(points, k, seed):
    rng = np.random.default_rng(seed)
    start = rng.integers(-3, 4, size=(k, points.shape[1])).astype(float)
    weights = rng.integers(0, 3, size=len(points)).astype(float)
    weights[0] = 1
    stream = KMeansStream(k, init=start, reassignment_ratio=0).partial_fit(points, weights)
    centers, totals = followed_by_hand([(points, weights)], start)
    np.testing.assert_allclose(stream.centers, centers, atol=1e-12)
    np.testing.assert_array_equal(stream.cluster_weights, totals)
    assert stream.inertia == pytest.approx(reference.inertia(points, start, weights))


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("p", "k"), [(3, 12), (50, 300)])
def test_same_bits_for_any_number_of_threads(p, k, dtype):
    points = np.random.default_rng(3).random((60_000, p)) * 200
    points, weights = points.astype(dtype), np.random.default_rng(4).random(60_000)
    results = []
    for threads in (1, 2, 5):
        stream = KMeansStream(k, random_state=7, n_threads=threads)
        stream.partial_fit(points[:40_000], weights[:40_000]).partial_fit(points[40_000:], weights[40_000:])
        results.append((stream.centers.tobytes(), stream.cluster_weights.tobytes(), stream.inertia))
    assert results[0] == results[1] == results[2]


@pytest.mark.kernel
@pytest.mark.parametrize("view", ["strided", "Fortran", "reversed", "big-endian", "read-only"])
def test_any_layout(view):
    points = points_of(3000, 5, np.float64)
    shown = {
        "strided": np.repeat(points, 2, axis=1)[:, ::2],
        "Fortran": np.asfortranarray(points),
        "reversed": points[::-1].copy()[::-1],
        "big-endian": points.astype(">f8"),
        "read-only": points,
    }[view]
    shown.flags.writeable = False
    expected = KMeansStream(6, random_state=1).partial_fit(points)
    np.testing.assert_array_equal(KMeansStream(6, random_state=1).partial_fit(shown).centers, expected.centers)


@pytest.mark.kernel
def test_one_cluster_is_the_mean_far_from_the_origin():
    points = (np.random.default_rng(0).normal(size=(20_000, 3)) + 1e6).astype(np.float32)
    stream = KMeansStream(1).fit(points, chunk_rows=1000)
    np.testing.assert_allclose(stream.centers[0], points.mean(axis=0, dtype=float), rtol=1e-14)


def test_fit_cuts_rows_and_leaves_none_out():
    points = points_of(1049, 3, np.float64)
    for rows, steps in ((100, 10), (1000, 1), (5000, 1), (699, 2)):
        stream = KMeansStream(3, random_state=0).fit(points, chunk_rows=rows)
        assert (stream.n_steps, stream.n_points) == (steps, 1049)
    assert KMeansStream(2, random_state=0).fit([[0.0], [1.0]]).n_steps == 1


def test_clusters_are_found():
    rng = np.random.default_rng(0)
    centers = rng.permutation(np.arange(8.0))[:, np.newaxis] * [30.0, -20.0]
    points = centers[rng.integers(0, 8, 40_000)] + rng.normal(size=(40_000, 2))
    for init in ("k-means++", "random"):
        stream = KMeansStream(8, init=init, random_state=2).fit(points, chunk_rows=500)
        if init == "k-means++":
            found = stream.centers[nearest(centers, stream.centers)[0]]
            np.testing.assert_allclose(found, centers, atol=0.2)
        assert np.isfinite(stream.centers).all()


def test_light_centers_move_to_points_of_the_chunk():
    points = points_of(400, 2, np.float64)
    start = np.concatenate([[[100.0, 100.0]], np.full((3, 2), 1e6)])
    stream = KMeansStream(4, init=start, random_state=0).partial_fit(points)
    assert stream.n_reassigned == 3
    assert {tuple(row) for row in stream.centers[1:]} <= {tuple(row) for row in points}
    np.testing.assert_array_equal(stream.cluster_weights, [400] * 4)
    unmoved = KMeansStream(4, init=start, reassignment_ratio=0).partial_fit(points)
    np.testing.assert_array_equal(unmoved.centers[1:], start[1:])
    only_one = np.zeros(400)
    only_one[7] = 1
    stream = KMeansStream(4, init=start, random_state=0).partial_fit(points, only_one)
    assert stream.n_reassigned == 1
    np.testing.assert_array_equal(stream.centers[:2], points[[7, 7]])


def test_points_without_weight_are_no_seeds():
    points = np.concatenate([points_of(300, 2, np.float64), np.full((300, 2), 1e6)])
    weights = np.repeat([1.0, 0.0], 300)
    for init in ("k-means++", "random"):
        for init_size in (50, None):
            stream = KMeansStream(30, init=init, init_size=init_size, random_state=1).partial_fit(points, weights)
            assert stream.centers.max() < 200


def test_seeds_come_from_all_rows_where_a_sample_has_too_few_distinct_ones():
    points = np.zeros((5000, 2))
    points[-3:] = [[1, 0], [0, 1], [1, 1]]
    for init in ("k-means++", "random"):
        stream = KMeansStream(4, init=init, init_size=50, reassignment_ratio=0, random_state=0).partial_fit(points)
        assert stream.inertia == 0
        assert sorted(stream.cluster_weights) == [1, 1, 1, 4997]


def test_memory_map_in_bounded_memory(tmp_path):
    points = points_of(400_000, 16, np.float32)
    points.tofile(tmp_path / "points")
    code = f"""
import numpy as np
from fastcluster_ext import KMeansStream

def anonymous():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines["RssAnon"].split()[0])

X = np.memmap({str(tmp_path / "points")!r}, np.float32, "r", shape=(400_000, 16))
stream = KMeansStream(8, random_state=0).partial_fit(X[:20_000])
first = anonymous()
print(max(anonymous() - first for start in range(0, 400_000, 20_000) if stream.partial_fit(X[start : start + 20_000])))
"""
    kilobytes = int(run_python(code).stdout)
    assert kilobytes < 6000  # of 25 600
    whole = KMeansStream(8, random_state=0)
    for start in range(0, 400_000, 20_000):
        whole.partial_fit(points[start : start + 20_000])
    mapped = np.memmap(tmp_path / "points", np.float32, "r", shape=(400_000, 16))
    again = KMeansStream(8, random_state=0).fit(mapped, chunk_rows=20_000)
    np.testing.assert_array_equal(again.centers, whole.centers)


def test_repr():
    stream = KMeansStream(2, random_state=0).partial_fit(np.arange(9.0).reshape(-1, 1))
    assert repr(stream) == "KMeansStream of 2 clusters: 9 points seen in 1 chunks"


def test_pickle_goes_on_where_it_was():
    points = points_of(500, 3, np.float64)
    for state in (3, np.random.default_rng(3), np.random.RandomState(3)):
        stream = KMeansStream(9, random_state=state).partial_fit(points)
        copy = pickle.loads(pickle.dumps(stream))
        np.testing.assert_array_equal(stream.partial_fit(points[::-1]).centers, copy.partial_fit(points[::-1]).centers)


def test_centers_that_were_shown_do_not_change():
    points = points_of(500, 3, np.float64)
    stream = KMeansStream(4, init=points[:4])
    before, copy = stream.centers, stream.centers.copy()
    stream.partial_fit(points)
    np.testing.assert_array_equal(before, copy)
    np.testing.assert_array_equal(points, points_of(500, 3, np.float64))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X: KMeansStream(0), ValueError, "k must be at least 1|k must be from 1"),
        (lambda X: KMeansStream(2, init="forgy"), ValueError, "init must be one of"),
        (lambda X: KMeansStream(2, init=[[1.0]]), ValueError, "init must have 2 rows"),
        (lambda X: KMeansStream(2, init_size=1), ValueError, "init_size must be at least 2"),
        (lambda X: KMeansStream(2, reassignment_ratio=-1), ValueError, "reassignment_ratio"),
        (lambda X: KMeansStream(2, random_state="x"), TypeError, "random_state"),
        (lambda X: KMeansStream(2, n_threads=0).partial_fit(X), ValueError, "n_threads"),
        (lambda X: KMeansStream(2).predict(X), ValueError, "no centers before the first chunk"),
        (lambda X: KMeansStream(2).fit(X, chunk_rows=1), ValueError, "chunk_rows must be at least 2"),
        (lambda X: KMeansStream(2).fit(X[0]), ValueError, "two-dimensional"),
        (lambda X: KMeansStream(2).partial_fit(X).partial_fit(X[:, :1]), ValueError, "X must have 3 columns"),
        (lambda X: KMeansStream(2).partial_fit(X * np.nan), ValueError, "X holds nan"),
        (lambda X: KMeansStream(2).partial_fit(X, np.zeros(20)), ValueError, "sample_weight is zero for every"),
        (lambda X: KMeansStream(30).partial_fit(X), ValueError, "k must be at most the number of distinct points"),
        (lambda X: KMeansStream(30, init="random").partial_fit(X), ValueError, "k must be at most the number"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make(points_of(20, 3, np.float64))
