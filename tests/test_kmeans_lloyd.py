"""kmeans by Lloyd's algorithm, against brute force, scikit-learn, R's numbers and a worked example."""

import itertools
import threading
import warnings

import numpy as np
import pytest
import reference
from processes import run_python
from scipy.cluster.hierarchy import fcluster, linkage

from fastcluster_ext import KMeansResult, _kernels, kmeans, kmeans_many, kmeans_plusplus

DTYPES = [np.uint8, np.uint16, np.float32, np.float64]
THREADS = [1, 2, 3, 8]

# The worked example of the documentation: seven points, starting from the first, the fourth and the seventh.
EXAMPLE = np.array([[2, 10], [2, 5], [8, 4], [5, 8], [7, 5], [6, 4], [1, 2]])


def integers(n, p, dtype=np.float64, seed=0, most=200):
    """Whole numbers: sums of them are exact, and ties are frequent."""
    return np.random.default_rng(seed).integers(0, most + 1, (n, p)).astype(dtype)


def clustered(n, p, k, seed=0, spread=0.3):
    generator = np.random.default_rng(seed)
    places = generator.normal(size=(k, p)) * 3
    return places[generator.integers(k, size=n)] + spread * generator.normal(size=(n, p))


def assert_consistent(X, result, weights=None):
    """Labels, centers, inertia and sizes of a result agree with each other."""
    np.testing.assert_array_equal(result.labels, reference.nearest(X, result.centers))
    k = len(result.centers)
    own = ((np.asarray(X, dtype=float) - result.centers[result.labels]) ** 2).sum(axis=1)
    costs = np.bincount(result.labels, own if weights is None else own * weights, minlength=k)
    scale = max(float(result.total_inertia), np.finfo(float).tiny)
    np.testing.assert_allclose(result.cluster_inertia, costs, rtol=1e-12, atol=1e-15 * scale)
    assert result.inertia == pytest.approx(float(costs.sum()), rel=1e-12, abs=1e-15 * scale)
    np.testing.assert_array_equal(result.sizes, np.bincount(result.labels, minlength=k))
    np.testing.assert_allclose(result.cluster_weights, np.bincount(result.labels, weights, minlength=k))
    assert (result.cluster_weights > 0).all()


def assert_same_bits(one, other):
    for name in ("labels", "centers", "inertia", "cluster_inertia", "total_inertia", "sizes", "n_iter"):
        a, b = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes(), name


# --- known answers -------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [*DTYPES, np.int64, np.float16])
def test_the_worked_example(dtype):
    result = kmeans(EXAMPLE.astype(dtype), 3, init=EXAMPLE[[0, 3, 6]], history=True)
    # R's labels 1 3 2 2 2 2 3, counted from 0.
    assert result.labels.tolist() == [0, 2, 1, 1, 1, 1, 2]
    assert result.labels.dtype == np.int32
    assert result.centers.tolist() == [[2, 10], [6.5, 5.25], [1.5, 3.5]]
    assert result.inertia == 20.75
    assert result.cluster_inertia.tolist() == [0, 15.75, 5]
    assert result.sizes.tolist() == [1, 4, 2]
    assert result.cluster_weights.tolist() == [1, 4, 2]
    assert result.n_iter == 2
    assert result.converged
    assert result.feature_names == ()


def test_every_table_of_the_worked_example():
    history = kmeans(EXAMPLE, 3, init=EXAMPLE[[0, 3, 6]], history=True).history
    # Squared distances, worked out by hand. The first step puts 1 | 3 4 5 6 | 2 7 together, the second changes nothing.
    first = [[0, 13, 65], [25, 18, 10], [72, 25, 53], [13, 0, 52], [50, 13, 45], [52, 17, 29], [65, 52, 0]]
    assert [step.iteration for step in history] == [1, 2]
    assert history[0].centers.tolist() == EXAMPLE[[0, 3, 6]].tolist()
    np.testing.assert_allclose(history[0].distances(EXAMPLE), np.sqrt(first), rtol=1e-15)
    assert history[0].labels.tolist() == [0, 2, 1, 1, 1, 1, 2]
    assert history[0].inertia == 0 + 10 + 25 + 0 + 13 + 17 + 0
    # (5, 8) -> ((8 + 5 + 7 + 6) / 4, (4 + 8 + 5 + 4) / 4), (1, 2) -> ((2 + 1) / 2, (5 + 2) / 2)
    assert history[0].center_shift == 1.5**2 + 2.75**2 + 0.5**2 + 1.5**2
    assert history[1].centers.tolist() == [[2, 10], [6.5, 5.25], [1.5, 3.5]]
    to_second = [42.8125, 20.3125, 3.8125, 9.8125, 0.3125, 1.8125, 40.8125]
    to_third = [42.5, 2.5, 42.5, 32.5, 32.5, 20.5, 2.5]
    expected = np.sqrt(np.column_stack([np.array(first)[:, 0], to_second, to_third]))
    np.testing.assert_allclose(history[1].distances(EXAMPLE), expected, rtol=1e-15)
    assert history[1].labels.tolist() == [0, 2, 1, 1, 1, 1, 2]
    assert history[1].inertia == 20.75
    assert history[1].center_shift == 0


def test_iris_as_r_prints_it(iris):
    result = kmeans(iris, 3, init=iris[[0, 50, 100]])
    assert result.inertia == pytest.approx(78.851441426146, rel=1e-12)
    assert result.sizes.tolist() == [50, 62, 38]
    np.testing.assert_allclose(result.cluster_inertia, [15.15100, 39.82097, 23.87947], atol=5e-6)
    np.testing.assert_allclose(result.centers[0], [5.006, 3.428, 1.462, 0.246], rtol=1e-12)
    assert result.total_inertia == pytest.approx(681.3706, rel=1e-9)
    assert f"{100 * result.explained:.1f}" == "88.4"


def test_repr_has_the_layout_of_r():
    # print(kmeans(x, x[c(1, 4, 7), ], algorithm = "Lloyd")) in R 4.2, with labels and names counted from 0.
    assert repr(kmeans(EXAMPLE, 3, init=EXAMPLE[[0, 3, 6]])).splitlines() == [
        "K-means clustering with 3 clusters of sizes 1, 4, 2",
        "",
        "Cluster means:",
        "   [0]   [1]",
        "0    2    10",
        "1  6.5  5.25",
        "2  1.5   3.5",
        "",
        "Clustering vector:",
        "[0 2 1 1 1 1 2]",
        "",
        "Within cluster sum of squares by cluster:",
        "[ 0.   15.75  5.  ]",
        " (between_SS / total_SS =  76.8 %)",
        "",
        "Converged after 2 iterations, inertia 20.75",
    ]


def test_repr_stays_short():
    text = repr(kmeans(integers(5000, 30), 100, random_state=0, max_iter=1))
    assert len(text.splitlines()) < 50
    assert max(map(len, text.splitlines())) < 160
    assert "Stopped after 1 iteration," in text
    assert "with 1 cluster of sizes 7" in repr(kmeans(EXAMPLE, 1))


def test_result_is_frozen():
    result = kmeans(EXAMPLE, 1)
    assert isinstance(result, KMeansResult)
    with pytest.raises(AttributeError):
        result.inertia = 0.0


def test_one_cluster_is_the_mean():
    X = clustered(5000, 5, 4)
    result = kmeans(X, 1)
    np.testing.assert_allclose(result.centers[0], X.mean(axis=0), rtol=1e-13)
    assert result.inertia == pytest.approx(result.total_inertia, rel=1e-13)
    assert result.explained == pytest.approx(0, abs=1e-13)


