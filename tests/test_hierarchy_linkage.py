import json
import os
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.cluster.hierarchy as scipy_hierarchy
import scipy.spatial.distance as scipy_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import MEASURED, needs_memory_peaks, run_python
from reference_hierarchy import replay

import fastcluster_ext
from fastcluster_ext import _kernels
from fastcluster_ext.hierarchy import METHODS, ClusterWarning, linkage, linkage_weights

DATA = Path(__file__).parent / "data"
ORDERED = ("single", "complete", "average", "weighted", "ward")
rng = np.random.default_rng(4)

# Enough positions for the team of threads, several blocks, and rounds as well as chains.
LARGE = 1300


def points_of(kind, n, p=3):
    generator = np.random.default_rng(n)
    if kind == "random":
        return generator.normal(size=(n, p))
    if kind == "tied":
        return generator.integers(0, 4, size=(n, p)).astype(float)
    if kind == "duplicated":
        return np.repeat(generator.normal(size=(-(-n // 3), p)), 3, axis=0)[:n]
    if kind == "same":
        return np.ones((n, p))
    # Gaps that grow: one pair of reciprocal neighbors at a time.
    return np.cumsum(1.01 ** np.arange(n))[:, None]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["random", "tied", "duplicated", "same", "growing"])
@pytest.mark.parametrize("n", [2, 3, 4, 33, 150])
def test_every_merge_is_a_minimum(kind, n, method):
    distances = scipy_distance.pdist(points_of(kind, n))
    kept = distances.copy()
    Z = linkage(distances, method)
    np.testing.assert_array_equal(distances, kept)
    replay(distances, Z, method, atol=1e-14 if kind in ("tied", "duplicated", "same") else 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["random", "tied"])
def test_every_merge_is_a_minimum_with_weights(kind, method):
    points = points_of(kind, 70)
    weights = rng.uniform(0.1, 20, size=len(points))
    distances = scipy_distance.pdist(points)
    replay(distances, linkage(distances, method, weights=weights), method, weights=weights, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["random", "growing"])
@pytest.mark.parametrize("n", [2, 5, 64, LARGE])
def test_equals_scipy(n, kind, method):
    points = points_of(kind, n) if kind == "random" else points_of(kind, min(n, 300))
    distances = scipy_distance.pdist(points)
    Z = linkage(distances, method)
    expected = scipy_hierarchy.linkage(distances, method)
    np.testing.assert_array_equal(Z[:, [0, 1, 3]], expected[:, [0, 1, 3]])
    np.testing.assert_allclose(Z[:, 2], expected[:, 2], rtol=1e-11)


@pytest.mark.kernel
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("first", [30, 500, 1150])
def test_every_size(first, method):
    """Rows are made some at a time, and columns some at a time: what is left over at the end comes in all sizes."""
    for n in range(first, first + (18 if first < 1000 else 6)):
        points = clouds("even", n)
        distances = scipy_distance.pdist(points)
        Z = linkage(distances, method)
        expected = scipy_hierarchy.linkage(distances, method)
        np.testing.assert_array_equal(Z[:, [0, 1, 3]], expected[:, [0, 1, 3]])
        np.testing.assert_allclose(Z[:, 2], expected[:, 2], rtol=1e-11)
        weights = np.random.default_rng(n).integers(1, 4, n).astype(float)
        Z = linkage(distances, method, weights=weights)
        in_place = linkage(distances, method, weights=weights, preserve_input=False, n_threads=3)
        np.testing.assert_allclose(in_place, Z, rtol=1e-11)


@pytest.mark.kernel
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("preserve", [True, False])
@pytest.mark.parametrize("n", [250, 333, 521, 540, 600])
def test_few_merges_a_pass(n, preserve, method):
    """Heavy tails in many dimensions: a triangle that shrinks slowly, and is condensed onto itself again and again."""
    distances = scipy_distance.pdist(np.random.default_rng(0).standard_t(1.5, size=(n, 50)))
    expected = scipy_hierarchy.linkage(distances, method)
    Z = linkage(distances, method, preserve_input=preserve)
    np.testing.assert_array_equal(Z[:, [0, 1, 3]], expected[:, [0, 1, 3]])
    np.testing.assert_allclose(Z[:, 2], expected[:, 2], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spread", [0.0, 0.01])
@pytest.mark.parametrize("order", ["nested", "shuffled"])
def test_clusters_of_clusters(order, spread, method):
    """A thousand points in pairs of pairs of pairs: lists of near neighbors tell of merges upon merges."""
    rng = np.random.default_rng(0)
    digits = np.arange(1024)[:, None] >> np.arange(10) & 1
    points = digits @ 3.0 ** np.arange(10) + spread * rng.random(1024)
    if order == "shuffled":
        rng.shuffle(points)
    distances = scipy_distance.pdist(points[:, None])
    Z = linkage(distances, method)
    np.testing.assert_allclose(Z[:, 2], scipy_hierarchy.linkage(distances, method)[:, 2], rtol=1e-11)
    replay(distances, Z, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["random", "tied", "same"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_nothing(dtype, kind, method):
    distances = scipy_distance.pdist(points_of(kind, LARGE)).astype(dtype)
    alone = linkage(distances, method, n_threads=1)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(linkage(distances, method, n_threads=n_threads), alone)


@pytest.mark.parametrize("method", METHODS)
def test_threads_change_nothing_where_many_are_as_near(method):
    rng = np.random.default_rng(1)
    distances = rng.integers(1, 50, 1500 * 1499 // 2).astype(np.float64)
    weights = rng.integers(1, 4, 1500).astype(np.float64)
    alone = linkage(distances, method, weights=weights, n_threads=1)
    for n_threads in (2, 2, 2, 3):  # who sees what is another matter every time
        np.testing.assert_array_equal(linkage(distances, method, weights=weights, n_threads=n_threads), alone)


def clouds(kind, n):
    generator = np.random.default_rng(n)
    if kind == "even":
        return generator.normal(size=(n, 3))
    if kind == "groups":  # of all sizes, some of them a thousand times denser than others
        spread = 10.0 ** generator.uniform(-3, 0, 30)
        group = generator.integers(0, 30, n)
        return 4 * generator.normal(size=(30, 4))[group] + spread[group, None] * generator.normal(size=(n, 4))
    if kind == "tails":
        return generator.standard_t(1.2, size=(n, 3))
    return generator.normal(size=(n, 24))  # hubs: a few clusters grow by one observation after the other


@pytest.mark.parametrize("method", ["centroid", "median"])
@pytest.mark.parametrize("kind", ["even", "groups", "tails", "hubs"])
def test_closest_pairs_by_the_thousand(kind, method):
    """So many that several passes find near pairs, each of which merges hundreds of them."""
    distances = scipy_distance.pdist(clouds(kind, 3500))
    expected = scipy_hierarchy.linkage(distances, method)
    Z = linkage(distances, method)
    np.testing.assert_allclose(Z[:, 2], expected[:, 2], rtol=1e-9)
    np.testing.assert_array_equal(Z[:, [0, 1, 3]], expected[:, [0, 1, 3]])
    np.testing.assert_array_equal(linkage(distances, method, n_threads=1), Z)
    single = linkage(distances.astype(np.float32), method)
    # Inversions may come out otherwise, one by one.
    np.testing.assert_allclose(np.sort(single[:, 2]).sum(), np.sort(Z[:, 2]).sum(), rtol=1e-4)
    # With less memory, fewer are merged in a pass, and formulas applied in another order.
    np.testing.assert_allclose(linkage(distances, method, preserve_input=False), Z, rtol=1e-9)


@pytest.mark.kernel
@pytest.mark.parametrize("method", ["centroid", "median"])
@pytest.mark.parametrize("kind", ["random", "tied", "duplicated"])
def test_every_one_of_many_closest_pairs_is_a_minimum(kind, method):
    """With weights, and where many pairs are as near."""
    points = points_of(kind, LARGE)
    weights = np.random.default_rng(0).integers(1, 6, LARGE).astype(float)
    distances = scipy_distance.pdist(points)
    replay(distances, linkage(distances, method, weights=weights), method, weights=weights, atol=1e-7)


TIED = """
import hashlib
import numpy as np
from fastcluster_ext import linkage
for seed in range(24):
    for dtype in (np.float32, np.float64):
        n = 200 + 60 * (seed % 3)
        distances = np.random.default_rng(seed).integers(1, 5, n * (n - 1) // 2).astype(dtype)
        for method in ("complete", "average", "weighted", "ward", "centroid", "median"):
            print(hashlib.sha256(linkage(distances, method, n_threads=1).tobytes()).hexdigest())
"""


def test_instruction_sets_change_nothing_where_many_are_as_near():
    trees = {run_python(TIED, FASTCLUSTER_EXT_ISA=isa).stdout for isa in _kernels.built()}
    assert len(trees) == 1


@pytest.mark.parametrize("method", METHODS)
def test_single_precision(method):
    distances = scipy_distance.pdist(points_of("random", 200))
    Z = linkage(distances.astype(np.float32), method)
    assert Z.dtype == np.float64
    if method not in ("centroid", "median"):
        np.testing.assert_allclose(Z[:, 2], scipy_hierarchy.linkage(distances, method)[:, 2], rtol=2e-5)
    replay(distances.astype(np.float32), Z, method, rtol=3e-5)
    np.testing.assert_array_equal(linkage(distances, method, dtype=np.float32), Z)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-170, 1e-30, 1e30, 1e170])
def test_distances_too_large_or_small_to_square(scale, method):
    distances = scipy_distance.pdist(points_of("random", 50))
    expected = linkage(distances, method)
    expected[:, 2] *= scale
    np.testing.assert_allclose(linkage(distances * scale, method), expected, rtol=1e-12)
    if 1e-35 < scale < 1e35:
        expected = linkage(distances.astype(np.float32), method)[:, 2] * scale
        np.testing.assert_allclose(linkage((distances * scale).astype(np.float32), method)[:, 2], expected, rtol=1e-4)


@pytest.mark.parametrize("method", ["ward", "centroid", "median"])
@pytest.mark.parametrize("least", [5e-324, 1e-310, np.float32(1e-45), np.float32(1e-40)])
def test_the_least_distances_there_are(least, method):
    distances = least * np.array([1, 1, 1], dtype=least.dtype if isinstance(least, np.float32) else float)
    Z = linkage(distances, method)
    assert Z[0, 2] == pytest.approx(float(least), rel=1e-6 if isinstance(least, np.float32) else 0, abs=0)
    assert 0 < Z[1, 2] <= 2 * float(least)


@pytest.mark.parametrize("method", ["average", "weighted"])
def test_distances_whose_mean_overflows(method):
    with pytest.raises(ValueError, match="distances are so large that heights overflow"):
        linkage([1.2e308, 1.3e308, 1.4e308], method)


@pytest.mark.parametrize("method", METHODS)
def test_overwriting_the_input_gives_the_same(method):
    distances = scipy_distance.pdist(points_of("random", 300))
    expected = linkage(distances, method)
    np.testing.assert_array_equal(linkage(distances.copy(), method, preserve_input=False), expected)
    read_only = distances.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(linkage(read_only, method, preserve_input=False), expected)
    np.testing.assert_array_equal(read_only, distances)


@pytest.mark.parametrize("method", METHODS)
def test_strided_and_foreign_input(method):
    distances = scipy_distance.pdist(points_of("random", 40))
    expected = linkage(distances, method)
    spread = np.zeros((len(distances), 2))
    spread[:, 1] = distances
    for given_ in (spread[:, 1], distances.astype(">f8"), distances.tolist(), distances[::-1].copy()[::-1]):
        np.testing.assert_array_equal(linkage(given_, method, preserve_input=False), expected)
    np.testing.assert_array_equal(spread[:, 1], distances)
    whole = np.rint(distances * 10)
    np.testing.assert_array_equal(linkage(whole.astype(np.int32), method), linkage(whole, method))


@pytest.mark.parametrize("method", METHODS)
def test_weighted_is_repeated(method):
    points, counts = points_of("random", 40), rng.integers(1, 6, size=40)
    weighted = linkage(points, method, weights=counts)
    repeated = linkage(np.repeat(points, counts, axis=0), method)
    above = repeated[repeated[:, 2] > 1e-9]
    np.testing.assert_allclose(weighted[:, 2], above[:, 2], rtol=1e-9)
    np.testing.assert_array_equal(linkage_weights(weighted, counts), above[:, 3])
    assert weighted[-1, 3] == 40


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weight", [1e-300, 1e-155, 2.0**-601, 1e155, 1e300])
@pytest.mark.parametrize("method", METHODS)
def test_equal_weights_of_any_size_are_no_weights(method, weight, dtype):
    distances = scipy_distance.pdist(points_of("random", 60)).astype(dtype)
    expected = linkage(distances, method)
    found = linkage(distances, method, weights=np.full(60, weight))
    if method == "ward":
        expected[:, 2] *= np.sqrt(weight)
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)


def test_weights_too_far_apart():
    distances = scipy_distance.pdist(points_of("random", 5))
    weights = [1.0, 1e-70, 1e70, 1.0, 1.0]
    for method in ("ward", "centroid"):
        with pytest.raises(ValueError, match=r"factor of 1e\+120, got 1e-70 and 1e\+70"):
            linkage(distances, method, weights=weights)
    with pytest.raises(ValueError, match=r"factor of 1e\+200, got 1e-140 and 1e\+140"):
        linkage(distances, "average", weights=np.square(weights))
    for method in ("single", "complete", "weighted", "median"):
        np.testing.assert_array_equal(linkage(distances, method, weights=weights), linkage(distances, method))
    with pytest.raises(ValueError, match="overflow"):
        linkage(distances * 1e250, "ward", weights=np.full(5, 1e300))


@pytest.mark.parametrize("method", ["centroid", "ward", "average"])
def test_weights_far_apart(method):
    points, weights = points_of("random", 30), 10.0 ** rng.uniform(-100, 0, 30)
    distances = scipy_distance.pdist(points)
    replay(distances, linkage(distances, method, weights=weights), method, weights=weights, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0], [2, 0, 1]])
def test_a_heavy_observation_keeps_its_distance(order):
    """The light one is so far from the third that its share counts; not Euclidean."""
    square = np.array([[0, 0.1, 1e9], [0.1, 0, 1], [1e9, 1, 0]])[np.ix_(order, order)]
    weights = np.array([1, 1e20, 1])[order]
    Z = linkage(scipy_distance.squareform(square), "centroid", weights=weights)
    np.testing.assert_allclose(Z[:, 2], [0.1, np.sqrt(1.01)], rtol=1e-12)


def test_weights_of_one_are_no_weights():
    points = points_of("random", 60)
    for method in METHODS:
        np.testing.assert_allclose(linkage(points, method, weights=np.ones(60)), linkage(points, method), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("preserve_input", [True, False])
def test_a_merged_cluster_as_near_as_a_lower_one(preserve_input, dtype):
    # 1 was nearest to 0 and has merged; 2 is as near, and so is what 4 and 5 become: 13^2 - (10 / 2)^2 = 12^2.
    square = np.full((12, 12), 30.0)
    for i, j, distance in [(0, 1, 12), (0, 2, 12), (0, 3, 20), (0, 4, 13), (0, 5, 13), (1, 3, 2), (4, 5, 10)]:
        square[i, j] = square[j, i] = distance
    distances = square[np.triu_indices(12, 1)].astype(dtype)
    Z = linkage(distances, "median", preserve_input=preserve_input)
    np.testing.assert_array_equal(Z[:3, :3], [[1, 3, 2], [4, 5, 10], [0, 2, 12]])


@settings(deadline=None, max_examples=60)
@given(
    st.integers(2, 14).flatmap(
        lambda n: st.lists(st.integers(0, 5), min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2)
    ),
    st.sampled_from(("single", "complete", "average", "weighted")),
)
def test_ties_of_any_matrix(values, method):
    distances = np.array(values, dtype=float)
    Z = linkage(distances, method)
    replay(distances, Z, method, atol=1e-14)
    assert scipy_hierarchy.is_valid_linkage(Z)
    assert scipy_hierarchy.is_monotonic(Z)


@pytest.mark.parametrize("method", ["average", "complete", "weighted"])
def test_light_and_heavy_observations_at_equal_distances(method):
    # A light cluster hardly moves a heavy one's distance, which then comes out a bit lower than it was.
    random = np.random.default_rng(5)
    for _ in range(20):
        points = random.integers(0, 2, (130, 33)).astype(float)
        weights = 10.0 ** random.integers(-6, 6, 130)
        distances = scipy_distance.pdist(points).astype(np.float32)
        found = linkage(distances, method, weights=weights)
        replay(distances.astype(float), found, method, weights=weights, rtol=1e-4)


def test_the_course_example():
    points = np.array([[1, 1], [2, 1], [4, 5], [7, 7], [5, 7]])
    np.testing.assert_allclose(
        fastcluster_ext.pdist(points), [1.0, 5.0, 8.5, 7.2, 4.5, 7.8, 6.7, 3.6, 2.2, 2.0], atol=0.05
    )
    for method, heights in {
        "single": [1, 2, 2.236, 4.472],
        "complete": [1, 2, 3.606, 8.485],
        "average": [1, 2, 2.921, 6.614],
    }.items():
        np.testing.assert_allclose(linkage(points, method)[:, 2], heights, atol=5e-4)


@pytest.fixture(scope="module")
def nci60():
    with np.load(DATA / "nci60.npz") as archive:
        return archive["expression"]


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "correlation"])
def test_nci60_equals_scipy_and_r(nci60, metric):
    hclust = json.loads((DATA / "nci60_hclust.json").read_text())
    distances = scipy_distance.pdist(nci60.astype(float), metric)
    for method in METHODS:
        Z = linkage(distances, method)
        expected = scipy_hierarchy.linkage(distances, method)
        np.testing.assert_array_equal(Z[:, [0, 1, 3]], expected[:, [0, 1, 3]])
        np.testing.assert_allclose(Z[:, 2], expected[:, 2], rtol=1e-10)
        r = hclust[f"{metric} {method}"]
        np.testing.assert_allclose(Z[:, 2], r["heights"], rtol=1e-6)
        if method in ORDERED:
            np.testing.assert_array_equal(fastcluster_ext.cut_tree(Z, 8)[:, 0] + 1, r["labels"])


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "correlation"])
def test_nci60_from_observations(nci60, metric):
    exact = nci60.astype(float)
    for method in ("average", "complete"):
        np.testing.assert_allclose(
            linkage(exact, method, metric), scipy_hierarchy.linkage(exact, method, metric), rtol=1e-10
        )
    for method in ("ward", "centroid", "median"):
        if metric != "euclidean":
            with pytest.raises(ValueError, match="Euclidean"):
                linkage(exact, method, metric)


