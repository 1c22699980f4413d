import subprocess
import sys

import fastcluster as original
import numpy as np
import pytest
import scipy.cluster.hierarchy as scipy_hierarchy
from scipy.spatial.distance import pdist

from fastcluster_ext import compat, hierarchy
from fastcluster_ext.compat import fastcluster as ours

points = np.random.default_rng(0).normal(size=(60, 4))
distances = pdist(points)


@pytest.mark.parametrize("method", hierarchy.METHODS)
def test_equals_fastcluster(method):
    np.testing.assert_allclose(ours.linkage(distances, method), original.linkage(distances, method), rtol=1e-11)
    np.testing.assert_allclose(getattr(ours, method)(distances), original.linkage(distances, method), rtol=1e-11)
    np.testing.assert_allclose(
        ours.linkage(points, method, "cityblock"), original.linkage(points, method, "cityblock"), rtol=1e-11
    )
    buffer = distances.copy()
    np.testing.assert_allclose(
        ours.linkage(buffer, method, preserve_input=False), original.linkage(distances, method), rtol=1e-11
    )


@pytest.mark.parametrize("method", ["single", "centroid", "median", "ward"])
def test_vector_equals_fastcluster(method):
    np.testing.assert_allclose(ours.linkage_vector(points, method), original.linkage_vector(points, method), rtol=1e-9)


def test_metrics_with_an_argument_or_by_scipy():
    np.testing.assert_allclose(
        ours.linkage_vector(points, "single", "minkowski", 3), original.linkage_vector(points, "single", "minkowski", 3)
    )
    np.testing.assert_allclose(
        ours.linkage(points, "average", "seuclidean"), original.linkage(points, "average", "seuclidean")
    )
    np.testing.assert_allclose(
        ours.linkage(points, "average", lambda x, y: abs(x - y).sum()), ours.linkage(points, "average", "cityblock")
    )