# --- exactness -----------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 6, 7, 8, 9, 64, 200])
def test_labels_are_those_of_brute_force(p, dtype):
    k = 37
    generator = np.random.default_rng(p)
    data = {
        "random": generator.normal(size=(1201, p)),
        "clustered": clustered(1201, p, k, seed=p),
        "ties": generator.integers(0, 3, (1201, p)),
        "far away": generator.normal(size=(1201, p)) + 1e6,
        "tiny": generator.normal(size=(1201, p)) * 1e-30,
        "tiny and far away": 1 + generator.normal(size=(1201, p)) * 1e-7,
        "huge": generator.normal(size=(1201, p)) * (1e37 if dtype == np.float32 else 1e140),
        "uneven": generator.normal(size=(1201, p)) * 10.0 ** generator.integers(-12, 12, p),
    }
    for name, values in data.items():
        X = values.astype(dtype)
        distinct = np.unique(X, axis=0)
        some = distinct[generator.permutation(len(distinct))[:k]].astype(float)
        for step in kmeans(X, len(some), init=some, max_iter=3, history=True).history:
            np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers), err_msg=name)


@pytest.mark.kernel
@pytest.mark.parametrize("scale", [1e17, 1e18, 1e19, 2e19, 1e20, 1e21, 1e22, 1e23, 1e30, 1e38, 1e39])
def test_labels_near_the_end_of_the_range_of_float32(scale):
    X = np.concatenate([np.linspace(-1.4, 2.8, 997), [-1.35, -1.3, 2.7]])[:, np.newaxis] * scale
    for centers in ([-1.35, -1.3, 2.65], [-1.8, 1.8, 0.0], [-2.7, 1.3, 1.4]):
        init = np.array(centers)[:, np.newaxis] * scale
        for points in (X, np.column_stack([X, X[::-1]]), np.repeat(X, 5, axis=1)):
            start = np.repeat(init, points.shape[1], axis=1)
            labels = kmeans(points, 3, init=start, max_iter=1, history=True).history[0].labels
            np.testing.assert_array_equal(labels, reference.nearest(points, start))


@pytest.mark.kernel
def test_ties_go_to_the_lowest_index():
    X = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 0.0], [1.0, 5.0]])
    for order in ([0, 1], [1, 0]):
        labels = kmeans(X, 2, init=X[order], max_iter=1, history=True).history[0].labels
        assert labels[2:].tolist() == [0, 0]


def test_labels_of_the_photo(photo_histogram):
    colors, counts = photo_histogram
    result = kmeans(colors, 64, sample_weight=counts, random_state=0, max_iter=5, history=True)
    for step in result.history[::4]:
        np.testing.assert_array_equal(step.labels, reference.nearest(colors, step.centers))
    assert_consistent(colors, result, counts)


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 17])
def test_equals_the_reference_to_the_last_bit_on_whole_numbers(p, dtype):
    X = integers(2500, p, dtype, seed=p, most=250)
    init = np.unique(X, axis=0)[::-1][:11]
    labels, centers, inertia, n_iter = reference.lloyd(X, init)
    result = kmeans(X, 11, init=init, tol=0)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.centers, centers)
    assert result.inertia == pytest.approx(inertia, rel=1e-12)
    assert result.n_iter == n_iter
    assert result.converged


@pytest.mark.parametrize("p", [1, 2, 3, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_many_iterations_over_crowded_points(p, weighted):
    # Enough points and iterations to be ordered by a tree first; most points are equal, so that it cannot be balanced.
    generator = np.random.default_rng(p)
    X = clustered(40_000, p, 9, seed=p)
    X[generator.random(len(X)) < 0.8] = X[0]
    weights = generator.integers(0, 3, len(X)).astype(float) if weighted else None
    init = X[-12:] + generator.normal(size=(12, p))
    result = kmeans(X, 12, init=init, sample_weight=weights, max_iter=40, tol=0)
    assert_consistent(X, result, weights)
    expected = reference.lloyd(X, init, 40, weights=weights)
    np.testing.assert_array_equal(result.labels, expected[0])
    np.testing.assert_allclose(result.centers, expected[1], rtol=1e-10)


@pytest.mark.parametrize(
    ("n", "p", "k"),
    [
        (4201, 130, 203),
        pytest.param(4201, 41, 203, marks=pytest.mark.kernel),
        pytest.param(1101, 1100, 40, marks=pytest.mark.kernel),
    ],
)
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("apart", np.uint8),
        ("apart", np.float32),
        ("overlapping", np.float64),
        ("none", np.float32),
        ("equal", np.float32),
    ],
)
def test_bounds_change_nothing(kind, dtype, n, p, k):
    # Wide enough, and of enough centers, for bounds to be kept; too few rows a center for balls, and not whole tiles.
    generator = np.random.default_rng(3)
    X = {
        "apart": lambda: clustered(n, p, 150, spread=0.2),
        "overlapping": lambda: clustered(n, p, 400, spread=3.0),
        "none": lambda: generator.normal(size=(n, p)),
        "equal": lambda: np.repeat(generator.normal(size=(300, p)), 16, axis=0)[:n],
    }[kind]()
    X = (X * 12 + 128).clip(0, 255).astype(dtype)
    weights = generator.integers(0, 3, len(X)).astype(float)
    init = X[np.unique(X, axis=0, return_index=True)[1][:k]]
    options = {"init": init, "sample_weight": weights, "max_iter": 7, "tol": 0}
    result = kmeans(X, k, history=True, **options)
    for step, following in itertools.pairwise(result.history[::2]):
        np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))
        assert (following.centers != step.centers).any()
    assert_consistent(X, result, weights)
    for n_threads in (1, 3):
        assert_same_bits(result, kmeans(X, k, n_threads=n_threads, **options))


@pytest.mark.parametrize("n", [1025, 1500, 2047, 3000, 5000])
def test_few_rows_and_much_work(n):
    # Fewer chunks of bounds than threads, and of rows as many as few rows are cut into.
    X = clustered(n, 70, 90, spread=1.0).astype(np.float32)
    weights = np.random.default_rng(n).integers(0, 3, n).astype(float)
    options = {"init": X[:60], "sample_weight": weights, "max_iter": 9, "tol": 0}
    result = kmeans(X, 60, history=True, n_threads=5, **options)
    for step in result.history[::2]:
        np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))
    assert_consistent(X, result, weights)
    for n_threads in (1, 2, 3):
        assert_same_bits(result, kmeans(X, 60, n_threads=n_threads, **options))


@pytest.mark.parametrize(("n", "p", "k"), [(2049, 16, 65), (6000, 12, 64), (9000, 10, 128)])
def test_history_changes_nothing_where_balls_are_made_anew(n, p, k):
    for seed in range(8):
        generator = np.random.default_rng(seed)
        places = generator.normal(size=(k, p)) * 2
        X = (places[generator.integers(k, size=n)] + 0.3 * generator.normal(size=(n, p))).astype(np.float32)
        options = {"init": X[:k], "sample_weight": generator.random(n), "max_iter": 12, "tol": 0}
        assert_same_bits(kmeans(X, k, **options), kmeans(X, k, history=True, **options))