@pytest.mark.parametrize("method", ["average", "ward", "single"])
def test_optimal_ordering(method):
    points = points_of("random", 40)
    Z = linkage(points, method, optimal_ordering=True)
    plain = linkage(points, method)
    np.testing.assert_array_equal(np.sort(Z[:, :2]), np.sort(plain[:, :2]))
    np.testing.assert_array_equal(Z, fastcluster_ext.optimal_leaf_ordering(plain, points))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], "empty"),
        ([[1.0, 2.0]], "at least two observations"),
        ([1.0, 2.0], "not a condensed matrix"),
        ([1.0, np.nan, 2.0], "rows 0 and 2 is nan"),
        ([1.0, 3.0, np.inf], "rows 1 and 2 is inf"),
        (np.zeros((2, 2, 2)), "1 or 2 dimensional"),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_bad_input(y, message, method):
    with pytest.raises(ValueError, match=message):
        linkage(y, method)


def test_bad_options():
    distances = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="Invalid method: 'warp'"):
        linkage(distances, "warp")
    with pytest.raises(ValueError, match="metric"):
        linkage([[1.0], [2.0]], "average", "warp")
    with pytest.raises(ValueError, match="weights must be positive, got 0 at position 1"):
        linkage(distances, weights=[1, 0, 2])
    with pytest.raises(ValueError, match="shape"):
        linkage(distances, weights=[1, 2])
    with pytest.raises(ValueError, match="n_threads"):
        linkage(distances, n_threads=0)
    with pytest.raises(ValueError, match="dtype"):
        linkage(distances, dtype=np.int32)
    with pytest.raises(TypeError):
        linkage(["a", "b", "c"])
    with pytest.raises(ValueError, match="Euclidean"):
        linkage([0, 0, -1], "centroid")


