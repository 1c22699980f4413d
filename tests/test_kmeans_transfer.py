"""kmeans by Hartigan's, Hartigan and Wong's and MacQueen's algorithms: R's results, and brute force."""

import json
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import run_python

from fastcluster_ext import _kernels, kmeans

ALGORITHMS = ["hartigan", "hartigan-wong", "macqueen"]
HARTIGAN = ["hartigan", "hartigan-wong"]
DTYPES = [np.uint8, np.uint16, np.float32, np.float64]
FROM_R = json.loads((Path(__file__).parent / "data" / "kmeans.json").read_text())
EXAMPLE = np.array([[2, 10], [2, 5], [8, 4], [5, 8], [7, 5], [6, 4], [1, 2]])
IRIS_START = [[6, 4, 5, 3], [5, 3, 1, 0], [6, 2, 4, 2]]


def park_miller(seed):
    while True:
        seed = 16807 * seed % 2147483647
        yield seed / 2147483647


def points_of(n, p):
    """The points of tests/data/kmeans.R."""
    source = park_miller(n + p)
    places = [[next(source) for _ in range(p)] for _ in range(7)]
    X = np.empty((n, p))
    for i in range(n):
        first, second, third = ([next(source) for _ in range(p)] for _ in range(3))
        X[i] = [a + b + c + 2 * d for a, b, c, d in zip(first, second, third, places[(i + 1) % 7], strict=True)]
    return X


def blobs(n, p, k, seed=0, spread=1.0):
    generator = np.random.default_rng(seed)
    return 3 * generator.normal(size=(k, p))[generator.integers(k, size=n)] + spread * generator.normal(size=(n, p))


def whole(n, p, dtype=np.float64, seed=0, most=40):
    return np.random.default_rng(seed).integers(0, most + 1, (n, p)).astype(dtype)


def assert_consistent(X, result, weights=None):
    """Labels, centers and inertia of a result agree, and every center is the mean of its cluster."""
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    X = np.asarray(X, dtype=float)
    np.testing.assert_array_equal(result.labels, reference.nearest(X, result.centers))
    assert result.inertia == pytest.approx(reference.inertia(X, result.centers, weights), rel=1e-12, abs=1e-300)
    assert (result.cluster_weights > 0).all()
    scale = np.abs(X).max()
    for j, center in enumerate(result.centers):
        own = result.labels == j
        np.testing.assert_allclose(center, np.average(X[own], axis=0, weights=weights[own]), atol=1e-12 * scale)


def assert_no_move_helps(X, result, weights=None, rel=1e-9):
    gain = reference.best_single_move(X, result.labels, len(result.centers), weights)
    assert gain <= rel * max(result.inertia, 1e-300)


def assert_same_bits(one, other):
    for name in ("labels", "centers", "inertia", "cluster_inertia", "sizes", "n_iter", "converged"):
        assert np.asarray(getattr(one, name)).tobytes() == np.asarray(getattr(other, name)).tobytes(), name


# --- R -------------------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("n", [20, 50, 100, 500, 2000])
@pytest.mark.parametrize("p", [2, 10, 20])
def test_ends_where_r_ends(n, p):
    X = points_of(n, p)
    for k in (2, 5, 10):
        expected = FROM_R[f"{n} {p} {k}"]
        for algorithm in ("hartigan-wong", "macqueen", "lloyd"):
            if expected[algorithm] is None:  # R itself failed
                continue
            result = kmeans(X, k, init=X[:k], algorithm=algorithm, tol=0, max_iter=1000)
            assert result.converged
            assert result.inertia == pytest.approx(expected[algorithm]["withinss"], rel=1e-12), (k, algorithm)
            assert result.sizes.tolist() == expected[algorithm]["sizes"]
            assert result.n_iter == expected[algorithm]["iterations"]
            if algorithm == "hartigan-wong":
                assert "".join(map(str, result.labels)) == expected[algorithm]["labels"]
                np.testing.assert_allclose(result.centers, expected[algorithm]["centers"], rtol=1e-6)


@pytest.mark.kernel
@pytest.mark.parametrize(("n", "p", "k", "start"), [(9001, 1, 3, 1.0), (9001, 2, 5, 0.3), (130, 3, 2, 1.0)])
def test_goes_the_way_of_as_136(n, p, k, start):
    X = np.random.default_rng(n + k).random((n, p))
    init = start * X[:k]  # close together: at first every point may move, and no list has room for all
    labels, centers, stages = reference.hartigan_wong(X, init)
    for n_threads in (1, 2):
        result = kmeans(X, k, init=init, algorithm="hartigan-wong", n_threads=n_threads)
        np.testing.assert_array_equal(result.labels, labels)
        np.testing.assert_allclose(result.centers, centers, rtol=1e-9)
        assert result.n_iter == stages


