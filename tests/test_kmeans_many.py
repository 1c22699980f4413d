"""kmeans_many: the results of one call for each problem, in any number of threads."""

import sys

import numpy as np
import pytest

from fastcluster_ext import kmeans, kmeans_many


def problems_of(count=30, p=2, dtype=np.float64, seed=0):
    generator = np.random.default_rng(seed)
    return [
        (generator.normal(size=(int(generator.integers(20, 400)), p)) * 50 + 128).astype(dtype) for _ in range(count)
    ]


def assert_same(results, expected):
    assert len(results) == len(expected)
    for one, other in zip(results, expected, strict=True):
        for name in (
            "labels",
            "centers",
            "inertia",
            "cluster_inertia",
            "total_inertia",
            "sizes",
            "n_iter",
            "converged",
        ):
            assert np.asarray(getattr(one, name)).tobytes() == np.asarray(getattr(other, name)).tobytes(), name


@pytest.fixture(autouse=True)
def threads_for_small_problems(monkeypatch):
    monkeypatch.setattr(sys.modules["fastcluster_ext.kmeans"], "_LEAST_WORK_FOR_THREADS", 0)


@pytest.mark.parametrize("n_threads", [1, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"init": "random", "n_init": 3},
        {"algorithm": "hartigan-wong"},
        {"metric": "manhattan"},
        {"max_iter": 2, "tol": 0},
    ],
    ids=str,
)
def test_equals_one_call_for_each(options, dtype, n_threads):
    Xs = problems_of(dtype=dtype)
    expected = [kmeans(X, 4, random_state=np.random.default_rng([3, i]), **options) for i, X in enumerate(Xs)]
    assert_same(kmeans_many(Xs, 4, random_state=3, n_threads=n_threads, **options), expected)


def test_offsets_weights_and_centers():
    Xs = problems_of()
    generator = np.random.default_rng(1)
    weights = [generator.integers(1, 4, len(X)) for X in Xs]
    init = [X[:3] for X in Xs]
    expected = [kmeans(X, 3, init=c, sample_weight=w) for X, c, w in zip(Xs, init, weights, strict=True)]
    assert_same(kmeans_many(Xs, 3, init=init, sample_weight=weights), expected)
    offsets = np.cumsum([0, *map(len, Xs)])
    joined = np.concatenate(Xs)
    joined.flags.writeable = False
    results = kmeans_many(joined, 3, offsets=offsets, init=np.stack(init), sample_weight=np.concatenate(weights))
    assert_same(results, expected)
    cube = np.stack([X[:20] for X in Xs])
    assert_same(kmeans_many(cube, 3, random_state=0), kmeans_many(list(cube), 3, random_state=0))