def test_a_constant_row_is_named():
    points = rng.normal(size=(6, 5))
    points[3] = 7
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="all distances of row 3"):
        linkage(points, "average", "correlation")


def test_a_square_distance_matrix_is_suspicious():
    square = scipy_distance.squareform(scipy_distance.pdist(points_of("random", 6)))
    with pytest.warns(ClusterWarning, match="uncondensed distance"):
        linkage(square, "average")
    square[0, 1] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linkage(square, "average")


def test_python_threads_at_once():
    distances = scipy_distance.pdist(points_of("random", LARGE))
    expected = {method: linkage(distances, method) for method in METHODS}
    results = {}

    def work(method):
        results[method] = linkage(distances, method)

    threads = [threading.Thread(target=work, args=(method,)) for method in METHODS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for method in METHODS:
        np.testing.assert_array_equal(results[method], expected[method])


def test_too_much_for_memory_names_the_bytes():
    done = run_python(
        "import resource, numpy as np\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "from fastcluster_ext import linkage\n"
        "try:\n"
        "    linkage(np.zeros((100_000, 2), np.float32), 'average', memory='matrix')\n"
        "except MemoryError as error:\n"
        "    print(error)\n"
    )
    assert "19999800000 bytes" in done.stdout, done.stderr


MEMORY = (
    MEASURED
    + """
import numpy as np
from fastcluster_ext import linkage
n, method, preserve = 4000, sys.argv[1], sys.argv[2] == "preserved"
distances = np.random.default_rng(0).random(n * (n - 1) // 2)
linkage(distances[:1225].copy(), method)
print(extra_memory(lambda: linkage(distances, method, preserve_input=preserve)) / distances.nbytes)
"""
)


@needs_memory_peaks
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("input_is", "most"), [("overwritten", 0.1), ("preserved", 1.1)])
def test_extra_memory(method, input_is, most):
    assert float(run_python(MEMORY, method, input_is).stdout) <= most


