"""Linkage of observations without their distance matrix: the same trees as with it."""

import json
import signal
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.spatial.distance as scipy_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from processes import INTERRUPTIBLE, MEASURED, needs_memory_peaks, run_python
from reference_hierarchy import complete_in_rounds, median_closest_first, replay, single_by_edges

from fastcluster_ext import _vectors
from fastcluster_ext.compat import fastcluster as compat
from fastcluster_ext.hierarchy import LinkageStep, linkage, linkage_weights

DATA = Path(__file__).parent / "data"
# Methods, and the metrics for which they need no matrix.
WAYS = (
    ("single", "euclidean"),
    ("single", "sqeuclidean"),
    ("ward", "euclidean"),
    ("average", "sqeuclidean"),
    ("weighted", "sqeuclidean"),
    ("centroid", "euclidean"),
    ("median", "euclidean"),
    ("complete", "euclidean"),
    ("complete", "sqeuclidean"),
    ("average", "euclidean"),
    ("weighted", "euclidean"),
)
rng = np.random.default_rng(11)


def points_of(kind, n, p):
    generator = np.random.default_rng(n + 1000 * p)
    if kind == "random":
        return generator.normal(size=(n, p))
    if kind == "clustered":
        return generator.integers(0, 4, size=(n, p)) + 1e-3 * generator.normal(size=(n, p))
    if kind == "duplicated":
        return np.repeat(generator.normal(size=(-(-n // 3), p)), 3, axis=0)[generator.permutation(n)]
    if kind == "far":
        return 1e7 + generator.normal(size=(n, p))
    if kind == "collinear":
        return generator.normal(size=(n, 1)) * np.arange(1, p + 1)
    return generator.integers(0, 5, size=(n, p)).astype(float)  # "grid"


def condensed(points, metric):
    return scipy_distance.pdist(np.asarray(points, dtype=float), metric)


@pytest.mark.parametrize(("method", "metric"), WAYS)
@pytest.mark.parametrize("kind", ["random", "clustered", "duplicated", "far", "collinear"])
@pytest.mark.parametrize("p", range(1, 9))
def test_heights_of_the_matrix(p, kind, method, metric):
    points = points_of(kind, 300, p)
    found = linkage(points, method, metric, memory="vector")
    expected = linkage(condensed(points, metric), method)
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=1e-9)
    if kind == "random":
        np.testing.assert_array_equal(found[:, [0, 1, 3]], expected[:, [0, 1, 3]])


@pytest.mark.parametrize(("kind", "p"), [("clustered", 1), ("duplicated", 3), ("random", 5)])
@pytest.mark.parametrize(("method", "metric"), WAYS)
def test_heights_of_the_matrix_of_5000(method, metric, kind, p):
    points, weights = points_of(kind, 5000, p), None
    if kind == "random":
        weights = np.random.default_rng(p).integers(1, 5000, size=5000)
    found = linkage(points, method, metric, weights=weights, memory="vector")
    expected = linkage(points, method, metric, weights=weights, memory="matrix")
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=1e-9)


@pytest.mark.parametrize(("method", "metric"), [way for way in WAYS if way[0] in ("ward", "centroid", "median")])
def test_heights_are_exact_however_near_clusters_are(method, metric):
    points = 3 + 1e-9 * np.random.default_rng(1).permutation(3000)[:150].reshape(50, 3)
    weights = np.random.default_rng(2).integers(1, 9, size=50)
    tree = linkage(points, method, metric, weights=weights, memory="vector")
    nodes = [([Fraction(x) for x in point], Fraction(int(w))) for point, w in zip(points, weights, strict=True)]
    for a, b, height, _ in tree.tolist():
        (one, u), (two, v) = nodes[int(a)], nodes[int(b)]
        squared = sum((x - y) ** 2 for x, y in zip(one, two, strict=True))
        if method == "ward":
            squared *= 2 * u * v / (u + v)
        assert height == pytest.approx(float(squared) ** 0.5, rel=1e-14)
        share = Fraction(1, 2) if method == "median" else u / (u + v)
        nodes.append(([share * x + (1 - share) * y for x, y in zip(one, two, strict=True)], u + v))


@pytest.mark.parametrize(("method", "metric"), WAYS)
def test_heights_of_the_matrix_with_weights(method, metric):
    points, weights = points_of("random", 900, 3), rng.integers(1, 5000, size=900)
    found = linkage(points, method, metric, weights=weights, memory="vector")
    expected = linkage(condensed(points, metric), method, weights=weights)
    np.testing.assert_allclose(found[:, 2], expected[:, 2], rtol=1e-9)
    np.testing.assert_array_equal(found[:, [0, 1, 3]], expected[:, [0, 1, 3]])


@pytest.mark.parametrize(("method", "metric"), WAYS)
@pytest.mark.parametrize("p", [1, 2, 3, 6])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_merge_of_a_grid_is_a_minimum(weighted, p, method, metric):
    points = points_of("grid", 140, p)
    weights = rng.integers(1, 4, size=len(points)).astype(float) if weighted else None
    found = linkage(points, method, metric, weights=weights, memory="vector")
    replay(condensed(points, metric), found, method, weights=weights, atol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
@pytest.mark.parametrize("method", ["average", "weighted"])
def test_means_of_equal_distances_that_rounding_sets_apart(method, metric):
    # In many of these a cluster's mean distance comes out lower than the equal one at which it was made.
    random = np.random.default_rng(11)
    for _ in range(40):
        points = random.integers(0, random.integers(2, 5), (random.integers(60, 160), random.integers(2, 6)))
        points = points * random.choice([1.0, 0.1])
        found = linkage(points, method, metric, memory="vector")
        replay(condensed(points, metric), found, method, atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(
    hypothesis_numpy.arrays(np.int8, st.tuples(st.integers(2, 30), st.integers(1, 4)), elements=st.integers(-3, 3)),
    st.sampled_from(WAYS),
)
def test_ties(points, way):
    found = linkage(points, *way, memory="vector")
    replay(condensed(points, way[1]), found, way[0], atol=1e-12)


GRIDS = hypothesis_numpy.arrays(np.int8, st.tuples(st.integers(2, 40), st.integers(1, 3)), elements=st.integers(-3, 3))


@settings(deadline=None, max_examples=60)
@given(GRIDS)
def test_single_merges_by_the_lowest_observations(points):
    found = linkage(points, "single", memory="vector")
    np.testing.assert_array_equal(found, single_by_edges(condensed(points, "euclidean"), len(points)))


@settings(deadline=None, max_examples=60)
@given(GRIDS, st.randoms(use_true_random=False))
def test_other_methods_merge_the_lowest_of_equally_near(points, random):
    points = np.unique(points, axis=0).astype(float)
    points = points[random.sample(range(len(points)), min(len(points), 25))]
    if len(points) > 1:
        found = linkage(points, "complete", "sqeuclidean", memory="vector")
        np.testing.assert_array_equal(found, complete_in_rounds(condensed(points, "sqeuclidean")))
        found = linkage(points, "median", memory="vector")
        np.testing.assert_array_equal(found, median_closest_first(points))


def test_single_of_many_equal_distances_is_the_only_tree():
    # Of a grid in any order: the tree of observations that are renamed is the renamed tree only if names decide.
    points = np.stack(np.meshgrid(*[np.arange(60.0)] * 2), axis=-1).reshape(-1, 2)
    points = points[np.random.default_rng(3).permutation(len(points))]
    sparse = points[:700]
    expected = single_by_edges(condensed(sparse, "euclidean"), len(sparse))
    for n_threads in (1, 3):
        np.testing.assert_array_equal(linkage(sparse, "single", memory="vector", n_threads=n_threads), expected)
    tree = linkage(points, "single", memory="vector")
    np.testing.assert_array_equal(tree[:, 2], 1)
    # Kruskal's: the first edge is that of the lowest observation that has a neighbor, which all of them have.
    assert tree[0, 0] == 0


@pytest.mark.parametrize(("method", "metric"), WAYS)
def test_weighted_is_repeated(method, metric):
    points, counts = points_of("random", 400, 3), rng.integers(1, 6, size=400)
    weighted = linkage(points, method, metric, weights=counts, memory="vector")
    repeated = linkage(np.repeat(points, counts, axis=0), method, metric, memory="vector")
    above = repeated[repeated[:, 2] > 0]
    np.testing.assert_allclose(weighted[:, 2], above[:, 2], rtol=1e-9)
    np.testing.assert_array_equal(linkage_weights(weighted, counts), above[:, 3])


@pytest.mark.parametrize(("method", "metric"), WAYS)
@pytest.mark.parametrize("kind", ["random", "grid"])
def test_threads_change_nothing(kind, method, metric):
    points = points_of("random", 4000, 3) if kind == "random" else rng.integers(0, 40, size=(4000, 3))
    alone = linkage(points, method, metric, memory="vector", n_threads=1)
    for n_threads in (2, 3):
        np.testing.assert_array_equal(linkage(points, method, metric, memory="vector", n_threads=n_threads), alone)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, ">f8", np.int64])
def test_dtypes_and_strides(dtype):
    points = rng.integers(0, 200, size=(1200, 6)).astype(dtype)
    points.flags.writeable = False
    expected = linkage(points.astype(float)[:, ::2].copy(), "ward", memory="vector")
    np.testing.assert_array_equal(linkage(points[:, ::2], "ward", memory="vector"), expected)
    np.testing.assert_array_equal(linkage(np.asfortranarray(points[:, ::2]), "ward", memory="vector"), expected)


@pytest.mark.parametrize(("method", "metric"), WAYS)
@pytest.mark.parametrize("scale", [1e-300, 1e-100, 1e100, 1e300])
def test_coordinates_too_large_or_small_to_square(scale, method, metric):
    points = rng.uniform(-1, 1, size=(300, 3))
    expected = linkage(points, method, metric, memory="vector")[:, 2]
    if metric == "sqeuclidean" and scale > 1e200:
        with pytest.raises(ValueError, match="beyond float64"):
            linkage(points * scale, method, metric, memory="vector")
        return
    factor = scale * scale if metric == "sqeuclidean" else scale
    found = linkage(points * scale, method, metric, memory="vector")[:, 2]
    np.testing.assert_allclose(found, expected * factor, rtol=1e-12)


def test_weights_large_and_small():
    points, weights = points_of("random", 200, 2), rng.integers(1, 9, size=200).astype(float)
    expected = linkage(points, "ward", weights=weights, memory="vector")
    for scale in (1e-290, 1e290):
        found = linkage(points, "ward", weights=weights * scale, memory="vector")
        np.testing.assert_allclose(found[:, 2], expected[:, 2] * scale**0.5, rtol=1e-12)
    weights[3], weights[4] = 1e-290, 1e280
    with pytest.raises(ValueError, match="weights must not differ by more"):
        linkage(points, "ward", weights=weights, memory="vector")


@pytest.mark.parametrize(("method", "metric"), WAYS)
def test_few_points(method, metric):
    np.testing.assert_array_equal(
        linkage([[0.0, 3.0], [4.0, 0.0]], method, metric, memory="vector"),
        [[0, 1, 25 if metric == "sqeuclidean" else 5, 2]],
    )
    same = linkage(np.full((50, 3), 7.0), method, metric, memory="vector")
    np.testing.assert_array_equal(same[:, 2], 0)
    np.testing.assert_array_equal(same[-1, 3], 50)
    with pytest.raises(ValueError, match="at least two observations"):
        linkage([[1.0, 2.0]], method, metric, memory="vector")
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match=f"{value} at row 2, column 0"):
            linkage([[1.0], [2.0], [value]], method, metric, memory="vector")
    for weights, message in (([1, 0, 1], "must be positive, got 0 at position 1"), ([1, -1, 1], "negative|positive")):
        with pytest.raises(ValueError, match=message):
            linkage([[1.0], [2.0], [4.0]], method, metric, weights=weights, memory="vector")


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        ([[0.0], [np.nan]], {}, "nan at row 1, column 0"),
        ([[0.0], [-np.inf]], {}, "-inf at row 1, column 0"),
        ([[0.0], [1.0]], {"weights": [1, 0]}, "weights must be positive, got 0 at position 1"),
        ([[0.0], [1.0]], {"weights": [1, np.nan]}, "weights holds nan"),
        ([[0.0], [1.0]], {"weights": [1, 2, 3]}, "shape"),
        ([[0.0], [1.0]], {"metric": "cityblock"}, "memory='vector' is not for method='ward' with metric='cityblock'"),
        ([1.0, 2.0, 3.0], {}, "takes observations"),
        ([[0.0], [1.0]], {"memory": "disk"}, "memory must be one of"),
        (np.empty((5, 0)), {}, "empty"),
    ],
)
def test_bad_input(points, options, message):
    with pytest.raises(ValueError, match=message):
        linkage(points, "ward", **{"memory": "vector", **options})