@pytest.mark.kernel
@pytest.mark.parametrize("most", [3, 12])
def test_goes_the_way_of_as_136_where_rows_and_distances_are_equal(most):
    X = whole(2003, 3, seed=most, most=most)
    labels, centers, stages = reference.hartigan_wong(X, np.unique(X, axis=0)[:9])
    result = kmeans(X, 9, init=np.unique(X, axis=0)[:9], algorithm="hartigan-wong")
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(result.centers, centers, rtol=1e-9)
    assert result.n_iter == stages


def test_goes_on_where_r_gives_up():
    X = np.arange(1.0, 2001.0)[:, np.newaxis]
    result = kmeans(X, 20, init=X[1999 - 10 * np.arange(20)], algorithm="hartigan-wong")
    assert FROM_R["line"]["ifault"] == 4  # "Quick-TRANSfer stage steps exceeded maximum"
    assert result.converged
    assert result.inertia < 0.9 * FROM_R["line"]["withinss"]
    assert_no_move_helps(X, result)


def test_few_fixtures_are_of_failures_of_r():
    failed = [name for name, case in FROM_R.items() if None in case.values()]
    assert len(failed) <= 2


@pytest.mark.parametrize("algorithm", ["lloyd", "forgy", *ALGORITHMS])
def test_iris_as_r_has_it(iris, algorithm):
    result = kmeans(iris, 3, init=iris[[0, 50, 100]], algorithm=algorithm, tol=0)
    assert result.inertia == pytest.approx(78.851441426146, rel=1e-12)
    assert result.sizes.tolist() == [50, 62, 38]
    assert f"{100 * result.explained:.1f}" == "88.4"
    assert kmeans(iris, 3, init=IRIS_START, algorithm=algorithm, tol=0).sizes.tolist() == [38, 50, 62]
    for name in ("hartigan-wong", "macqueen", "lloyd"):
        assert FROM_R["iris"][name]["sizes"] == [38, 50, 62]


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("algorithm", "inertia"), [("lloyd", 20.75), ("macqueen", 20.75), ("hartigan", 85 / 6), ("hartigan-wong", 85 / 6)]
)
def test_the_worked_example(algorithm, inertia, dtype):
    result = kmeans(EXAMPLE.astype(dtype), 3, init=EXAMPLE[[0, 3, 6]], algorithm=algorithm)
    assert result.inertia == pytest.approx(inertia, rel=1e-14)
    if algorithm in HARTIGAN:
        assert "".join(map(str, result.labels)) == FROM_R["worked example"]["hartigan-wong"]["labels"]
        assert round(result.inertia, 5) == 14.16667


# --- fixed points --------------------------------------------------------------------------------------------------


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", HARTIGAN)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "p", "k"), [(300, 1, 3), (500, 2, 7), (700, 3, 16), (400, 5, 33), (300, 17, 9)])
def test_no_single_move_helps_in_the_end(algorithm, weighted, n, p, k):
    for dtype in DTYPES:
        X = whole(n, p, dtype, seed=n + k) if np.dtype(dtype).kind == "u" else blobs(n, p, 5, seed=k).astype(dtype)
        weights = np.random.default_rng(1).integers(0, 5, n) * 0.25 if weighted else None
        result = kmeans(X, k, random_state=1, algorithm=algorithm, sample_weight=weights)
        assert result.converged
        assert_consistent(X, result, weights)
        grouped, counts = grouped_rows(X, weights) if np.dtype(dtype).kind == "u" else (X, weights)
        labels = reference.nearest(grouped, result.centers)
        gain = reference.best_single_move(grouped, labels, k, counts)
        assert gain <= 1e-9 * result.inertia


def grouped_rows(X, weights):
    distinct, owner = np.unique(X, axis=0, return_inverse=True)
    return distinct, np.bincount(owner.reshape(-1), weights, minlength=len(distinct)).astype(float)


@pytest.mark.parametrize("algorithm", HARTIGAN)
@pytest.mark.parametrize("seed", range(5))
def test_never_above_lloyd_from_where_lloyd_ends(algorithm, seed):
    X = blobs(3000, 3, 8, seed=seed, spread=1.5)
    lloyd = kmeans(X, 12, random_state=seed, tol=0)
    result = kmeans(X, 12, init=lloyd.centers, algorithm=algorithm)
    assert result.inertia <= lloyd.inertia * (1 + 1e-14)
    assert_no_move_helps(X, result)