@pytest.mark.parametrize(("n", "p", "k"), [(2040, 8, 16), (1300, 10, 20), (500, 16, 32), (260, 50, 20)])
def test_the_largest_of_the_small_problems(n, p, k):
    # Together with larger ones: what a call for each cuts rows into must not show.
    generator = np.random.default_rng(n)
    Xs = [generator.normal(size=(rows, p)).astype(np.float32) for rows in (n, n + n // 4, 2 * n, 5 * n)]
    expected = [kmeans(X, k, init=X[:k], max_iter=5, tol=0) for X in Xs]
    assert_same(kmeans_many(Xs, k, init=[X[:k] for X in Xs], max_iter=5, tol=0, n_threads=2), expected)


def test_random_states():
    Xs = problems_of(5)
    generators = [np.random.default_rng(1), np.random.default_rng(1)]
    assert_same(*(kmeans_many(Xs, 3, random_state=generator) for generator in generators))
    assert kmeans_many([], 3) == []
    assert len(kmeans_many(Xs, 3)) == 5


@pytest.mark.parametrize("n_threads", [1, 3])
def test_errors_name_the_problem(n_threads):
    Xs = problems_of(200)
    Xs[123] = np.full((9, 2), 1.5)
    with pytest.raises(ValueError, match="problem 123: k must be at most the number of distinct points, which is 1"):
        kmeans_many(Xs, 2, n_threads=n_threads)


def test_bad_arguments():
    X = np.arange(20.0).reshape(10, 2)
    for offsets, message in (
        ([0, 5], "offsets must end with the length of Xs"),
        ([0, 5, 5, 10], "offsets must begin with 0 and increase"),
        ([1, 10], "offsets must begin with 0"),
        ([0.0, 10.0], "offsets must be a list of at least two integers"),
        ([0], "offsets must be a list of at least two integers"),
    ):
        with pytest.raises(ValueError, match=message):
            kmeans_many(X, 2, offsets=offsets)
    with pytest.raises(ValueError, match="Xs must be a sequence of arrays, one for each problem; or give offsets"):
        kmeans_many(X, 2)
    with pytest.raises(ValueError, match="sample_weight must have one entry for each of the 1 problems, got 2"):
        kmeans_many([X], 2, sample_weight=[np.ones(10)] * 2)
    with pytest.raises(ValueError, match="init must have one entry for each of the 1 problems, got 2"):
        kmeans_many([X], 2, init=[X[:2]] * 2)
    with pytest.raises(ValueError, match="random_state must not be negative"):
        kmeans_many([X], 2, random_state=-1)
    with pytest.raises(ValueError, match="n_threads must be from 1"):
        kmeans_many([X], 2, n_threads=0)
    for name, arguments in (("Xs", {"Xs": None}), ("init", {"Xs": [X], "init": None})):
        with pytest.raises(TypeError, match=f"{name} must be a sequence"):
            kmeans_many(**arguments, k=2)


@pytest.mark.kernel
@pytest.mark.parametrize("k", [1, 2, 9, 20])
@pytest.mark.parametrize("weighted", [False, True])
def test_small_problems_of_all_shapes_equal_one_call_for_each(k, weighted):
    generator = np.random.default_rng(k)
    shapes = [
        (int(n), int(p)) for n, p in zip(generator.integers(k, 300, 25), generator.integers(1, 8, 25), strict=True)
    ]
    dtypes = [np.float32, np.float64, np.uint16]
    Xs = [
        (2000 * generator.random((2 * n, p))).astype(dtypes[i % 3])[:: 2 if i % 2 else -2]
        for i, (n, p) in enumerate(shapes)
    ]
    weights = [generator.integers(0, 3, len(X)) + (np.arange(len(X)) < k) for X in Xs] if weighted else None
    expected = [
        kmeans(X, k, sample_weight=weights[i] if weighted else None, random_state=np.random.default_rng([7, i]))
        for i, X in enumerate(Xs)
    ]
    for n_threads in (1, 3):
        assert_same(kmeans_many(Xs, k, sample_weight=weights, random_state=7, n_threads=n_threads), expected)


@pytest.mark.kernel
def test_small_problems_with_clusters_that_become_empty():
    Xs = problems_of()
    init = [np.concatenate([X[:2], [[1e4, 1e4], [1e4, 1e4]]]) for X in Xs]
    expected = [kmeans(X, 4, init=c) for X, c in zip(Xs, init, strict=True)]
    assert_same(kmeans_many(Xs, 4, init=init), expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((50, 2)), "problem 3: k must be at most the number of distinct points, which is 1, got 2"),
        (np.full((50, 2), np.nan), "problem 3: X holds nan at row 0, column 0"),
        (np.zeros(50), "problem 3: X must be two-dimensional"),
        (np.zeros((0, 2)), "problem 3: X is empty"),
    ],
)
def test_errors_of_small_problems_name_them(wrong, message):
    Xs = problems_of(6)
    Xs[3] = wrong
    with pytest.raises(ValueError, match=message):
        kmeans_many(Xs, 2, random_state=0)