def test_bounds_after_balls_were_given_up():
    # Balls do not pay without clusters; bounds do, when centers hardly move any more.
    X = np.random.default_rng(7).uniform(size=(6001, 50))
    result = kmeans(X, 40, init=X[:40], max_iter=60, tol=0, history=True)
    assert result.n_iter > 40
    for step in result.history[::8] + result.history[-8:]:
        np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))
    assert_consistent(X, result)


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", range(1, 9))
def test_boxes_drop_no_center_that_is_nearest(p, dtype):
    # Whole and broken vectors of centers, equal centers, centers beside corners; whole numbers, so that ties abound.
    lloyd = _kernels.load("lloyd")
    generator = np.random.default_rng(p)
    for k in (1, 2, 3, 7, 8, 9, 16, 17, 63, 530):
        X = integers(3000, p, dtype, seed=k, most=30)
        centers = generator.integers(0, 31, (k, p)) / generator.choice([1, 2], (k, 1))
        centers[k // 2 :] = centers[: k - k // 2]
        labels, plain = np.empty(len(X), dtype=np.int32), np.empty(len(X), dtype=np.int32)
        costs = lloyd.BoxSearch(X, None, k, 2).evaluate(centers, labels)
        np.testing.assert_allclose(costs, lloyd.PlainSearch(X, None, k, 2).evaluate(centers, plain), rtol=1e-12)
        np.testing.assert_array_equal(labels, plain)
        np.testing.assert_array_equal(labels, reference.nearest(X, centers))
        moved, wanted = centers.copy(), centers.copy()
        lloyd.BoxSearch(X, None, k, 2).lloyd(moved, max_iter=1, tolerance=-1.0)
        lloyd.PlainSearch(X, None, k, 2).lloyd(wanted, max_iter=1, tolerance=-1.0)
        np.testing.assert_allclose(moved, wanted, rtol=1e-13)


@pytest.mark.kernel
@pytest.mark.parametrize("gap", [1e-6, 1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("k", [3, 5, 16, 17, 40, 64, 65, 130, 256, 257, 300])
@pytest.mark.parametrize(("n", "p"), [(500, 1), (500, 3), (2000, 6), (2000, 8)])
def test_boxes_tell_centers_apart_that_are_nearly_one(n, p, k, gap):
    # By less than what marks a score, in its last bits, with its center; the order of the marks says nothing.
    lloyd = _kernels.load("lloyd")
    generator = np.random.default_rng(k)
    X = generator.uniform(size=(n, p)).astype(np.float32)
    half = generator.uniform(size=((k + 1) // 2, p))
    centers = np.concatenate([half + gap * generator.normal(size=half.shape), half])
    centers = centers[generator.permutation(len(centers))[:k]]
    if n > 1000:
        X[17] = 50  # makes scores large, and doubts frequent, in one of the boxes
    wanted = reference.nearest(X, centers)
    labels = np.empty(len(X), dtype=np.int32)
    lloyd.BoxSearch(X, None, k, 2).evaluate(centers, labels)
    np.testing.assert_array_equal(labels, wanted)
    moved, plain = centers.copy(), centers.copy()
    lloyd.BoxSearch(X, None, k, 2).lloyd(moved, max_iter=1, tolerance=-1.0)
    lloyd.PlainSearch(X, None, k, 2).lloyd(plain, max_iter=1, tolerance=-1.0)
    np.testing.assert_allclose(moved, plain, rtol=1e-12)


@pytest.mark.kernel
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", range(1, 11))
def test_centers_are_the_same_however_rows_lie_in_memory(p, dtype, weighted):
    # Rows by column, as boxes keep them, are added up in blocks of four; these and the last ones in the rows' order.
    lloyd = _kernels.load("lloyd")
    generator = np.random.default_rng(p)
    X = generator.normal(size=(2051, p)).astype(dtype)
    weights = generator.uniform(0.1, 2, size=len(X)) if weighted else None
    for k in (3, 70):
        moved = []
        for rows in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
            centers = X[:k].astype(np.float64)
            lloyd.PlainSearch(rows, weights, k, 2).lloyd(centers, max_iter=1, tolerance=-1.0)
            moved.append(centers)
        labels = reference.nearest(X, X[:k].astype(np.float64))
        w = np.ones(len(X)) if weights is None else weights
        wanted = np.stack([np.average(X[labels == j], axis=0, weights=w[labels == j]) for j in range(k)])
        np.testing.assert_allclose(moved[0], wanted, rtol=1e-11, atol=1e-12)
        np.testing.assert_array_equal(moved[1], moved[0])
        np.testing.assert_array_equal(moved[2], moved[0])


@pytest.mark.kernel
@pytest.mark.parametrize("p", [3, 8])
def test_boxes_give_up_where_they_leave_most_centers(p):
    # Sums by boxes and sums row by row differ in their last bits, which tells them apart.
    lloyd = _kernels.load("lloyd")
    X = np.random.default_rng(9).normal(size=(20_000, p))

    def step(search, centers):
        moved = centers.copy()
        search.lloyd(moved, max_iter=1, tolerance=-1.0)
        return moved

    start = X[:40].copy()
    for most_pairs, gives_up in ((1e-3, True), (0.999999, False), (1.0, False)):
        boxes, plain = lloyd.BoxSearch(X, None, 40, 2, most_pairs=most_pairs), lloyd.PlainSearch(X, None, 40, 2)
        first, wanted = step(boxes, start), step(plain, start)
        assert not np.array_equal(first, wanted)  # by boxes still
        np.testing.assert_allclose(first, wanted, rtol=0, atol=1e-12)
        second, wanted = step(boxes, first), step(plain, first)
        assert np.array_equal(second, wanted) == gives_up
        np.testing.assert_allclose(second, wanted, rtol=0, atol=1e-12)
        labels = np.empty(len(X), dtype=np.int32)
        boxes.evaluate(second, labels)
        np.testing.assert_array_equal(labels, reference.nearest(X, second))


@pytest.mark.kernel
@pytest.mark.parametrize("scale", [1e-160, 1e-30, 1e30, 1e100, 1e150])
def test_boxes_of_very_small_and_large_numbers(scale):
    X = clustered(3000, 3, 5) * scale
    lloyd = _kernels.load("lloyd")
    labels, plain = np.empty(len(X), dtype=np.int32), np.empty(len(X), dtype=np.int32)
    lloyd.BoxSearch(X, None, 40, 2).evaluate(X[:40].copy(), labels)
    lloyd.PlainSearch(X, None, 40, 2).evaluate(X[:40].copy(), plain)
    np.testing.assert_array_equal(labels, plain)


@pytest.mark.kernel
@pytest.mark.parametrize("k", [2, 4, 8])
@pytest.mark.parametrize(("n", "p"), [(4097, 6), (9000, 8), (20_000, 7)])
def test_few_centers_of_points_with_and_without_clusters(n, p, k):
    generator = np.random.default_rng(4)
    crowded = generator.normal(size=(9, p))[generator.integers(9, size=n)]
    for X in (clustered(n, p, k), generator.uniform(size=(n, p)), crowded):
        X = X.astype(np.float32)
        result = kmeans(X, k, random_state=0, max_iter=12, tol=0, history=True)
        for step in result.history[::3]:
            np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))
        assert_consistent(X, result)


def boxes_to_ask_for(X, k, most_pairs):
    """What a trial asks for boxes, and the list of those that it got."""
    asked = []

    def boxes(share):
        if share > most_pairs:
            return None
        asked.append(_kernels.load("lloyd").BoxSearch(X, None, k, 2))
        return asked[-1]

    return boxes, asked


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["clusters", "none"])
def test_a_trial_tells_where_another_search_pays(kind):
    X = clustered(17_000, 6, 16) if kind == "clusters" else np.random.default_rng(4).uniform(size=(17_000, 6))
    X = X.astype(np.float32)
    lloyd = _kernels.load("lloyd")
    boxes, asked = boxes_to_ask_for(X, 16, 0.33)
    search = lloyd.TrialSearch(X, None, 16, 2, boxes)
    centers = X[:16].astype(np.float64)
    plain = centers.copy()
    search.lloyd(centers, max_iter=20, tolerance=-1.0)
    lloyd.PlainSearch(X, None, 16, 2).lloyd(plain, max_iter=20, tolerance=-1.0)
    assert len(asked) == (kind == "clusters")
    np.testing.assert_allclose(centers, plain, rtol=0, atol=1e-12)
    labels = np.empty(len(X), dtype=np.int32)
    search.evaluate(centers, labels)
    np.testing.assert_array_equal(labels, reference.nearest(X, centers))
    # What `kmeans` itself takes for this many points and centers.
    result = kmeans(X, 16, init=X[:16], max_iter=20, tol=0, history=True)
    for step in result.history[::4]:
        np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))
    assert_consistent(X, result)


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["first center on a single row", "rows in turn"])
def test_what_does_not_mislead_a_trial(kind):
    # Rows of eight clusters in turn; a sample of every 64th row would be of one cluster, that of the last center.
    generator = np.random.default_rng(0)
    X = np.tile(3 * generator.normal(size=(8, 7)), (2**14, 1)) + 0.3 * generator.normal(size=(2**17, 7))
    X = X.astype(np.float32)
    start = X[7::-1].astype(np.float64)
    if kind == "first center on a single row":
        X[7] = start[0] = 300
    lloyd = _kernels.load("lloyd")
    boxes, asked = boxes_to_ask_for(X, 8, 0.75)
    search = lloyd.TrialSearch(X, None, 8, 2, boxes)
    search.lloyd(start, max_iter=20, tolerance=-1.0)
    assert asked
    with pytest.raises(ValueError, match="otherwise must be given"):
        lloyd.TrialSearch(X, None, 8, 2, None)