@pytest.mark.kernel
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("algorithm", ["hartigan", "macqueen"])
def test_moves_are_those_of_the_plain_algorithm(algorithm, weighted):
    X = blobs(2500, 3, 6, seed=2, spread=1.2)
    weights = np.random.default_rng(2).integers(0, 4, len(X)) * 0.5 if weighted else None
    labels, passes = reference.one_at_a_time(X, X[:9], algorithm, weights)
    result = kmeans(X, 9, init=X[:9], algorithm=algorithm, sample_weight=weights)
    counted = slice(None) if weights is None else weights > 0
    np.testing.assert_array_equal(result.labels[counted], labels[counted])
    assert result.n_iter == passes


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("p", [1, 3, 9])
def test_threads_and_layout_change_nothing(algorithm, p):
    X = blobs(40_000, p, 11, seed=p)
    expected = kmeans(X, 11, init=X[:11], algorithm=algorithm, max_iter=6, n_threads=1)
    for n_threads in (2, 3, 8):
        assert_same_bits(kmeans(X, 11, init=X[:11], algorithm=algorithm, max_iter=6, n_threads=n_threads), expected)
    for other in (np.asfortranarray(X), X.astype(">f8"), np.repeat(X, 2, axis=0)[::2]):
        assert_same_bits(kmeans(other, 11, init=X[:11], algorithm=algorithm, max_iter=6), expected)


EVERY_KIND_OF_PROBLEM = """
import numpy as np
from fastcluster_ext import kmeans

generator = np.random.default_rng(0)
for algorithm in ("hartigan", "hartigan-wong", "macqueen"):
    for n, p, k in ((20_003, 3, 16), (3001, 1, 5), (2005, 9, 40), (901, 2, 300)):
        X = generator.normal(size=(n, p))
        for weights in (None, generator.exponential(size=n)):
            result = kmeans(X, k, init=X[:k], algorithm=algorithm, sample_weight=weights, n_threads=2)
            print(hash((result.labels.tobytes(), result.centers.tobytes(), result.n_iter)))
"""