def test_auto_needs_no_matrix_for_many_points():
    # 80 GB of distances.
    points = rng.normal(size=(100_000, 2))
    tree = linkage(points, "ward")
    assert tree.shape == (99_999, 4)
    assert tree[-1, 3] == 100_000
    small = points[:300]
    np.testing.assert_array_equal(linkage(small, "ward"), linkage(small, "ward", memory="matrix"))


def test_a_line_merges_in_pairs_from_its_lowest_end():
    # The lowest of equally near ones counts: one pair a round, and clusters of two runs of points at every level.
    n = 4096
    points = np.arange(n, dtype=float)[:, None]
    sizes = 2 ** np.arange(12)
    tree = linkage(points, "complete", memory="vector")
    np.testing.assert_array_equal(tree[:, 2], np.repeat(2 * sizes - 1, n // (2 * sizes)))
    tree = linkage(points, "average", "sqeuclidean", memory="vector")
    np.testing.assert_allclose(tree[:, 2], np.repeat((7 * sizes**2 - 1) / 6, n // (2 * sizes)), rtol=1e-9)


def test_many_columns():
    points = rng.normal(size=(600, 40))
    found = linkage(points, "ward", memory="vector")
    np.testing.assert_allclose(found[:, 2], linkage(points, "ward", memory="matrix")[:, 2], rtol=1e-9)


@pytest.mark.parametrize("method", ["single", "centroid", "median", "ward"])
def test_linkage_vector_of_the_compatible_interface(method):
    points = points_of("random", 1500, 3)
    expected = linkage(condensed(points, "euclidean"), method)
    np.testing.assert_allclose(compat.linkage_vector(points, method), expected, rtol=1e-9)
    points[7, 1] = np.nan
    with pytest.raises(FloatingPointError):
        compat.linkage_vector(points, method)


def test_weighted_ward_equals_r():
    cases = json.loads((DATA / "hclust_members.json").read_text())
    for case in cases:
        points, weights = np.array(case["points"]), np.array(case["members"])
        found = linkage(points, "ward", weights=weights, memory="vector")
        # R's ward.D2 takes distances as they are; ours begin at sqrt(2 w w' / (w + w')) times as much.
        np.testing.assert_allclose(found[:, 2], case["heights"], rtol=1e-9)


@pytest.mark.parametrize("method", ["single", "ward", "centroid", "median"])
def test_bad_and_odd_input_of_the_compatible_interface(method):
    assert compat.linkage_vector([[1.0, 2.0]], method).shape == (0, 4)
    np.testing.assert_array_equal(compat.linkage_vector([[0.0, 3.0], [4.0, 0.0]], method), [[0, 1, 5, 2]])
    same = np.full((1500, 2), 7.0)
    np.testing.assert_array_equal(compat.linkage_vector(same, method)[:, 2], 0)
    line = points_of("collinear", 1500, 2)
    expected = linkage(condensed(line, "euclidean"), method)[:, 2]
    np.testing.assert_allclose(compat.linkage_vector(line, method)[:, 2], expected, rtol=1e-9)
    np.testing.assert_allclose(compat.linkage_vector(1e300 * line, method)[:, 2], 1e300 * expected, rtol=1e-9)
    with pytest.raises(FloatingPointError):
        compat.linkage_vector(np.append(line, [[np.nan, 0]], axis=0), method)
    with pytest.raises(ValueError, match="two dimensions"):
        compat.linkage_vector([1.0, 2.0], method)


@pytest.mark.parametrize(("method", "metric"), WAYS)
def test_a_callback_sees_it_grow(method, metric, monkeypatch):
    monkeypatch.setattr(_vectors, "_SECONDS_BETWEEN_STEPS", 0)
    points, steps = np.repeat(points_of("random", 6000, 2), 2, axis=0), []
    tree = linkage(points, method, metric, memory="vector", callback=steps.append)
    assert {step.total for step in steps} == {11_999}
    merges = [step.merges for step in steps]
    assert len(merges) > 3
    assert merges == sorted(merges)
    assert steps[-1] == LinkageStep(11_999, 11_999)
    np.testing.assert_array_equal(linkage(points, method, metric, memory="vector"), tree)

    def stop(step):
        raise StopIteration(step.merges)

    with pytest.raises(StopIteration):
        linkage(points, method, metric, memory="vector", callback=stop)
    np.testing.assert_array_equal(linkage(points, method, metric, memory="vector"), tree)


def test_a_callback_is_called_at_the_end_in_any_case():
    for call in (
        lambda callback: linkage([[0.0], [1.0], [3.0]], "ward", callback=callback),
        lambda callback: linkage([1.0, 3.0, 2.0], "single", callback=callback),
        lambda callback: linkage([[0.0], [0.0], [0.0]], "ward", memory="vector", callback=callback),
        lambda callback: compat.linkage_vector([[0.0], [1.0], [3.0]], "ward", callback=callback),
    ):
        steps = []
        call(steps.append)
        assert steps == [LinkageStep(2, 2)]
    with pytest.raises(TypeError, match="callback must be callable, got int"):
        linkage([1.0], callback=3)


def test_python_threads_at_once():
    points = points_of("random", 2000, 3)
    expected = {way: linkage(points, *way) for way in WAYS}
    results = {}

    def work(way):
        results[way] = linkage(points, *way)

    threads = [threading.Thread(target=work, args=(way,)) for way in WAYS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for way in WAYS:
        np.testing.assert_array_equal(results[way], expected[way])


INTERRUPTED = (
    INTERRUPTIBLE
    + """
import numpy as np
from fastcluster_ext import linkage
draw = np.random.default_rng(0)
points, late = draw.normal(size=(400_000, 3)), {}
for method, metric in json.loads(sys.argv[1]):
    some = points[:100_000] if metric == "euclidean" and method in ("average", "weighted") else points
    small = linkage(points[:2000], method, metric, memory="vector")
    tries = []
    for delay in (0.05, 0.15, 0.3):
        tries.append(lateness(lambda: [linkage(some, method, metric, memory="vector") for _ in range(99)], delay))
        assert np.array_equal(linkage(points[:2000], method, metric, memory="vector"), small)
    late[method + " " + metric] = tries
print(json.dumps(late))
"""
)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_signals_are_heard_within_100_milliseconds():
    for name, tries in json.loads(run_python(INTERRUPTED, json.dumps(WAYS)).stdout).items():
        # Other processes may hold this one up: not every time.
        assert sorted(tries)[-2] < 0.1, (name, tries)


MEMORY = (
    MEASURED
    + """
import numpy as np
from fastcluster_ext import ColorHistogram, image_linkage
from fastcluster_ext.image_tree import IMAGE_METHODS
n = 135_000  # leaves are hardly more than half full
codes = np.random.default_rng(0).permutation(1 << 24)[:n]
image = (codes[:, None, None] >> np.array([0, 8, 16]) & 255).astype(np.uint8)
histogram = ColorHistogram.from_image(image)
assert len(histogram.counts) == n
few = ColorHistogram.from_image(image[:2000])
bytes_each = {}
for method in IMAGE_METHODS:
    image_linkage(few, method)
    bytes_each[method] = extra_memory(lambda: image_linkage(histogram, method)) / n
print(json.dumps(bytes_each))
"""
)


@needs_memory_peaks
def test_memory_of_a_color():
    # Freed memory goes back to the system at once, so that each method's peak is its own.
    found = json.loads(run_python(MEMORY, MALLOC_MMAP_THRESHOLD_="65536").stdout)
    assert len(found) == 7
    assert all(100 < each <= 300 for each in found.values()), found


@pytest.mark.parametrize("method", [m for m, metric in WAYS if metric == "euclidean" and m != "single"])
@pytest.mark.parametrize("weights", [[1, 1e149, 1, 1], [1e-165, 1e-165, 1, 1], [1, 1, 1e170, 1]])
def test_weights_of_very_different_sizes(method, weights):
    points = np.random.default_rng(0).normal(size=(4, 2))
    if method in ("average", "weighted", "complete"):
        expected = linkage(points, method, weights=weights, memory="matrix")
        np.testing.assert_allclose(linkage(points, method, weights=weights, memory="vector"), expected, rtol=1e-9)
    else:
        assert np.isfinite(linkage(points, method, weights=weights, memory="vector")).all()