@pytest.mark.kernel
def test_a_trial_of_labels_without_rows_tells_nothing():
    X = clustered(30_000, 5, 12, spread=0.02).astype(np.float32)
    lloyd = _kernels.load("lloyd")
    boxes, asked = boxes_to_ask_for(X, 12, 0.6)
    search = lloyd.TrialSearch(X, None, 12, 2, boxes)
    centers = X[:12].astype(np.float64)
    centers[[0, 4, 8]] += 1000  # those whose rows are asked
    search.lloyd(centers, max_iter=20, tolerance=-1.0)
    assert asked


@pytest.mark.kernel
@pytest.mark.parametrize("kind", ["columns that go together", "none"])
def test_boxes_where_balls_leave_some_centers(kind):
    generator = np.random.default_rng(6)
    X = generator.normal(size=(40_000, 8))
    if kind != "none":
        X = X @ (np.diag([8, 4, 2, 1, 0.5, 0.5, 0.5, 0.25]) @ np.linalg.qr(generator.normal(size=(8, 8)))[0])
    X = X.astype(np.float32)
    lloyd = _kernels.load("lloyd")
    asked = []

    def boxes():
        asked.append(lloyd.BoxSearch(X, None, 64, 2))
        return asked[-1]

    search = lloyd.BallSearch(X, None, 64, 2, boxes, 2, 0.1, 0.75 * 64)
    centers = X[:64].astype(np.float64)
    plain = centers.copy()
    search.lloyd(centers, max_iter=2, tolerance=-1.0)
    assert not asked
    search.lloyd(centers, max_iter=10, tolerance=-1.0)
    assert len(asked) == (kind != "none")
    lloyd.PlainSearch(X, None, 64, 2).lloyd(plain, max_iter=12, tolerance=-1.0)
    np.testing.assert_allclose(centers, plain, rtol=0, atol=1e-12)
    labels = np.empty(len(X), dtype=np.int32)
    search.evaluate(centers, labels)
    np.testing.assert_array_equal(labels, reference.nearest(X, centers))


@pytest.mark.kernel
@pytest.mark.parametrize("failing", [1, 2])
def test_balls_go_on_after_making_them_anew_was_interrupted(monkeypatch, failing):
    # Memory runs out before the new balls are known, or when they have been put in the place of those that are kept.
    X = clustered(20_000, 12, 128, spread=0.6).astype(np.float32)
    lloyd = _kernels.load("lloyd")
    search = lloyd.BallSearch(X, None, 128, 2)
    centers = X[:128].astype(np.float64)
    search.lloyd(centers, max_iter=1, tolerance=-1.0)
    empty, asked = np.empty, []

    def fail_in_time(shape, *rest, **options):
        asked.append(options.get("dtype") is np.uint8)
        if sum(asked) == failing:
            raise MemoryError
        return empty(shape, *rest, **options)

    monkeypatch.setattr(np, "empty", fail_in_time)
    with pytest.raises(MemoryError):
        search.lloyd(centers, max_iter=20, tolerance=-1.0)
    monkeypatch.undo()
    labels = np.empty(len(X), dtype=np.int32)
    search.evaluate(centers, labels)
    np.testing.assert_array_equal(labels, reference.nearest(X, centers))
    plain = centers.copy()
    search.lloyd(centers, max_iter=10, tolerance=-1.0)
    lloyd.PlainSearch(X, None, 128, 2).lloyd(plain, max_iter=10, tolerance=-1.0)
    np.testing.assert_allclose(centers, plain, rtol=0, atol=1e-12)


@pytest.mark.kernel
@pytest.mark.parametrize("n", [20, 37, 300])
@pytest.mark.parametrize("p", [4, 5, 6, 7, 8, 11, 15, 16, 17, 23, 31, 33])
def test_what_lies_beside_the_rows_does_not_count(p, n):
    values = clustered(n, p, 5).astype(np.float32)
    weights = np.random.default_rng(n).integers(0, 3, n).astype(float)
    wider = np.full((2 * n + 1, p + 17), np.nan, dtype=np.float32)
    wider[1::2, 9 : p + 9] = values
    views = {
        "columns of a wider array": wider[1::2, 9 : p + 9],
        "in reverse": values[::-1].copy()[::-1],
        "by columns": np.asfortranarray(values),
        "columns in reverse": values[:, ::-1].copy()[:, ::-1],
        "at the end of memory": np.concatenate([np.full(3, np.nan, dtype=np.float32), values.ravel()])[3:].reshape(
            n, p
        ),
    }
    for sample_weight in (None, weights):
        wanted = kmeans(values, 5, init=values[:5], sample_weight=sample_weight)
        for name, view in views.items():
            np.testing.assert_array_equal(view, values, err_msg=name)
            assert_same_bits(wanted, kmeans(view, 5, init=values[:5], sample_weight=sample_weight))


@pytest.mark.kernel
def test_one_row_for_all():
    row = np.arange(6, dtype=np.float32)
    result = kmeans(np.broadcast_to(row, (40, 6)), 1)
    np.testing.assert_array_equal(result.centers, [row])
    assert result.inertia == 0


@pytest.mark.parametrize(("p", "k"), [(5, 70), pytest.param(16, 16, marks=pytest.mark.kernel), (37, 90)])
@pytest.mark.parametrize(
    ("kind", "dtype", "weighted"),
    [
        ("apart", np.float32, False),
        ("apart", np.uint8, True),
        ("few", np.float64, True),
        ("few", np.float32, False),
        ("equal", np.uint16, False),
        ("line", np.float32, False),
    ],
)
def test_balls_change_nothing(kind, dtype, weighted, p, k):
    # Enough rows a center for balls of rows: clusters of their own or with a share in a center, some with several
    # centers; equal rows; clusters that are not round, and rows far out.
    generator = np.random.default_rng(5)
    X = {
        "apart": lambda: clustered(5001, p, k + 3, spread=0.3),
        "few": lambda: clustered(5001, p, 4, spread=0.3),
        "equal": lambda: np.repeat(clustered(320, p, k, spread=0.3), 16, axis=0)[:5001],
        "line": lambda: np.linspace(0, 9, 5001)[:, None] * np.ones(p) + generator.normal(scale=1e-3, size=(5001, p)),
    }[kind]()
    X = X * 12 + 128
    X[generator.integers(5001, size=5)] *= 1.5
    X = X.clip(0, 255).astype(dtype) if np.issubdtype(dtype, np.integer) else X.astype(dtype)
    weights = generator.integers(0, 3, len(X)).astype(float) if weighted else None
    init = X[np.unique(X, axis=0, return_index=True)[1]]
    init = init[generator.permutation(len(init))[:k]]
    options = {"init": init, "sample_weight": weights, "max_iter": 18, "tol": 0}
    result = kmeans(X, k, history=True, **options)
    for step in result.history:
        np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))
    assert_consistent(X, result, weights)
    again = kmeans(X, k, **options)
    np.testing.assert_allclose(again.centers, result.centers, rtol=1e-9)
    for n_threads in (1, 3):
        assert_same_bits(again, kmeans(X, k, n_threads=n_threads, **options))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_balls_before_the_first_iteration(dtype, weighted, order):
    # Many centers of few clusters: balls are made of rows nearest to the same of some centers.
    k, p = 272, 64
    X = clustered(9000, p, 8) * 12 + 128
    X = np.asarray(X.clip(0, 255).round() if dtype == np.uint8 else X, dtype=dtype, order=order)
    weights = np.random.default_rng(1).integers(0, 3, len(X)).astype(float) if weighted else None
    options = {"init": X[:k], "sample_weight": weights, "max_iter": 9, "tol": 0}
    result = kmeans(X, k, history=True, **options)
    for step in result.history:
        np.testing.assert_array_equal(step.labels[::7], reference.nearest(X[::7], step.centers))
    assert_consistent(X, result, weights)
    assert_same_bits(result, kmeans(X, k, n_threads=1, **options))