def test_every_instruction_set_gives_the_same_bits():
    changes = {"PYTHONHASHSEED": "0"}
    found = {
        run_python(EVERY_KIND_OF_PROBLEM, **changes, **{_kernels.ENVIRONMENT: isa}).stdout for isa in _kernels.built()
    }
    assert len(found) == 1


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("n", "p", "k"), [(2000, 2, 6), (30_000, 3, 16)])
def test_points_without_weight_do_not_count(algorithm, n, p, k):
    X = np.random.default_rng(1).random((n, p))
    counted = np.random.default_rng(3).random(n) < 0.7
    init = X[counted][:k]
    result = kmeans(X, k, init=init, algorithm=algorithm, sample_weight=counted.astype(float))
    expected = kmeans(X[counted], k, init=init, algorithm=algorithm)
    np.testing.assert_array_equal(result.centers, expected.centers)
    np.testing.assert_array_equal(result.labels[counted], expected.labels)
    assert result.n_iter == expected.n_iter


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pixels_are_grouped(algorithm, photo):
    pixels = photo[1000:1400:3, 1000:1800:3].reshape(-1, 3)
    colors, counts = np.unique(pixels, axis=0, return_counts=True)
    init = colors[:: len(colors) // 16][:16]
    result = kmeans(pixels, 16, init=init, algorithm=algorithm)
    expected = kmeans(colors, 16, init=init, algorithm=algorithm, sample_weight=counts)
    np.testing.assert_array_equal(result.centers, expected.centers)
    assert_consistent(pixels, result)
    if algorithm in HARTIGAN:
        assert reference.best_single_move(colors, expected.labels, 16, counts) <= 1e-9 * result.inertia


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_empty_clusters_are_refilled(algorithm):
    X = whole(400, 3, seed=5)
    result = kmeans(X, 8, init=np.concatenate([X[:3], np.full((5, 3), 1000.0)]), algorithm=algorithm)
    assert_consistent(X, result)


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_as_many_clusters_as_distinct_points(algorithm):
    distinct = np.unique(whole(30, 2, most=9), axis=0)
    result = kmeans(np.repeat(distinct, 2, axis=0), len(distinct), random_state=0, algorithm=algorithm)
    assert result.inertia == 0
    assert kmeans(distinct, 1, algorithm=algorithm).inertia == pytest.approx(kmeans(distinct, 1).inertia)


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_small_problem(algorithm, data):
    n, p = data.draw(st.integers(2, 40)), data.draw(st.integers(1, 4))
    seed = data.draw(st.integers(0, 1000))
    X = whole(n, p, seed=seed, most=data.draw(st.sampled_from([1, 3, 1000])))
    weights = np.random.default_rng(seed).integers(1, 4, n).astype(float) if data.draw(st.booleans()) else None
    k = data.draw(st.integers(1, len(np.unique(X, axis=0))))
    result = kmeans(X, k, random_state=seed, algorithm=algorithm, sample_weight=weights)
    assert_consistent(X, result, weights)
    if algorithm in HARTIGAN:
        assert_no_move_helps(X, result, weights)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_cluster_is_ever_empty(algorithm):
    generator = np.random.default_rng(0)
    for _ in range(300):
        n, p = generator.integers(2, 25), generator.integers(1, 3)
        X = generator.integers(0, 4, (n, p)).astype(float)
        distinct = np.unique(X, axis=0)
        k = generator.integers(1, len(distinct) + 1)
        init = distinct[generator.choice(len(distinct), k, replace=False)] + generator.choice([0.0, 0.25, 9.0])
        result = kmeans(X, k, init=init, algorithm=algorithm, max_iter=generator.choice([1, 2, 100]))
        assert result.sizes.min() > 0
        if result.converged:
            assert_consistent(X, result)


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_weights_add_up_beyond_32_bits(algorithm):
    X = whole(300, 2)
    weights = np.random.default_rng(0).integers(1, 5, len(X)).astype(float)
    expected = kmeans(X, 7, init=X[:7], algorithm=algorithm, sample_weight=weights)
    result = kmeans(X, 7, init=X[:7], algorithm=algorithm, sample_weight=weights * 2.0**33)
    np.testing.assert_array_equal(result.labels, expected.labels)
    np.testing.assert_array_equal(result.cluster_weights, expected.cluster_weights * 2.0**33)
    assert result.inertia == expected.inertia * 2.0**33


@pytest.mark.kernel
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_weights_of_all_sizes(algorithm):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(300, 2))
    weights = 10.0 ** generator.integers(-12, 12, 300)
    result = kmeans(X, 12, init=X[:12], algorithm=algorithm, sample_weight=weights)
    np.testing.assert_array_equal(result.labels, reference.nearest(X, result.centers))
    assert (result.cluster_weights > 0).all()
    scaled = kmeans(X, 12, init=X[:12], algorithm=algorithm, sample_weight=weights * 2.0**40)
    np.testing.assert_array_equal(scaled.labels, result.labels)


# --- what is shown of a run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_history_and_callback(algorithm):
    X = blobs(3000, 3, 6, seed=4, spread=1.5)
    seen = []
    result = kmeans(X, 6, init=X[:6], algorithm=algorithm, history=True, callback=seen.append)
    assert [step.iteration for step in result.history] == list(range(1, result.n_iter + 1))
    assert [step.iteration for step in seen] == list(range(1, result.n_iter + 1))
    np.testing.assert_array_equal(result.history[0].centers, X[:6])
    for step in result.history:
        np.testing.assert_array_equal(step.labels, reference.nearest(X, step.centers))
        assert step.inertia == pytest.approx(reference.inertia(X, step.centers), rel=1e-12)
    for before, after in zip(result.history[:-1], result.history[1:], strict=True):
        assert before.center_shift == pytest.approx(((after.centers - before.centers) ** 2).sum())
    stopped = kmeans(X, 6, init=X[:6], algorithm=algorithm, callback=lambda step: step.iteration == 2)
    assert (stopped.n_iter, stopped.converged) == (2, False)
    assert_same_bits(stopped, kmeans(X, 6, init=X[:6], algorithm=algorithm, max_iter=2))
    with pytest.raises(ZeroDivisionError):
        kmeans(X, 6, init=X[:6], algorithm=algorithm, callback=lambda step: 1 // 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("max_iter", [1, 2, 3])
def test_labels_are_those_of_the_centers_after_any_iteration(algorithm, max_iter):
    X = blobs(3000, 3, 6, seed=4, spread=1.5)
    result = kmeans(X, 6, init=X[:6], algorithm=algorithm, max_iter=max_iter)
    np.testing.assert_array_equal(result.labels, reference.nearest(X, result.centers))


def test_forgy_is_lloyd():
    X = blobs(1000, 3, 6)
    assert_same_bits(kmeans(X, 6, init=X[:6], algorithm="forgy"), kmeans(X, 6, init=X[:6], algorithm="lloyd"))