# Not in CI: 2^31 distances are 8.6 GB, more than a machine of CI has to give, and these methods write all of them, so
# they cannot be memory that is not there until it is written, as in test_hierarchy_single.py, whose method only reads.
# By hand, with 12 GB free: TEST_LARGE=1 python -m pytest tests/test_hierarchy_linkage.py -k 16_bits
@pytest.mark.skipif("TEST_LARGE" not in os.environ, reason="takes 20 seconds and 10 GB; set TEST_LARGE to run it")
@pytest.mark.parametrize("method", [method for method in METHODS if method != "single"])
def test_more_observations_than_16_bits_count(method):
    """65 600 observations, more than 2^31 distances."""
    n = 65_600
    points = np.sort(np.random.default_rng(0).random((n, 1), dtype=np.float32), axis=0)
    Z = linkage(fastcluster_ext.pdist(points), method, preserve_input=False)
    assert (np.sort(Z[:, :2].ravel()) == np.arange(2 * n - 2)).all()
    assert Z[-1, 3] == n


def delay_of_a_signal(job, after):
    """Seconds from a signal, `after` seconds into the job, until the job has ended by it."""
    fired = []

    def stop(*_):
        fired.append(time.perf_counter())
        raise KeyboardInterrupt

    # SIGALRM is delivered on time; what takes time is until Python looks.
    def repeat():
        while True:
            job()

    previous = signal.signal(signal.SIGALRM, stop)
    due = time.perf_counter() + after
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        with pytest.raises(KeyboardInterrupt):
            repeat()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    return fired[0] - due