@pytest.mark.kernel
@pytest.mark.parametrize("clusters", [8, None])
def test_balls_before_the_first_iteration_only_where_they_pay(clusters):
    # Sums by balls and sums row by row differ in their last bits, which tells them apart.
    k, p = 272, 64
    X = np.random.default_rng(2).uniform(size=(9000, p)) if clusters is None else clustered(9000, p, clusters)
    lloyd = _kernels.load("lloyd")
    moved, plain = X[:k].copy(), X[:k].copy()
    lloyd.BallSearch(X, None, k, 2).lloyd(moved, max_iter=1, tolerance=-1.0)
    lloyd.PlainSearch(X, None, k, 2).lloyd(plain, max_iter=1, tolerance=-1.0)
    np.testing.assert_allclose(moved, plain, rtol=0, atol=1e-12)
    assert np.array_equal(moved, plain) == (clusters is None)


@pytest.mark.kernel
@pytest.mark.parametrize(("clusters", "k"), [(6, 30), (3, 40)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_sums_of_balls_follow_the_rows_that_move(clusters, k, n_threads):
    # Whole numbers: sums are exact, so centers are those of a brute-force search, however rows have moved until then.
    # Several centers share a cluster and take rows from each other for long; at last as many as a ball keeps sums of.
    X = np.round(clustered(4001, 12, clusters, seed=2, spread=0.5) * 100)
    init = X[np.random.default_rng(3).permutation(len(X))[:k]]
    result = kmeans(X.astype(np.float32), k, init=init, max_iter=50, tol=0, n_threads=n_threads)
    labels, centers, _ = reference.lloyd(X, init, 50, 0.0)[:3]
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.centers, centers)


def test_empty_clusters_take_rows_in_the_order_of_a_brute_force_search():
    # Nine columns of zeros and ones: rows 9 and 10 are equally far from their center, but for rounding.
    generator = np.random.default_rng(0)
    X = generator.integers(0, 2, (69, 18)).astype(np.uint8)[:23, :8:-1]
    init = generator.integers(-5, 7, (19, 9)).astype(float)
    result = kmeans(X, 19, init=init, tol=0)
    np.testing.assert_array_equal(result.labels, reference.lloyd(X, init)[0])


@pytest.mark.kernel
@pytest.mark.parametrize("scale", [2.0**-149, 2.0**-140, 1e-30, 1e30])
def test_balls_of_very_small_and_large_numbers(scale):
    # Below 2**-126 float32 rounds by an absolute amount. Whole numbers times a power of two are exact there, too.
    generator = np.random.default_rng(1)
    points = np.repeat(generator.integers(-2, 3, (192, 6)), 64, axis=0)
    X = (points * scale).astype(np.float32)
    distinct = np.unique(X, axis=0)
    init = distinct[generator.permutation(len(distinct))[:64]]
    result = kmeans(X, 64, init=init, max_iter=18, tol=0, history=True)
    for step in result.history:
        np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))


def test_squares_that_float64_cannot_hold_are_refused():
    X = np.random.default_rng(0).normal(size=(500, 3))
    usual, small = kmeans(X, 3, init=X[:3]), kmeans(np.ldexp(X, -460), 3, init=np.ldexp(X[:3], -460))
    np.testing.assert_array_equal(usual.labels, small.labels)
    assert small.inertia == np.ldexp(usual.inertia, -920)
    for algorithm in ("lloyd", "hartigan-wong", "macqueen"):
        for scale in (1e-155, 1e-165, 1e-300):
            with pytest.raises(ValueError, match="rescale"):
                kmeans(X * scale, 3, init=X[:3] * scale, algorithm=algorithm)
    with pytest.raises(ValueError, match="rescale"):
        kmeans(X, 3, sample_weight=np.full(500, 5e-324))
    with pytest.raises(ValueError, match=r"problem 1: .*rescale"):
        kmeans_many([X, X * 1e-160], 3)
    # Medians need no squares, but how far they move is told by them.
    with pytest.raises(ValueError, match="rescale"):
        kmeans(X * 1e-160, 3, metric="manhattan")


@pytest.mark.parametrize("offset", [0, 1e6])
def test_float32_far_from_the_origin(offset):
    X = (clustered(20_000, 3, 8, spread=1.0) + offset).astype(np.float32)
    result = kmeans(X, 8, random_state=1)
    assert_consistent(X, result)
    expected = reference.lloyd(X, kmeans(X, 8, random_state=1, max_iter=1, history=True).history[0].centers, 30, 0.0)
    assert kmeans(X, 8, random_state=1, tol=0, max_iter=30).inertia == pytest.approx(expected[2], rel=1e-9)


# --- scikit-learn --------------------------------------------------------------------------------------------------


def sklearn_kmeans(X, init, weights=None, **options):
    from sklearn.cluster import KMeans  # not there where only the tests of kernels are run

    model = KMeans(len(init), init=init, n_init=1, algorithm="lloyd", **options)
    return model.fit(np.asarray(X, dtype=float), sample_weight=weights)


def off_the_grid(centers):
    """Centers between the colors: no pixel is as near to one as to another, which scikit-learn decides by rounding."""
    return centers + np.random.default_rng(0).uniform(-0.5, 0.5, centers.shape)


@pytest.mark.parametrize("k", [16, 64])
def test_inertia_of_scikit_learn_after_20_iterations_on_the_photo(photo, photo_histogram, k):
    colors, counts = photo_histogram
    init = off_the_grid(colors[np.random.default_rng(k).choice(len(colors), k, replace=False)])
    theirs = sklearn_kmeans(colors, init, counts.astype(float), tol=0, max_iter=20)
    ours = kmeans(photo.reshape(-1, 3), k, init=init, tol=0, max_iter=20)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-6)
    np.testing.assert_allclose(ours.centers, theirs.cluster_centers_, rtol=1e-6)
    assert ours.n_iter == theirs.n_iter_


def test_inertia_of_scikit_learn_on_pixels_of_the_photo(photo):
    pixels = photo[::8, ::8].reshape(-1, 3)
    init = off_the_grid(np.unique(pixels, axis=0)[::1500][:16])
    theirs = sklearn_kmeans(pixels, init, tol=0, max_iter=20)
    for X in (pixels, pixels.astype(np.float32)):
        ours = kmeans(X, 16, init=init, tol=0, max_iter=20)
        assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3, 4, 8, 50])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inertia_of_scikit_learn_on_random_data(p, dtype):
    X = np.random.default_rng(p).normal(size=(20_000, p)).astype(dtype)
    theirs = sklearn_kmeans(X, X[:16].astype(float), tol=0, max_iter=20)
    ours = kmeans(X, 16, init=X[:16], tol=0, max_iter=20)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-6)
    assert ours.n_iter == theirs.n_iter_