@pytest.mark.parametrize("method", hierarchy.METHODS)
def test_infinite_distances(method):
    values = np.array([1.0, 2.0, np.inf])
    np.testing.assert_allclose(ours.linkage(values, method), original.linkage(values, method))
    for n in (5, 700):
        values = np.full(n * (n - 1) // 2, np.inf)
        try:
            assert np.isinf(ours.linkage(values, method)[:, 2]).all()
        except FloatingPointError:
            assert method in ("ward", "centroid", "median")


@pytest.mark.parametrize("method", hierarchy.METHODS)
def test_errors(method):
    with pytest.raises(FloatingPointError):
        ours.linkage([1.0, np.nan, 2.0], method)
    with pytest.raises(ValueError, match="condensed"):
        ours.linkage([1.0, 2.0], method)
    with pytest.raises(ValueError, match=r"[Mm]etric"):
        ours.linkage(points, method, "warp")
    with pytest.raises(ValueError, match="dimensions"):
        ours.linkage(np.zeros((2, 2, 2)), method)
    assert ours.linkage(points[:1], method).shape == original.linkage(points[:1], method).shape == (0, 4)


FASTCLUSTER_RAISES = (AssertionError, FloatingPointError, IndexError, KeyError, TypeError, ValueError)

BAD_CALLS = {
    "a NaN": lambda module: module.linkage([1.0, np.nan, 2.0]),
    "a wrong length": lambda module: module.linkage([1.0, 2.0]),
    "nothing": lambda module: module.linkage([]),
    "no rows": lambda module: module.linkage(np.zeros((0, 3))),
    "three dimensions": lambda module: module.linkage(np.zeros((2, 2, 2))),
    "a number": lambda module: module.linkage(3.0),
    "text": lambda module: module.linkage(["a", "b", "c"]),
    "None": lambda module: module.linkage(np.array([1, 2, None], dtype=object)),
    "method": lambda module: module.linkage(points, "warp"),
    "metric": lambda module: module.linkage(points, "single", "warp"),
    "metric of a wrong type": lambda module: module.linkage(points, "single", None),
    "a NaN in an observation": lambda module: module.linkage([[1, np.nan], [2, 3]]),
    "vector: a NaN": lambda module: module.linkage_vector([[1, np.nan], [2, 3]], "ward"),
    "vector: no rows": lambda module: module.linkage_vector(np.zeros((0, 3))),
    "vector: no columns": lambda module: module.linkage_vector(np.zeros((3, 0))),
    "vector: a condensed matrix": lambda module: module.linkage_vector(distances),
    "vector: text": lambda module: module.linkage_vector([["a"], ["b"]]),
    "vector: method": lambda module: module.linkage_vector(points, "warp"),
    "vector: method of a matrix": lambda module: module.linkage_vector(points, "complete"),
    "vector: metric": lambda module: module.linkage_vector(points, "single", "warp"),
    "vector: metric of ward": lambda module: module.linkage_vector(points, "ward", "cityblock"),
    "vector: no exponent": lambda module: module.linkage_vector(points, "single", "minkowski"),
    "vector: a bad exponent": lambda module: module.linkage_vector(points, "single", "minkowski", "a"),
    "vector: an argument too many": lambda module: module.linkage_vector(points, "single", "euclidean", 3),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_error_types_are_fastclusters(call):
    with pytest.raises(FASTCLUSTER_RAISES) as wanted:
        call(original)
    with pytest.raises(wanted.type):
        call(ours)


def test_unknown_methods():
    for function in (ours.linkage, original.linkage, ours.linkage_vector, original.linkage_vector):
        with pytest.raises(KeyError):
            function(points, "warp")
    for function in (ours.linkage_vector, original.linkage_vector):
        with pytest.raises(IndexError):
            function(points, "complete")
    with pytest.raises(ValueError, match="Euclidean"):
        ours.linkage_vector(points, "ward", "cityblock")
    with pytest.raises(ValueError, match="two dimensions"):
        ours.linkage_vector(distances)


def test_switch():
    kept = scipy_hierarchy.linkage
    with compat.installed():
        import fastcluster

        assert fastcluster is ours
        assert scipy_hierarchy.linkage is hierarchy.linkage
        compat.install()
        with compat.installed():
            pass
        assert scipy_hierarchy.linkage is hierarchy.linkage
    import fastcluster

    assert fastcluster is original
    assert scipy_hierarchy.linkage is kept
    compat.uninstall()


CLUSTERMAP = """
import sys, warnings
import numpy as np
warnings.simplefilter("ignore")
import matplotlib
matplotlib.use("Agg")
import pandas as pd, seaborn
from fastcluster_ext import compat
if sys.argv[2] == "ours":
    compat.install()
import fastcluster
assert (fastcluster is compat.fastcluster) == (sys.argv[2] == "ours")
data = np.load(sys.argv[1])["expression"].astype(float)
sys.setrecursionlimit(10 * data.shape[1])  # SciPy draws a tree by recursion
for method, metric in (("average", "euclidean"), ("ward", "euclidean"), ("complete", "cityblock"),
                       ("single", "euclidean")):
    grid = seaborn.clustermap(pd.DataFrame(data), method=method, metric=metric, figsize=(4, 4))
    grid.savefig(f"{sys.argv[3]}_{method}.png", dpi=50, metadata={"Software": None})
"""


def test_clustermap_is_the_same_picture(tmp_path):
    from test_hierarchy_linkage import DATA

    # Side by side: almost all of the time goes into drawing.
    processes = [
        subprocess.Popen([sys.executable, "-c", CLUSTERMAP, str(DATA / "nci60.npz"), name, str(tmp_path / name)])
        for name in ("ours", "theirs")
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    for method in ("average", "ward", "complete", "single"):
        assert (tmp_path / f"ours_{method}.png").read_bytes() == (tmp_path / f"theirs_{method}.png").read_bytes()
