import time

import numpy as np
import pytest
import scipy.cluster.hierarchy as scipy_hierarchy
from reference_hierarchy import shortest_leaf_order
from scipy.spatial.distance import pdist, squareform

from fastcluster_ext import trees
from fastcluster_ext.hierarchy import METHODS, linkage

ORDERED = ("single", "complete", "average", "weighted", "ward")


@pytest.fixture(scope="module")
def tree_of():
    points = np.random.default_rng(7).normal(size=(80, 2))
    distances = pdist(points)
    return {method: (scipy_hierarchy.linkage(distances, method), distances) for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_equal_scipy(tree_of, method):
    Z, distances = tree_of[method]
    np.testing.assert_array_equal(trees.leaves_list(Z), scipy_hierarchy.leaves_list(Z))
    np.testing.assert_array_equal(trees.cophenet(Z), scipy_hierarchy.cophenet(Z))
    correlation, joined = trees.cophenet(Z, distances)
    expected, _ = scipy_hierarchy.cophenet(Z, distances)
    assert correlation == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(joined, trees.cophenet(Z))
    for depth in (1, 2, 5):
        np.testing.assert_allclose(
            trees.inconsistent(Z, depth), scipy_hierarchy.inconsistent(Z, depth), rtol=1e-9, atol=1e-6
        )


@pytest.mark.parametrize("method", METHODS)
def test_flat_clusters_equal_scipy(tree_of, method):
    Z, _ = tree_of[method]
    statistics = scipy_hierarchy.inconsistent(Z)
    for t in (0, *Z[::7, 2], *(Z[::7, 2] * 0.999)):
        np.testing.assert_array_equal(trees.fcluster(Z, t, "distance"), scipy_hierarchy.fcluster(Z, t, "distance"))
    for k in (1, 2, 3, 10, 79, 80, 81):
        np.testing.assert_array_equal(trees.fcluster(Z, k, "maxclust"), scipy_hierarchy.fcluster(Z, k, "maxclust"))
        np.testing.assert_array_equal(
            trees.fcluster(Z, k, "maxclust_monocrit", monocrit=Z[:, 2]),
            scipy_hierarchy.fcluster(Z, k, "maxclust_monocrit", monocrit=scipy_hierarchy.maxdists(Z)),
        )
    for t in (0.5, 0.8, 1.2):
        np.testing.assert_array_equal(trees.fcluster(Z, t, R=statistics), scipy_hierarchy.fcluster(Z, t, R=statistics))
        np.testing.assert_array_equal(
            trees.fcluster(Z, t, "monocrit", monocrit=statistics[:, 3]),
            scipy_hierarchy.fcluster(Z, t, "monocrit", monocrit=scipy_hierarchy.maxinconsts(Z, statistics)),
        )


@pytest.mark.parametrize("method", ORDERED)
def test_cuts_equal_scipy_where_heights_ascend(tree_of, method):
    Z, _ = tree_of[method]
    np.testing.assert_array_equal(trees.cut_tree(Z), scipy_hierarchy.cut_tree(Z))
    np.testing.assert_array_equal(trees.cut_tree(Z, [5, 3]), scipy_hierarchy.cut_tree(Z, [5, 3]))
    for height in (Z[0, 2], Z[40, 2], Z[40, 2] * 1.0001, 1e9):
        np.testing.assert_array_equal(trees.cut_tree(Z, height=height), scipy_hierarchy.cut_tree(Z, height=height))


@pytest.mark.parametrize("method", ["centroid", "median"])
def test_cuts_of_inversions(method):
    Z = scipy_hierarchy.linkage(np.random.default_rng(1).normal(size=(80, 20)), method)
    assert (np.diff(Z[:, 2]) < 0).any()
    cuts = trees.cut_tree(Z)
    for column, k in zip(cuts.T, range(80, 0, -1), strict=True):
        assert len(np.unique(column)) == k
        assert column[0] == 0
    for finer, coarser in zip(cuts.T, cuts.T[1:], strict=False):
        assert len(np.unique(np.stack([finer, coarser]), axis=1).T) == len(np.unique(finer))
    # A cut at a height keeps apart what fcluster keeps apart.
    for height in Z[::9, 2]:
        labels = trees.cut_tree(Z, height=np.nextafter(height, np.inf))[:, 0]
        flat = trees.fcluster(Z, height, "distance")
        assert len(set(zip(labels, flat, strict=True))) == len(set(flat)) == len(set(labels))


def test_cuts_of_ward_rounding():
    # Heights that are equal but for rounding, and not in order: SciPy 1.17 gives the wrong number of clusters.
    height = 1.0
    Z = np.array([[0, 1, height, 2], [2, 3, np.nextafter(height, 0), 2], [4, 5, 2.0, 4]])
    for k in (1, 2, 3, 4):
        assert len(np.unique(trees.cut_tree(Z, k))) == k
    np.testing.assert_array_equal(trees.cut_tree(Z, 3)[:, 0], [0, 0, 1, 2])


@pytest.mark.parametrize("method", ["single", "average", "ward", "centroid"])
@pytest.mark.parametrize("n", [2, 3, 5, 9])
def test_leaf_order_is_optimal(n, method):
    points = np.random.default_rng(n).normal(size=(n, 2))
    distances = pdist(points)
    matrix = squareform(distances)
    Z = linkage(distances, method)
    for n_threads in (1, 2):
        ordered = trees.optimal_leaf_ordering(Z, distances, n_threads=n_threads)
        leaves = trees.leaves_list(ordered)
        assert matrix[leaves[:-1], leaves[1:]].sum() == pytest.approx(shortest_leaf_order(Z, matrix), rel=1e-12)
        np.testing.assert_array_equal(np.sort(ordered[:, :2]), Z[:, :2])
    np.testing.assert_array_equal(ordered, trees.optimal_leaf_ordering(Z, points))


@pytest.mark.parametrize("method", ["average", "single"])
def test_leaf_order_is_at_least_as_good_as_scipys(method):
    distances = pdist(np.random.default_rng(2).normal(size=(150, 4)))
    matrix = squareform(distances)
    Z = linkage(distances, method)

    def length(tree):
        leaves = scipy_hierarchy.leaves_list(tree)
        return matrix[leaves[:-1], leaves[1:]].sum()

    ours = trees.optimal_leaf_ordering(Z, distances)
    assert scipy_hierarchy.is_valid_linkage(ours)
    assert length(ours) <= length(scipy_hierarchy.optimal_leaf_ordering(Z, distances)) * (1 + 1e-12)
    np.testing.assert_array_equal(trees.cophenet(ours), trees.cophenet(Z))


def test_leaf_order_of_a_balanced_tree_does_not_take_scipys_time():
    # All halves are as large as they can be, where SciPy takes O(n^4): 0.2 seconds here, and this a twentieth of it.
    n = 512
    distances = pdist(np.random.default_rng(5).normal(size=(n, 3)))
    pairs = np.arange(2 * n - 2).reshape(-1, 2)
    sizes = np.repeat([2**level for level in range(1, 10)], [n >> level for level in range(1, 10)])
    Z = np.column_stack([pairs, np.arange(1.0, n), sizes])

    def least_seconds(function):
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            function(Z, distances)
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    ours = least_seconds(lambda *tree: trees.optimal_leaf_ordering(*tree, n_threads=1))
    assert 2 * ours < least_seconds(scipy_hierarchy.optimal_leaf_ordering)


def test_no_stack_overflows():
    # What 50 000 identical rows give: a chain as deep as it is long.
    n = 50_000
    steps = np.arange(n - 1)
    Z = np.column_stack([np.r_[0, n + steps[:-1]], np.r_[1, steps[1:] + 1], np.zeros(n - 1), steps + 2.0])
    Z[:, :2].sort(axis=1)
    assert sorted(trees.leaves_list(Z)) == list(range(n))
    assert len(np.unique(trees.cut_tree(Z, 17))) == 17
    assert (trees.fcluster(Z, 0, "distance") == 1).all()
    assert trees.to_newick(Z).count("(") == n - 1
    assert trees.inconsistent(Z).shape == (n - 1, 4)
    assert trees.linkage_weights(Z, np.full(n, 2))[-1] == 2 * n


def test_newick():
    Z = np.array([[0, 1, 1.5, 2], [2, 3, 4.0, 3]])
    assert trees.to_newick(Z) == "(2:4,(0:1.5,1:1.5):2.5);"
    assert trees.to_newick(Z, ["x", "it's", "a b"]) == "('a b':4,(x:1.5,'it''s':1.5):2.5);"
    with pytest.raises(ValueError, match="3 names"):
        trees.to_newick(Z, ["x"])


@pytest.mark.parametrize(
    "Z",
    [
        np.zeros((0, 4)),
        np.zeros((3, 3)),
        np.zeros(4),
        [[0, 0, 1, 2]],
        [[0, 5, 1, 2]],
        [[0, -1, 1, 2]],
        [[0, 1.5, 1, 2]],
        [[0, np.nan, 1, 2]],
        [[0, 1, 1, 2], [0, 2, 1, 3]],
        [[0, 3, 1, 2], [1, 2, 1, 3]],
        [["a", "b", "c", "d"]],
    ],
)
def test_bad_trees(Z):
    for function in (
        trees.leaves_list,
        trees.cophenet,
        trees.inconsistent,
        trees.cut_tree,
        trees.to_newick,
        lambda tree: trees.fcluster(tree, 1),
        lambda tree: trees.optimal_leaf_ordering(tree, [1.0]),
        lambda tree: trees.linkage_weights(tree, [1.0]),
    ):
        with pytest.raises(ValueError, match="Z "):
            function(Z)


def test_bad_options(tree_of):
    Z, distances = tree_of["average"]
    with pytest.raises(ValueError, match="must be None"):
        trees.cut_tree(Z, 2, 3.0)
    with pytest.raises(ValueError, match="n_clusters"):
        trees.cut_tree(Z, 81)
    with pytest.raises(ValueError, match="criterion"):
        trees.fcluster(Z, 1, "size")
    with pytest.raises(ValueError, match="t must be at least 1"):
        trees.fcluster(Z, 0, "maxclust")
    with pytest.raises(ValueError, match="monocrit"):
        trees.fcluster(Z, 1, "monocrit")
    with pytest.raises(ValueError, match="R must"):
        trees.fcluster(Z, 1, R=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="d must be at least 1"):
        trees.inconsistent(Z, 0)
    with pytest.raises(ValueError, match="y must"):
        trees.optimal_leaf_ordering(Z, distances[1:])
    with pytest.raises(ValueError, match="finite"):
        trees.optimal_leaf_ordering(Z, np.full_like(distances, np.nan))
    with pytest.raises(ValueError, match="Y must"):
        trees.cophenet(Z, distances[1:])
    with pytest.raises(ValueError, match="weights"):
        trees.linkage_weights(Z, [1.0])