@pytest.mark.parametrize("tol", [0, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("seed", range(4))
def test_tol_and_n_iter_mean_what_they_mean_in_scikit_learn(tol, seed):
    X = clustered(3000, 3, 6, seed=seed, spread=1.5)
    theirs = sklearn_kmeans(X, X[:6], tol=tol, max_iter=300)
    ours = kmeans(X, 6, init=X[:6], tol=tol)
    assert ours.n_iter == theirs.n_iter_
    assert ours.converged
    np.testing.assert_array_equal(ours.labels, theirs.labels_)
    assert ours.inertia == pytest.approx(theirs.inertia_, rel=1e-9)


def test_max_iter_ends_a_run():
    X = clustered(3000, 3, 6, spread=1.5)
    result = kmeans(X, 6, init=X[:6], tol=0, max_iter=2)
    assert (result.n_iter, result.converged) == (2, False)
    assert_consistent(X, result)


# --- the same bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("p", "k"), [(1, 5), (3, 16), (3, 100), (40, 9)])
def test_same_bits_for_any_number_of_threads(dtype, p, k):
    # 50 021 rows are 25 chunks, the last of them not full.
    X = (100 + 30 * np.random.default_rng(7).normal(size=(50_021, p))).clip(0, 255).astype(dtype)
    results = [kmeans(X, k, random_state=3, max_iter=4, n_threads=n_threads) for n_threads in THREADS]
    for result in results[1:]:
        assert_same_bits(results[0], result)


@pytest.mark.kernel
def test_same_bits_for_any_number_of_threads_with_weights_and_empty_clusters():
    generator = np.random.default_rng(0)
    X, weights = generator.normal(size=(50_021, 3)), generator.exponential(size=50_021)
    init = np.concatenate([X[:5], np.full((4, 3), 1e3) + np.arange(4)[:, np.newaxis]])
    results = [kmeans(X, 9, init=init, sample_weight=weights, max_iter=8, n_threads=n_threads) for n_threads in THREADS]
    for result in results[1:]:
        assert_same_bits(results[0], result)
    assert_consistent(X, results[0], weights)


EVERY_KIND_OF_PROBLEM = """
import sys
import numpy as np
from fastcluster_ext import ColorHistogram, kmeans, kmeans_plusplus, quantize

arrays = {}
def keep(name, result):
    for field in ("labels", "centers", "inertia", "cluster_inertia", "total_inertia", "cluster_weights", "n_iter"):
        arrays[f"{name}/{field}"] = np.asarray(getattr(result, field))

generator = np.random.default_rng(0)
for dtype in ("uint8", "uint16", "float32", "float64"):
    for p, k in ((1, 5), (2, 70), (3, 16), (4, 33), (5, 16), (9, 7), (67, 20)):
        X = (100 + 30 * generator.normal(size=(4307, p))).clip(0, 255).astype(dtype)
        weights = generator.exponential(size=len(X))
        keep(f"{dtype} {p} {k}", kmeans(X, k, random_state=p, max_iter=9))
        keep(f"{dtype} {p} {k} weighted", kmeans(X, k, sample_weight=weights, random_state=p, max_iter=9))
        arrays[f"{dtype} {p} {k} seeds"] = kmeans_plusplus(X, k, sample_weight=weights, random_state=p)[1]
X = generator.normal(size=(6007, 3))
keep("refilled", kmeans(X, 9, init=np.r_[X[:5], np.full((4, 3), 1e3)], max_iter=9))
keep("far away", kmeans((X + 1e6).astype("float32"), 9, random_state=0))
keep("tiny", kmeans(X * 1e-30, 9, random_state=0, max_iter=9))
keep("ties", kmeans(generator.integers(0, 3, (6007, 4)).astype(float), 9, random_state=0, max_iter=9))
X = np.repeat(9 * generator.normal(size=(41, 13)), 130, axis=0) + generator.normal(size=(5330, 13))
keep("few", kmeans(X[:, :7], 4, random_state=0, max_iter=9))
keep("many", kmeans(X[:, :4], 600, random_state=0, max_iter=9))
for dtype in ("float32", "float64"):
    keep(f"apart {dtype}", kmeans(X.astype(dtype), 50, random_state=0, max_iter=9))
    options = {"sample_weight": 1 + X[:, 0] ** 2, "random_state": 0, "max_iter": 9}
    keep(f"apart {dtype} weighted", kmeans(X.astype(dtype), 50, **options))
image = generator.integers(0, 60, (97, 113, 3)).astype("uint8")
small = quantize(image, 20, random_state=0)
arrays["palette"], arrays["indices"] = small.centers, small.indices
np.savez(sys.argv[1], **arrays)
"""


def test_every_instruction_set_gives_the_same_bits(tmp_path):
    from fastcluster_ext import _kernels

    results = {}
    for isa in _kernels.built():
        run_python(EVERY_KIND_OF_PROBLEM, tmp_path / f"{isa}.npz", FASTCLUSTER_EXT_ISA=isa, OMP_NUM_THREADS="1")
        results[isa] = np.load(tmp_path / f"{isa}.npz")
    first, *others = results
    for other in others:
        for name in results[first].files:
            assert results[first][name].tobytes() == results[other][name].tobytes(), f"{name}: {first} and {other}"


# --- weights -------------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [1, 3, 4, 6])
def test_weights_are_repetitions(p, dtype):
    generator = np.random.default_rng(p)
    X = np.unique(integers(700, p, dtype, seed=p, most=250), axis=0)
    counts = generator.integers(1, 6, len(X))
    init = X[generator.permutation(len(X))[:8]]
    weighted = kmeans(X, 8, init=init, sample_weight=counts, tol=0)
    repeated = kmeans(np.repeat(X, counts, axis=0), 8, init=init, tol=0)
    np.testing.assert_array_equal(np.repeat(weighted.labels, counts), repeated.labels)
    np.testing.assert_array_equal(weighted.centers, repeated.centers)
    np.testing.assert_array_equal(weighted.cluster_weights, repeated.sizes)
    assert weighted.inertia == pytest.approx(repeated.inertia, rel=1e-12)
    assert weighted.total_inertia == pytest.approx(repeated.total_inertia, rel=1e-12)
    assert weighted.n_iter == repeated.n_iter
    assert_consistent(X, weighted, counts)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8, bool, list])
def test_kinds_of_weights(kind):
    X = integers(500, 3)
    ones = [1] * 500 if kind is list else np.ones(500, dtype=kind)
    assert_same_bits(kmeans(X, 5, init=X[:5], sample_weight=ones), kmeans(X, 5, init=X[:5]))


@pytest.mark.kernel
def test_fractional_weights():
    X = clustered(3000, 3, 5, spread=1.0)
    weights = np.random.default_rng(1).exponential(size=3000)
    result = kmeans(X, 5, init=X[:5], sample_weight=weights, tol=0)
    labels, centers, inertia, n_iter = reference.lloyd(X, X[:5], weights=weights)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.centers, centers, rtol=1e-12)
    assert result.inertia == pytest.approx(inertia, rel=1e-12)
    assert result.n_iter == n_iter
    assert_consistent(X, result, weights)


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", DTYPES)
def test_points_of_zero_weight_change_nothing_but_are_labeled(dtype):
    X = integers(2000, 3, dtype, seed=1)
    weights = np.random.default_rng(2).integers(0, 3, 2000).astype(float)
    init = np.unique(X[weights > 0], axis=0)[:7]
    result = kmeans(X, 7, init=init, sample_weight=weights, tol=0)
    without = kmeans(X[weights > 0], 7, init=init, sample_weight=weights[weights > 0], tol=0)
    np.testing.assert_array_equal(result.centers, without.centers)
    np.testing.assert_array_equal(result.labels[weights > 0], without.labels)
    assert_consistent(X, result, weights)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 2.0**40, 1e12])