def least_delay(job, after):
    """The least of three: other processes may hold this one up."""
    return min(delay_of_a_signal(job, after) for _ in range(3))


needs_timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
PROMPT = 0.1


@needs_timers
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("after", [0.03, 0.1])
def test_a_signal_ends_it(method, after):
    distances = np.random.default_rng(0).random(4000 * 3999 // 2)
    assert least_delay(lambda: linkage(distances, method), after) < PROMPT
    assert linkage(distances[:3], method).shape == (2, 4)


@needs_timers
def test_a_signal_ends_single_linkage_of_equal_distances():
    distances = np.random.default_rng(0).integers(1, 9, size=4000 * 3999 // 2).astype(float)
    assert least_delay(lambda: linkage(distances), 0.15) < PROMPT


@needs_timers
def test_a_signal_ends_optimal_leaf_ordering():
    points = points_of("random", 1500)
    Z = linkage(points, "average")
    assert least_delay(lambda: fastcluster_ext.optimal_leaf_ordering(Z, points), 0.1) < PROMPT


@pytest.mark.kernel
@pytest.mark.parametrize("n", [300, 700, 2000])
@pytest.mark.parametrize("method", ["complete", "average", "weighted", "ward"])
def test_pairs_only(method, n):
    # Every observation is in a pair: a round of merges leaves as many pairs as clusters.
    generator = np.random.default_rng(n)
    points = 1000.0 * np.repeat(generator.permutation(n // 2), 2)[:, np.newaxis] + generator.random((n, 1))
    expected = scipy_hierarchy.linkage(points, method)
    np.testing.assert_allclose(linkage(scipy_distance.pdist(points), method)[:, 2], expected[:, 2], rtol=1e-9)