def test_the_scale_of_the_weights_does_not_matter(scale):
    X = integers(2000, 3, seed=3)
    weights = np.random.default_rng(2).integers(1, 5, 2000)
    result, scaled = (kmeans(X, 7, init=X[:7], sample_weight=w) for w in (weights, weights * scale))
    np.testing.assert_array_equal(result.labels, scaled.labels)
    np.testing.assert_allclose(result.centers, scaled.centers, rtol=1e-12)
    assert scaled.inertia == pytest.approx(scale * result.inertia, rel=1e-12)


# --- pixels --------------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize(("dtype", "p"), [(np.uint8, 1), (np.uint8, 3), (np.uint8, 4), (np.uint8, 8), (np.uint16, 4)])
def test_grouping_equal_rows_changes_nothing(dtype, p):
    generator = np.random.default_rng(p)
    distinct = np.unique(generator.integers(0, 256, (900, p)).astype(dtype), axis=0)
    X = distinct[generator.integers(len(distinct), size=30_000)]
    init = distinct[generator.permutation(len(distinct))[:10]]
    grouped, by_row = (kmeans(values, 10, init=init, tol=0) for values in (X, X.astype(np.float32)))
    np.testing.assert_array_equal(grouped.labels, by_row.labels)
    np.testing.assert_array_equal(grouped.centers, by_row.centers)
    np.testing.assert_array_equal(grouped.sizes, by_row.sizes)
    assert grouped.inertia == pytest.approx(by_row.inertia, rel=1e-12)
    assert grouped.n_iter == by_row.n_iter


@pytest.mark.kernel
def test_grouping_equal_rows_with_weights():
    generator = np.random.default_rng(5)
    X = generator.integers(0, 6, (20_000, 3)).astype(np.uint8)
    weights = generator.integers(0, 4, len(X)).astype(float)
    init = np.unique(X, axis=0)[::30][:7]
    grouped, by_row = (kmeans(v, 7, init=init, tol=0, sample_weight=weights) for v in (X, X.astype(np.float64)))
    np.testing.assert_array_equal(grouped.labels, by_row.labels)
    np.testing.assert_array_equal(grouped.centers, by_row.centers)
    np.testing.assert_array_equal(grouped.sizes, by_row.sizes)
    np.testing.assert_array_equal(grouped.cluster_weights, by_row.cluster_weights)


def test_pixels_of_the_photo_grouped_and_not(photo):
    pixels = photo[1000:1500, ::4].reshape(-1, 3)
    init = np.unique(pixels, axis=0)[::1000][:16]
    grouped, by_row = (kmeans(values, 16, init=init, max_iter=20) for values in (pixels, pixels.astype(np.float32)))
    np.testing.assert_array_equal(grouped.labels, by_row.labels)
    np.testing.assert_array_equal(grouped.centers, by_row.centers)


# --- empty clusters ------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_empty_clusters_are_refilled_with_the_points_that_cost_most(dtype, weighted):
    X = integers(1500, 3, dtype, seed=4)
    weights = np.random.default_rng(4).integers(0, 4, 1500).astype(float) if weighted else None
    init = np.concatenate([X[:3], np.full((5, 3), 1000.0)])
    labels, centers, inertia, n_iter = reference.lloyd(X, init, weights=weights)
    result = kmeans(X, 8, init=init, sample_weight=weights, tol=0)
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.centers, centers)
    assert result.inertia == pytest.approx(inertia, rel=1e-12)
    assert result.n_iter == n_iter
    assert_consistent(X, result, weights)


@pytest.mark.kernel
def test_a_refilled_cluster_takes_its_points_from_where_they_were():
    # After one iteration, (0, 0) is the second center, and the first is the mean of the other three points.
    X = np.array([[0, 0], [0.5, 0], [0.5, 1], [1, 1]])
    for rows, weights in (([0, 1, 2, 3], None), ([0, 1, 2, 3], [2.0] * 4), ([0, 0, 1, 1, 2, 2, 3, 3], None)):
        result = kmeans(X[rows], 2, init=[[0.5, 0.5], [3, 3]], sample_weight=weights, history=True)
        np.testing.assert_allclose(result.history[1].centers, [[2 / 3, 2 / 3], [0, 0]])
        np.testing.assert_array_equal(result.centers, [[0.75, 1], [0.25, 0]])
        assert result.n_iter == 3


@pytest.mark.kernel
@pytest.mark.parametrize("max_iter", [1, 2, 3, 300])
@pytest.mark.parametrize("seed", range(6))
def test_labels_and_centers_agree_after_any_iteration(seed, max_iter):
    generator = np.random.default_rng(seed)
    X = generator.integers(0, 12, (60, 2)).astype(float)
    init = generator.integers(-60, 60, (20, 2)).astype(float)
    result = kmeans(X, 20, init=init, max_iter=max_iter, tol=0)
    assert_consistent(X, result)
    expected = reference.lloyd(X, init, max_iter)
    np.testing.assert_array_equal(result.centers, expected[1])
    np.testing.assert_array_equal(result.labels, expected[0])


@pytest.mark.kernel
@pytest.mark.parametrize("init", ["k-means++", "random", "far away", "all the same"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_as_many_clusters_as_distinct_points(init, dtype):
    distinct = np.unique(integers(60, 2, dtype, most=20), axis=0)
    X = np.repeat(distinct, 3, axis=0)
    k = len(distinct)
    given = {"far away": np.full((k, 2), 1e6), "all the same": np.repeat(X[:1], k, axis=0)}.get(init, init)
    result = kmeans(X, k, init=given, random_state=0)
    assert result.inertia == 0
    assert result.explained == 1
    assert result.sizes.tolist() == [3] * k
    assert_consistent(X, result)


@pytest.mark.kernel
def test_more_clusters_than_points_that_differ_by_more_than_rounding():
    # Four distinct points, but the squares of some differences are 0 in float64.
    X = np.array([[0.0], [1e-200], [2e-200], [1.0]])
    for init in ([[5.0], [6.0], [7.0], [8.0]], X, "k-means++", "random"):
        outcome = []

        def run(init=init, outcome=outcome):
            with pytest.raises(ValueError, match="k must be at most the number of points that differ by more than"):
                kmeans(X, 4, init=init)
            outcome.append("raised")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(5)
        assert outcome == ["raised"]


# --- runs, seeds, callbacks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_n_init_keeps_the_best_run(init):
    X = clustered(2000, 2, 12, seed=3)
    generator = np.random.default_rng(5)
    runs = [kmeans(X, 12, init=init, n_init=1, random_state=generator).inertia for _ in range(6)]
    assert len(set(runs)) > 1
    best = kmeans(X, 12, init=init, n_init=6, random_state=np.random.default_rng(5))
    assert best.inertia == min(runs)
    assert_consistent(X, best)


def test_n_init_auto_is_one_run_of_plusplus_and_ten_of_random():
    X = clustered(500, 2, 8)
    for init, runs in (("k-means++", 1), ("random", 10)):
        seen = []
        kmeans(X, 8, init=init, callback=lambda step, seen=seen: seen.append(step.iteration), random_state=0)
        assert seen.count(1) == runs


def test_given_centers_are_one_run():
    with pytest.warns(RuntimeWarning, match="n_init=5") as caught:
        kmeans(EXAMPLE, 3, init=EXAMPLE[:3], n_init=5)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kmeans(EXAMPLE, 3, init=EXAMPLE[:3], n_init=1)


def test_kinds_of_random_state():
    X = clustered(2000, 3, 20, spread=1.0)
    same = [kmeans(X, 20, random_state=seed) for seed in (7, np.int64(7), np.random.default_rng(7))]
    assert_same_bits(same[0], same[1])
    assert_same_bits(same[0], same[2])
    legacy = [kmeans(X, 20, random_state=np.random.RandomState(7)) for _ in range(2)]
    assert_same_bits(*legacy)
    generator = np.random.default_rng(7)
    assert kmeans(X, 20, random_state=generator).inertia != kmeans(X, 20, random_state=generator).inertia
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert kmeans(X, 20).inertia != kmeans(X, 20).inertia
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_callback_sees_every_iteration_in_order():
    X = clustered(2000, 3, 6, spread=1.5)
    steps = []
    result = kmeans(X, 6, init=X[:6], callback=steps.append)
    assert [step.iteration for step in steps] == list(range(1, result.n_iter + 1))
    np.testing.assert_array_equal(steps[0].centers, X[:6])
    for before, after in itertools.pairwise(steps):
        assert before.center_shift == pytest.approx(((after.centers - before.centers) ** 2).sum())
    assert steps[0].labels is None
    assert steps[0].inertia is None
    assert result.history == ()


def test_callback_ends_the_run():
    X = clustered(2000, 3, 6, spread=1.5)
    result = kmeans(X, 6, init=X[:6], tol=0, callback=lambda step: step.iteration == 3)
    assert (result.n_iter, result.converged) == (3, False)
    assert_consistent(X, result)
    assert_same_bits(result, kmeans(X, 6, init=X[:6], tol=0, max_iter=3))


def test_callback_cannot_disturb_the_run():
    X = clustered(2000, 3, 6, spread=1.5)

    def spoil(step):
        step.centers[:] = np.nan

    assert_same_bits(kmeans(X, 6, init=X[:6], callback=spoil), kmeans(X, 6, init=X[:6]))
    with pytest.raises(ZeroDivisionError):
        kmeans(X, 6, init=X[:6], callback=lambda step: 1 // 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_history_shows_the_run_step_by_step(dtype):
    X = integers(3000, 3, dtype)
    weights = np.random.default_rng(0).integers(1, 4, 3000)
    result = kmeans(X, 6, init=X[:6], sample_weight=weights, history=True)
    assert len(result.history) == result.n_iter
    for step in result.history:
        np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))
        assert step.inertia == pytest.approx(reference.inertia(X, step.centers, weights), rel=1e-12)
        np.testing.assert_allclose(step.distances(X[:50]) ** 2, reference.squared_distances(X[:50], step.centers))
    inertias = [step.inertia for step in result.history]
    assert inertias == sorted(inertias, reverse=True)
    assert result.inertia <= inertias[-1]
    assert_same_bits(result, kmeans(X, 6, init=X[:6], sample_weight=weights))


def test_input_is_not_modified():
    X, init, weights = integers(1000, 3), integers(5, 3, seed=9), np.arange(1000.0)
    copies = X.copy(), init.copy(), weights.copy()
    for array in (X, init, weights):
        array.flags.writeable = False
    kmeans(X, 5, init=init, sample_weight=weights)
    kmeans_plusplus(X, 5, sample_weight=weights)
    for array, copy in zip((X, init, weights), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_ward_starts_are_the_means_of_a_cut_of_wards_tree():
    X = clustered(700, 3, 9, spread=1.0)
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    rows = np.repeat(X, weights, axis=0)
    cut = fcluster(linkage(rows, "ward"), 9, "maxclust")
    expected = np.array([rows[cut == j].mean(axis=0) for j in range(1, 10)])
    result = kmeans(X, 9, init="ward", sample_weight=weights, history=True)
    start = result.history[0].centers
    order, expected_order = np.lexsort(start.T), np.lexsort(expected.T)
    np.testing.assert_allclose(start[order], expected[expected_order], rtol=1e-10)
    assert_same_bits(result, kmeans(X, 9, init="ward", sample_weight=weights, random_state=5))
    assert_consistent(X, result, weights)


def test_ward_starts_of_bad_problems():
    X = clustered(50, 2, 3)
    with pytest.warns(RuntimeWarning, match="n_init=5"):
        kmeans(X, 3, init="ward", n_init=5)
    with pytest.raises(ValueError, match="init must not be 'ward' with metric='manhattan'"):
        kmeans(X, 3, init="ward", metric="manhattan")
    distinct = np.unique(X.round(), axis=0)
    assert kmeans(np.repeat(distinct, 2, axis=0), len(distinct), init="ward").inertia == 0
    assert kmeans(X, 1, init="ward").n_iter <= 2


# --- seeding -------------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.uint16])
@pytest.mark.parametrize("weighted", [False, True])
def test_seeds_are_those_of_the_greedy_draw(dtype, weighted):
    X = integers(5001, 3, dtype, seed=2)
    weights = np.random.default_rng(2).integers(0, 5, len(X)).astype(float) if weighted else None
    for seed, k, trials in ((0, 1, 2), (1, 2, 2), (2, 20, 4), (3, 20, 1), (4, 60, 5)):
        centers, indices = kmeans_plusplus(X, k, sample_weight=weights, random_state=seed, n_local_trials=trials)
        uniforms = np.random.default_rng(seed).random((k, trials))
        assert indices.tolist() == reference.greedy_kmeans_plusplus(X, uniforms, weights)
        np.testing.assert_array_equal(centers, X[indices])
        assert centers.dtype == np.float64


def test_kmeans_starts_from_the_seeds_of_kmeans_plusplus():
    X = integers(3000, 3)
    started = kmeans(X, 9, random_state=4, history=True).history[0].centers
    np.testing.assert_array_equal(started, kmeans_plusplus(X, 9, random_state=4)[0])


@pytest.mark.parametrize("n_threads", THREADS)
def test_seeds_do_not_depend_on_threads(n_threads):
    X = np.random.default_rng(0).normal(size=(50_021, 3))
    expected = kmeans_plusplus(X, 50, random_state=1, n_threads=1)[1]
    np.testing.assert_array_equal(kmeans_plusplus(X, 50, random_state=1, n_threads=n_threads)[1], expected)


def test_seeds_are_as_good_as_those_of_scikit_learn():
    from sklearn import cluster

    X = clustered(400, 2, 25, seed=6, spread=0.4)
    ours, theirs = (
        np.array([reference.inertia(X, draw(X, 25, random_state=seed)[0]) for seed in range(100)])
        for draw in (kmeans_plusplus, cluster.kmeans_plusplus)
    )
    # Means of 100 draws: three standard errors of their difference.
    error = np.hypot(ours.std(), theirs.std()) / np.sqrt(100)
    assert abs(ours.mean() - theirs.mean()) < 3 * error


def test_first_seed_is_drawn_in_proportion_to_weight():
    X = np.arange(4.0)[:, np.newaxis]
    draws = [int(kmeans_plusplus(X, 1, sample_weight=[0, 1, 3, 0], random_state=i)[1][0]) for i in range(400)]
    counts = np.bincount(draws, minlength=4)
    assert counts[[0, 3]].tolist() == [0, 0]
    assert 65 <= counts[1] <= 135


@pytest.mark.parametrize("weighted", [False, True])
def test_random_starts_are_distinct_points(weighted):
    X = np.repeat(integers(40, 2, most=3), 5, axis=0)
    weights = np.random.default_rng(0).integers(0, 2, len(X)).astype(float) if weighted else None
    possible = np.unique(X if weights is None else X[weights > 0], axis=0).tolist()
    for k in (1, 3, len(possible)):
        result = kmeans(X, k, init="random", n_init=1, sample_weight=weights, random_state=k, history=True)
        started = result.history[0].centers.tolist()
        assert len(np.unique(started, axis=0)) == k
        assert all(center in possible for center in started)
